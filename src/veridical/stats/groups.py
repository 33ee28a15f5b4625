"""Groups of rows that belong together: tiles of a slice, slices of a place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MAX_GROUPS = 20


FEWEST_GROUPS = 5


class Groups(NamedTuple):
    """Group of every row (0 to g - 1), how many independent units there were before merging, and a description."""

    numbers: np.ndarray
    units: int
    words: str


def group_numbers(labels: ArrayLike, max_groups: int = MAX_GROUPS) -> Groups:
    """Rows that are left out together.

    Fewer than five distinct labels: every row is a group. More than `max_groups` groups: the largest first, each joins
    the group with the fewest rows so far.
    """
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    words = f"{len(names)} slices"
    if len(names) == len(numbers):
        words = f"{len(names)} single images"
    elif len(names) < FEWEST_GROUPS:
        words = f"{len(numbers)} single images (fewer than {FEWEST_GROUPS} slices)"
        numbers = np.arange(len(numbers))
    sizes = np.bincount(numbers)
    units = len(sizes)
    if units > max_groups:
        merged, filled = np.empty(units, int), np.zeros(max_groups, int)
        for j in np.argsort(-sizes, kind="stable"):
            merged[j] = np.argmin(filled)
            filled[merged[j]] += sizes[j]
        numbers = merged[numbers]
        words += f" merged into {max_groups}"
    return Groups(numbers, units, words)


def spread_evenly(labels: ArrayLike, n: int, seed: int = 0) -> np.ndarray:
    """n row numbers, spread over the groups in proportion to their size and drawn at random within each; sorted."""
    names = np.asarray(labels)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    by_group = shuffled[np.argsort(names[shuffled], kind="stable")]
    return np.sort(by_group[((np.arange(n) + 0.5) * len(names) / n).astype(int)])


def halves(labels: ArrayLike, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint lists of row numbers of equal length, no group in both unless there is one group only."""
    names = np.asarray(labels)
    distinct, numbers = np.unique(names, return_inverse=True)
    if len(distinct) < 2:
        numbers = np.arange(len(names))
    sizes = np.bincount(numbers)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    side, filled = np.empty(len(sizes), int), [0, 0]
    for j in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        side[j] = int(filled[1] < filled[0])
        filled[side[j]] += sizes[j]
    first, second = np.flatnonzero(side[numbers] == 0), np.flatnonzero(side[numbers] == 1)
    n = min(len(first), len(second))
    return first[spread_evenly(names[first], n, seed)], second[spread_evenly(names[second], n, seed)]


def components(linked: np.ndarray, groups=None) -> np.ndarray:
    """Number of the connected part that each image belongs to, (N,), from links (N, N) and equal labels (N,)."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    if groups is not None:
        names = np.asarray(groups)
        linked = linked | (names[:, None] == names)
    return connected_components(csr_matrix(linked), directed=False)[1]


def merged(groups, blocks: int, seed: int = 0) -> np.ndarray:
    """Labels (N,) merged at random into at most `blocks` blocks of about equal size, numbered from 0."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) <= blocks:
        return numbers
    sizes = np.bincount(numbers)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    block, filled = np.empty(len(names), int), np.zeros(blocks, int)
    for j in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        block[j] = np.argmin(filled)
        filled[block[j]] += sizes[j]
    return block[numbers]


def folds(fields: np.ndarray, most: int = 5) -> np.ndarray:
    """Number of the fold of each image, (N,): what has one label goes together; at most `most` folds of about equal size."""
    return merged(fields, most)
