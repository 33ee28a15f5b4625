"""Groups: what belongs together stays together, in parts of about one size."""

import numpy as np
import pytest

from veridical.stats.groups import (
    components,
    group_numbers,
    halves,
    independent,
    joined,
    merged,
    one_group,
    spread_evenly,
    units,
)


def test_many_groups_are_merged_and_few_stay():
    many = group_numbers(np.repeat(np.arange(50), 3))
    assert np.ptp(np.bincount(many.numbers)) <= 3 and len(np.bincount(many.numbers)) == 20
    for k in range(50):
        assert len(set(many.numbers[3 * k : 3 * k + 3])) == 1
    assert many.words == "50 slices merged into 20"
    few = group_numbers(np.repeat(list("abcd"), 3))
    assert len(set(few.numbers)) == 4 and few.words == "4 slices"
    assert group_numbers(range(30)).words == "30 single images merged into 20"


def test_rows_are_spread_evenly_over_groups():
    labels = np.array(["a"] * 40 + ["b"] * 20 + ["c"] * 20)
    rows = spread_evenly(labels, 8)
    assert sorted(labels[rows]) == ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    assert len(set(rows)) == 8
    assert spread_evenly(labels, 80).tolist() == list(range(80))
    assert rows.tolist() == spread_evenly(labels, 8).tolist() != spread_evenly(labels, 8, seed=1).tolist()


@pytest.mark.parametrize("sizes", [[6, 6, 6, 6], [10, 3, 4, 3], [24]])
def test_halves_share_no_group(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, second = halves(labels)
    assert len(first) == len(second) >= sum(sizes) // 2 - 2
    assert not set(first) & set(second)
    if len(sizes) > 1:
        assert not set(labels[first]) & set(labels[second])


@pytest.mark.parametrize("sizes", [[5, 2, 3, 6], [1] * 9, [8, 1]])
def test_independent_rows_are_of_different_groups_and_all_are_used(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    for n in range(1, len(sizes) + 1):
        draws = independent(labels, n)
        assert all(len(rows) == n == len(set(labels[rows])) for rows in draws)
        used = np.bincount(np.concatenate(draws), minlength=len(labels))
        per_group = np.bincount(labels[np.concatenate(draws)], minlength=len(sizes))
        assert np.ptp(per_group) <= 1 and all(np.ptp(used[labels == g]) <= 1 for g in range(len(sizes)))
    assert independent(np.arange(7), 7)[0].tolist() == list(range(7))


def test_components_join_links_and_groups():
    linked = np.eye(4, dtype=bool)
    linked[0, 1] = linked[1, 0] = True
    assert components(linked, ["a", "b", "b", "c"]).tolist() == [0, 0, 0, 1]


def test_merged_blocks_are_even_and_keep_groups_together():
    groups = np.repeat(np.arange(30), 2)
    blocks = merged(groups, 7)
    assert np.ptp(np.bincount(blocks)) <= 2 and all(len(set(blocks[groups == g])) == 1 for g in range(30))


def test_the_largest_group_joins_the_smallest_so_far():
    """Sizes 5, 4, 3, 3, 1 in two parts: 5 + 3 and 4 + 3 + 1, by hand, whatever the order of what is of one size."""
    labels = np.repeat(list("abcde"), [3, 5, 1, 4, 3])
    for seed in range(5):
        parts = merged(labels, 2, seed)
        assert np.bincount(parts).tolist() == [8, 8]
        assert parts[labels == "b"][0] == 0 and parts[labels == "d"][0] == parts[labels == "c"][0] == 1
    assert merged(labels, 5).tolist() == np.repeat(np.arange(5), [3, 5, 1, 4, 3]).tolist()


def test_components_are_those_of_a_chain():
    """0 - 1 - 2 hang together though 0 and 2 are not linked; 3 is alone."""
    linked = np.eye(4, dtype=bool)
    linked[0, 1] = linked[1, 2] = True
    assert components(linked | linked.T).tolist() == [0, 0, 0, 1]


def test_rows_of_one_group_count_one_by_one():
    assert one_group(["a", "a"], ["a", "a"]) and not one_group(["a", "a"], ["b", "b"]) and not one_group(["a"])
    assert units(["a", "a", "a"]).tolist() == [0, 1, 2] and units(["a", "b", "b"]).tolist() == ["a", "b", "b"]


def test_joined_are_the_components_of_shared_labels():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = rng.integers(0, 12, 15), rng.integers(0, 12, 15).astype(str)
        linked = (one[:, None] == one) | (two[:, None] == two)
        np.testing.assert_array_equal(joined(one, two), components(linked))
    assert len(set(joined(np.arange(50_000), np.arange(50_000) // 2))) == 25_000  # no matrix of 2.5e9
