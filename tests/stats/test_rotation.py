"""Rotation tests of few blocks: exact for whatever covariance measurements have, and Student's t for one of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind

from veridical.stats.permutation import adjusted_p
from veridical.stats.rotation import contrasts, moderated_t, smallest_contrast


@given(st.integers(2, 12), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_contrasts_are_unit_vectors_of_which_the_first_is_the_difference_of_means(real, synth):
    found = contrasts(real, synth, 20)
    np.testing.assert_allclose(found.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose((found**2).sum(1), 1)
    values = np.random.default_rng(real).standard_normal(real + synth)
    difference = (values[real:].mean() - values[:real].mean()) / np.sqrt(1 / real + 1 / synth)
    assert found[0] @ values == pytest.approx(difference)
    assert smallest_contrast(real, synth) > 0


@pytest.mark.parametrize(("real", "synth"), [(5, 1), (4, 3), (9, 2)])
def test_one_measurement_is_students_t(real, synth):
    means = np.random.default_rng(real).standard_normal((real + synth, 1))
    means[real:] += 1
    t = moderated_t(means, contrasts(real, synth, 20000), 0.0)
    right = ttest_ind(means[real:, 0], means[:real, 0], alternative="greater")
    assert t[0, 0] == pytest.approx(right.statistic)
    assert (t[:, 0] >= t[0, 0]).mean() == pytest.approx(right.pvalue, abs=0.01)


@pytest.mark.parametrize("real", [4, 7])
def test_blocks_of_the_same_kind_fail_at_the_level_and_others_are_found(real):
    """Twenty measurements of all sizes that go together, of which nobody knows how."""
    rng, trials, ways = np.random.default_rng(0), 200, contrasts(real, 1, 600)
    mixing = rng.standard_normal((20, 20)) * rng.lognormal(size=20)
    alarms = found = 0
    for _ in range(trials):
        means = rng.standard_normal((real + 1, 20)) @ mixing
        alarms += adjusted_p(np.abs(moderated_t(means, ways, 0.1))).min() <= 0.05
        means[real, :10] += 400 * mixing.std()
        found += adjusted_p(np.abs(moderated_t(means, ways, 0.1))).min() <= 0.05
    assert binom.ppf(1e-4, trials, 0.05) <= alarms <= binom.ppf(1 - 1e-4, trials, 0.05)
    assert found > 0.5 * trials
