"""Permutation tests of sets: exact on small cases, never too small on exchangeable data, small where sets differ."""

from math import comb

import numpy as np
import pytest
from scipy.stats import ttest_ind

from veridical.stats.groups import merged
from veridical.stats.permutation import (
    adjusted_p,
    assignments,
    block_means,
    blocks_needed,
    difference_t,
    enough_blocks,
    least_p,
)


def test_all_assignments_once_and_the_observed_first():
    ways = assignments(4, 3)
    assert ways.shape == (comb(7, 3), 7) and len(np.unique(ways, axis=0)) == len(ways)
    assert ways[0].tolist() == [False] * 4 + [True] * 3 and (ways.sum(1) == 3).all()
    assert assignments(20, 20, most=100).shape == (100, 40)


def test_t_is_that_of_scipy(monkeypatch):
    monkeypatch.setattr("veridical.stats.permutation.SMALLEST_EFFECT", 0.0)
    means = np.random.default_rng(0).standard_normal((12, 3))
    called = assignments(7, 5)[:4]
    for way, found in zip(called, difference_t(means, called), strict=True):
        np.testing.assert_allclose(found, ttest_ind(means[way], means[~way], equal_var=False).statistic, rtol=1e-9)


def test_block_means_leave_out_what_is_not_known():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0]])
    np.testing.assert_allclose(block_means(values, np.array([0, 0, 1])), [[2, 2], [5, 2]])


def test_adjusted_p_of_one_statistic_is_its_rank():
    assert adjusted_p(np.array([[9.0], [1.0], [2.0], [9.0]]))[0] == pytest.approx(0.5)


def test_the_same_statistic_twice_costs_nothing():
    values = np.random.default_rng(0).standard_normal((200, 1))
    values[0] = 9
    assert adjusted_p(np.repeat(values, 5, 1)) == pytest.approx(adjusted_p(values)[0])


def set_p(real, synth, blocks_real, blocks_synth, seed=0):
    values = np.concatenate([real, synth])
    blocks = np.concatenate([blocks_real, blocks_synth + blocks_real.max() + 1])
    called = assignments(blocks_real.max() + 1, blocks_synth.max() + 1, most=400, seed=seed)
    t = difference_t(block_means(values, blocks), called)
    return adjusted_p(np.abs(t))


@pytest.mark.parametrize("independent", [False, True])
def test_sets_alike_fail_in_at_most_alpha_of_the_cases(independent):
    """Slices differ more than their tiles; synthetic images come from slices too, or each from a slice of its own."""
    rng = np.random.default_rng(2)
    failed, trials = 0, 400
    for trial in range(trials):
        slices, each = 8, 4
        rows = np.repeat(np.arange(slices), each)
        shift = rng.standard_normal((slices, 10))
        real = shift[rows] + 0.5 * rng.standard_normal((len(rows), 10))
        own = np.arange(len(rows)) if independent else rows
        synth = rng.standard_normal((own.max() + 1, 10))[own] + 0.5 * rng.standard_normal((len(rows), 10))
        blocks = merged(own, slices)
        failed += set_p(real, synth, rows, blocks, trial).min() <= 0.05
    assert failed / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)  # three standard errors


def test_a_shift_of_one_in_ten_statistics_is_found_and_named():
    rng = np.random.default_rng(3)
    found = named = 0
    for trial in range(60):
        real, synth = rng.standard_normal((2, 64, 10))
        synth[:, 3] += 1.0
        p = set_p(real, synth, np.arange(64) // 8, np.arange(64) // 8, trial)
        found += p.min() <= 0.05
        named += p.argmin() == 3
    assert found >= 57 and named >= 57


def test_blocks_needed_are_enough_and_one_less_is_not():
    n = blocks_needed(17, 0.05)
    assert n == 6 and enough_blocks(6, 6, 17, 0.05) and not enough_blocks(5, 5, 17, 0.05)
    means = np.concatenate([np.zeros((n, 1)), np.full((n, 1), 50.0)])
    others = np.random.default_rng(0).standard_normal((2 * n, 16))
    t = difference_t(np.concatenate([means, others], 1), assignments(n, n))
    assert adjusted_p(np.abs(t))[0] <= 0.05


def test_the_least_p_is_that_of_what_is_higher_than_in_all_other_ways():
    statistics = np.random.default_rng(0).standard_normal((200, 5))
    assert adjusted_p(statistics).min() > least_p(statistics)
    statistics[0, 2] = 100.0
    assert adjusted_p(statistics)[2] == least_p(statistics) == pytest.approx(5 / 200)
    assert least_p(np.ones((50, 2))) > 0
