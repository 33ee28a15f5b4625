"""Limits of shares against statsmodels' formulas by hand and against what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from veridical.stats.jackknife import below_quantile, jackknife
from veridical.stats.shares import at_rank, recovered, wilson


@pytest.mark.parametrize(("seen", "n"), [(1, 64), (3, 20), (50, 100), (190, 192)])
def test_wilson_is_that_of_scipy(seen, n):
    share = seen / n
    found = wilson(share, np.sqrt(share * (1 - share) / n), 1.959963984540054)
    assert found == pytest.approx(tuple(binomtest(seen, n).proportion_ci(method="wilson")), rel=1e-9)
    assert wilson(2 * share - 1, 2 * np.sqrt(share * (1 - share) / n), 1.959963984540054, (-1, 1)) == pytest.approx(
        tuple(2 * limit - 1 for limit in found)
    )


def test_reasons_add_in_squares():
    assert recovered(0.5, (0.2, 0.6), (0.1, 0.8)) == pytest.approx((0, 0.5 + np.hypot(0.1, 0.3)))
    assert at_rank(np.array([1.0, 3.0, 4.0]), 1.5) == 2 and at_rank(np.array([1.0]), 0.2) == -np.inf


@pytest.mark.parametrize(("n", "share"), [(64, 0.03), (192, 0.97)])
def test_a_share_near_an_end_is_held(n, share):
    """By t and standard error 0.80 to 0.92 are."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        x = rng.random(n) < share
        found = jackknife(lambda i, x=x: float(x[i].mean()), [np.arange(n)], bounds=(0, 1))
        held += found.low <= share <= found.high
    assert held >= 184


@pytest.mark.parametrize(("slices", "tiles", "synth"), [(64, 1, 64), (64, 1, 1000), (12, 5, 256)])
def test_the_share_below_a_quantile_that_varies(slices, tiles, synth):
    """Both sets from one source: 5 % are below the quantile of 5 %; with the threshold taken as known 0.43 to 0.69 are held."""
    rng, held, labels = np.random.default_rng(1), 0, np.repeat(np.arange(slices), tiles)
    correlation, k = (0.3 if tiles > 1 else 0), int(0.05 * (slices * tiles + 1))
    expected = k / (slices * tiles + 1)
    for _ in range(150):
        x = np.sqrt(correlation) * rng.normal(size=slices)[labels]
        x = x + np.sqrt(1 - correlation) * rng.normal(size=len(labels))
        y = rng.normal(size=synth)
        found = below_quantile(y, x, np.sort(x)[k - 1], np.arange(synth), labels)
        assert found.low <= found.value <= found.high
        held += found.low <= expected <= found.high
    assert held >= 136


def test_one_slice_gives_no_interval_below_a_quantile():
    x = np.random.default_rng(0).normal(size=40)
    found = below_quantile(x, x, x[3], np.arange(40), np.zeros(40))
    assert found.low is None and found.method == "none: all images are of one slice"
