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


def test_intervals_of_values_between_two_ends_stay_there():
    x = np.array([0.9, 1.0, 1.0, 1.0, 0.8, 1.0])
    found = jackknife(lambda i: x[i].mean(), [range(6)], bounds=(0, 1))
    assert 0.5 < found.low < found.value < found.high < 1
    assert jackknife(lambda i: x[i].mean() - 0.95, [range(6)], bounds=(0, np.inf)).low == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_without_variation_has_an_exact_bound(value):
    """Clopper-Pearson: nothing seen in 40 images allows up to 1 - 0.025^(1/40)."""
    x = np.full(40, value)
    found = jackknife(lambda i: x[i].mean(), [range(40)], bounds=(0, 1))
    reach = 1 - 0.025 ** (1 / 40)
    assert (found.low, found.high) == pytest.approx((0, reach) if value == 0 else (1 - reach, 1))
    assert "binomial" in found.method


@pytest.mark.parametrize("slices", [2, 3, 4])
def test_few_slices_give_a_wide_interval_that_holds(slices):
    """Tiles of a slice are alike: counted one by one, the mean of few slices is held a third of the time."""
    rng, held, labels = np.random.default_rng(4), 0, np.repeat(np.arange(slices), 10)
    for _ in range(300):
        x = rng.normal(size=slices)[labels] + 0.3 * rng.normal(size=len(labels))
        found = jackknife(lambda i, x=x: x[i].mean(), [labels])
        held += found.low <= 0 <= found.high
    assert 277 <= held < 298


def test_one_slice_or_too_few_rows_give_no_interval_and_the_reason():
    found = jackknife(lambda i: float(len(i)), [["a"] * 8])
    assert found[:4] == (8.0, None, None, None) and found.method == "none: all images are of one slice"
    assert found.shown(1) == "8.0 [none: all images are of one slice]"
    assert jackknife(lambda i: float(i.mean()), [range(5)]).shown(1) == "2.0 [0.0, 4.0]"
    assert jackknife(lambda i: 1.0, [["a"]]).method == "none: one image only"
    labels = ["a"] * 8 + list("bcde")
    found = jackknife(lambda i: float(len(i)) if len(i) >= 5 else float("nan"), [labels])
    assert found.low is None and found.method == "none: 5 slices, too few to leave some out"


def mmd(x, y):
    """The unbiased distance of means, |mean - mean|^2: a kernel distance with the kernel x.y."""
    return lambda i, j: (
        ((x[i].sum(0) ** 2).sum() - (x[i] ** 2).sum()) / (len(i) * (len(i) - 1))
        + ((y[j].sum(0) ** 2).sum() - (y[j] ** 2).sum()) / (len(j) * (len(j) - 1))
        - 2 * x[i].mean(0) @ y[j].mean(0)
    )


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_variance_of_a_distance_is_not_counted_twice(shift):
    """Of sets that are alike the jackknife gives about twice the variance (Efron and Stein 1981); of others the right one."""
    rng, values, found = np.random.default_rng(5), [], {"mean": [], "distance": []}
    for _ in range(150):
        x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 4)) + shift
        values.append(mmd(x, y)(np.arange(16), np.arange(16)))
        for kind, each in found.items():
            each.append(jackknife(mmd(x, y), [np.arange(16)] * 2, kind=kind).se ** 2)
    true = np.var(values)
    plain, corrected = (np.mean(found[kind]) / true for kind in ("mean", "distance"))
    if shift == 0:
        assert 1.6 < plain < 2.6 and 1.0 < corrected < 1.7
    else:
        assert 0.8 < corrected < plain < 1.6
    held = np.mean(np.abs(np.array(values) - 4 * shift**2) < 2.1 * np.sqrt(found["distance"]))
    assert 0.9 < held < 0.99


def test_half_of_the_groups_are_left_out_for_counts():
    """The same for a mean, in closed form: a share of 24 rows in 6 groups."""
    x = np.random.default_rng(6).random(24)
    groups = np.repeat(np.arange(6), 4)
    one, half = (jackknife(lambda i: x[i].mean(), [groups], kind=kind).se for kind in ("mean", "count"))
    assert half == pytest.approx(one, rel=1e-9)
    many = [jackknife(lambda i: x[i].mean(), [range(24)], kind=kind).se for kind in ("mean", "count")]
    assert many[1] == pytest.approx(many[0], rel=0.25)
