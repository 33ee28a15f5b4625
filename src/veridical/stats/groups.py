"""Groups of rows that belong together (clusters, blocks): tiles of a slice, slices of a place.

`group_numbers` are left out by the jackknife, `halves` give a real-against-real floor, `independent` rows are of different
groups, `merged` gives the blocks of a permutation test and the folds of a cross-validation, `components` and `joined` find
linked groups.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MAX_GROUPS = 20
MOST_DRAWS = 16


class Groups(NamedTuple):
    """Rows that are left out together.

    Attributes
    ----------
    numbers : (N,) group of every row, 0 to g - 1
    units : how many independent groups there were before merging
    words : the groups in words
    """

    numbers: np.ndarray
    units: int
    words: str


def group_numbers(labels: ArrayLike, max_groups: int = MAX_GROUPS) -> Groups:
    """Rows that are left out together, by the labels (N,) of their slices.

    More than `max_groups` groups: the largest first, each joins the group with the fewest rows so far.
    """
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    kind = "single image" if len(names) == len(numbers) else "slice"
    words = f"{len(names)} {kind}{'s' if len(names) != 1 else ''}"
    sizes = np.bincount(numbers)
    if len(sizes) > max_groups:
        numbers = _joined(sizes, max_groups, np.arange(len(sizes)))[numbers]
        words += f" merged into {max_groups}"
    return Groups(numbers, len(sizes), words)


def merged(labels: ArrayLike, most: int, seed: int = 0) -> np.ndarray:
    """Groups merged at random into few of about equal size: blocks of a permutation test, folds of cross-validation.

    Parameters
    ----------
    labels : (N,) rows of one label stay together
    most : how many groups there are at most; fewer labels than that remain as they are
    seed : of the random order of labels of one size

    Returns
    -------
    (N,) numbers from 0
    """
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) <= most:
        return numbers
    return _joined(np.bincount(numbers), most, np.random.default_rng(seed).permutation(len(names)))[numbers]


def halves(labels: ArrayLike, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint lists of row numbers of equal length, no group in both unless there is one group only.

    Groups join the halves as in `merged`; of the larger half, rows are left out evenly over its groups.
    """
    names = np.asarray(labels)
    distinct, numbers = np.unique(names, return_inverse=True)
    if len(distinct) < 2:
        numbers = np.arange(len(names))
    sizes = np.bincount(numbers)
    side = _joined(sizes, 2, np.random.default_rng(seed).permutation(len(sizes)))[numbers]
    first, second = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    n = min(len(first), len(second))
    return first[spread_evenly(names[first], n, seed)], second[spread_evenly(names[second], n, seed)]


def spread_evenly(labels: ArrayLike, n: int, seed: int = 0) -> np.ndarray:
    """n row numbers, spread over the groups in proportion to their size and drawn at random within each; sorted."""
    names = np.asarray(labels)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    by_group = shuffled[np.argsort(names[shuffled], kind="stable")]
    return np.sort(by_group[((np.arange(n) + 0.5) * len(names) / n).astype(int)])


def independent(labels: ArrayLike, n: int, most: int = MOST_DRAWS, seed: int = 0) -> list[np.ndarray]:
    """Draws of n rows of n different groups: what n independent images are, out of tiles that come several a slice.

    Parameters
    ----------
    labels : (N,) group of each row
    n : at most the number of groups
    most : draws at most; otherwise as many as use every row about once
    seed : of the order in which groups and their rows come

    Returns
    -------
    list of (n,) row numbers, sorted
    """
    numbers = np.unique(np.asarray(labels), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    sizes = np.bincount(numbers)
    rows = [rng.permutation(np.flatnonzero(numbers == g)) for g in range(len(sizes))]
    order, used, found = rng.permutation(len(sizes)), np.zeros(len(sizes), int), []
    for _ in range(min(most, -(-len(numbers) // n))):
        chosen = order[np.argsort(used[order], kind="stable")[:n]]
        found.append(np.sort([rows[g][used[g] % sizes[g]] for g in chosen]))
        used[chosen] += 1
    return found


def one_group(*labels: ArrayLike) -> bool:
    """Are all rows of one group, in every set the same, and more than one row in each?"""
    sets = [np.asarray(each) for each in labels]
    return all(len(each) > 1 for each in sets) and len(np.unique(np.concatenate(sets))) == 1


def units(labels: ArrayLike) -> np.ndarray:
    """The labels (N,); if all are one, a label a row: what follows is then about this group alone."""
    return np.arange(len(np.asarray(labels))) if one_group(labels) else np.asarray(labels)


def components(linked: np.ndarray, labels: ArrayLike | None = None) -> np.ndarray:
    """Number of the connected component of a graph that each row belongs to.

    Parameters
    ----------
    linked : (N, N) bool, which rows belong together
    labels : (N,), optional; rows of one label belong together, too

    Returns
    -------
    (N,) numbers from 0
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    if labels is not None:
        names = np.asarray(labels)
        linked = linked | (names[:, None] == names)
    found: np.ndarray = connected_components(csr_matrix(linked), directed=False)[1]
    return found


def joined(*labels: ArrayLike) -> np.ndarray:
    """Number of the group of each row, from 0, where rows that share a label of any kind belong together.

    Parameters
    ----------
    labels : (N,) labels of each kind

    Returns
    -------
    (N,) numbers
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows = len(np.asarray(labels[0]))
    ends, nodes = [], rows  # a node a row, and one a label
    for each in labels:
        numbers = np.unique(np.asarray(each), return_inverse=True)[1].ravel()
        ends.append(nodes + numbers)
        nodes += int(numbers.max(initial=-1)) + 1
    edges = np.tile(np.arange(rows), len(labels)), np.concatenate(ends)
    graph = coo_matrix((np.ones(len(edges[0]), np.int8), edges), (nodes, nodes))
    found: np.ndarray = connected_components(graph, directed=False)[1][:rows]
    return found


def _joined(sizes: np.ndarray, most: int, order: np.ndarray) -> np.ndarray:
    """Which of `most` groups each of (G,) `sizes` joins: the largest first, of one size in `order`, into the smallest so far."""
    found, filled = np.empty(len(sizes), int), np.zeros(most, int)
    for j in order[np.argsort(-sizes[order], kind="stable")]:
        found[j] = np.argmin(filled)
        filled[found[j]] += sizes[j]
    return found
