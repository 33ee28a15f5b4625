"""The delete-a-group jackknife against closed forms."""

import numpy as np
import pytest
from scipy.stats import t as student_t

from veridical.stats.jackknife import jackknife


def test_standard_error_of_a_mean_in_closed_form():
    x = np.random.default_rng(0).normal(size=17)
    found = jackknife(lambda i: x[i].mean(), [range(17)])
    se = x.std(ddof=1) / np.sqrt(17)
    assert found.se == pytest.approx(se, rel=1e-10)
    assert found.value == pytest.approx(x.mean())
    half = student_t.ppf(0.975, 16) * se
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_slices_of_unequal_size_in_closed_form():
    """For a mean over all rows the variance is 1/g sum m_j / (n - m_j) (mean_j - mean)^2."""
    rng = np.random.default_rng(1)
    groups = np.repeat(list("abcdef"), [2, 3, 5, 4, 7, 3])
    x = rng.normal(size=24)
    m = np.array([np.sum(groups == g) for g in "abcdef"])
    means = np.array([x[groups == g].mean() for g in "abcdef"])
    variance = np.mean(m / (24 - m) * (means - x.mean()) ** 2)
    found = jackknife(lambda i: x[i].mean(), [groups])
    assert found.se == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert "6 slices" in found.method


def test_variances_of_independent_sets_add():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=12), 3 * rng.normal(size=15)
    found = jackknife(lambda i, j: x[i].mean() - y[j].mean(), [range(12), range(15)])
    a, b = x.var(ddof=1) / 12, y.var(ddof=1) / 15
    assert found.se == pytest.approx(np.sqrt(a + b), rel=1e-10)
    welch = (a + b) ** 2 / (a**2 / 11 + b**2 / 14)
    assert found.high - found.value == pytest.approx(student_t.ppf(0.975, welch) * np.sqrt(a + b))


def test_intervals_hold_what_they_promise_when_tiles_of_a_slice_are_alike():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 6)
    hits = {"by slice": 0, "by image": 0}
    for _ in range(400):
        x = rng.normal(size=12)[groups] + 0.3 * rng.normal(size=72)
        for name, labels in (("by slice", groups), ("by image", np.arange(72))):
            found = jackknife(lambda i, x=x: x[i].mean(), [labels])
            hits[name] += found.low <= 0 <= found.high
    assert 0.92 <= hits["by slice"] / 400 <= 0.98
    assert hits["by image"] / 400 < 0.75


def test_values_are_clipped_to_their_range():
    x = np.array([0.9, 1.0, 1.0, 1.0, 0.8, 1.0])
    found = jackknife(lambda i: x[i].mean(), [range(6)], bounds=(0, 1))
    assert found.high == 1 and found.low > 0.8


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_without_variation_has_an_exact_bound(value):
    """Clopper-Pearson: nothing seen in 40 images allows up to 1 - 0.025^(1/40)."""
    x = np.full(40, value)
    found = jackknife(lambda i: x[i].mean(), [range(40)], bounds=(0, 1))
    reach = 1 - 0.025 ** (1 / 40)
    assert (found.low, found.high) == pytest.approx((0, reach) if value == 0 else (1 - reach, 1))
    assert "binomial" in found.method


def test_no_interval_when_leaving_some_out_leaves_too_few():
    groups = ["a"] * 8 + list("bcde")
    found = jackknife(lambda i: float(len(i)), [groups], least=5)
    assert found[:4] == (12.0, None, None, None) and found.method.startswith("none")
    assert jackknife(lambda i: 1.0, [["a"]]).low is None
