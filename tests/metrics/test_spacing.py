"""Spacing falls when images repeat, however far apart the few that are repeated lie."""

import numpy as np
import pytest

from veridical.metrics.spacing import spacing

REAL = np.random.default_rng(0).normal(size=(200, 20))


def draw(seed, n=100):
    return np.random.default_rng(seed).normal(size=(n, 20))


def test_as_various_as_real_images():
    assert spacing(draw(1), REAL) == pytest.approx(1, abs=0.1)
    assert spacing(2 * draw(1), REAL) == pytest.approx(2, abs=0.2)
    assert spacing(draw(1), REAL) == pytest.approx(spacing(draw(1) + 100, REAL))


@pytest.mark.parametrize("modes", [1, 4, 20])
def test_repeated_images(modes):
    repeated = 3 * draw(2)[np.arange(100) % modes]
    assert spacing(repeated, REAL) == pytest.approx(0, abs=1e-6)
    assert 0 < spacing(repeated + 0.01 * draw(3), REAL) < 0.02


def test_sets_of_other_sizes_are_thinned():
    # Unthinned, 1000 points lie closer together than 100 do.
    assert spacing(draw(4, 1000), REAL[:100]) == pytest.approx(1, abs=0.1)


def test_sets_that_cannot_be_judged():
    with pytest.raises(ValueError, match="at least 2"):
        spacing(draw(1, 1), REAL)
    with pytest.raises(ValueError, match="all alike"):
        spacing(draw(1), np.ones((5, 20)))


def test_tiles_of_one_slice_are_no_neighbours():
    """Real tiles that are alike within their slice do not make independent samples look more various than they are."""
    rng, found = np.random.default_rng(5), {"by slice": [], "by tile": []}
    labels = np.repeat(np.arange(12), 6)
    for _ in range(20):
        real = np.sqrt(0.7) * rng.normal(size=(12, 20))[labels] + np.sqrt(0.3) * rng.normal(size=(72, 20))
        for name, groups in (("by slice", labels), ("by tile", None)):
            found[name].append(spacing(rng.normal(size=(100, 20)), real, None, groups))
    assert np.mean(found["by slice"]) == pytest.approx(1, abs=0.07) and np.mean(found["by tile"]) > 1.4
    assert spacing(draw(1), REAL, None, np.zeros(200)) == spacing(draw(1), REAL)
