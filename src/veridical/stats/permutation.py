"""Permutation tests of two sets: blocks are exchanged, and several statistics are tested at once (step-down min-p).

Valid whatever the distributions are, as long as blocks are exchangeable. A block is a field of view or a slice, or several
(`groups.merged`), never a tile among its neighbours. `enough_blocks` says whether there are enough of them to show anything.
"""

from math import comb

import numpy as np

MOST = 1999  # permutations, when there are more than that
SMALLEST_EFFECT = 0.1  # standard deviations between images; smaller differences of means are not of interest


def assignments(real: int, synth: int, most: int = MOST, seed: int = 0) -> np.ndarray:
    """Ways to call `synth` of `real + synth` blocks synthetic, (P, real + synth) bool; the first is what was observed.

    Real blocks come first. All ways if there are no more than `most`, else so many drawn at random with the observed one
    among them, which keeps the p-values valid (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    total = real + synth
    observed = np.arange(total) >= real
    if comb(total, synth) <= most:
        from itertools import combinations

        rows = np.zeros((comb(total, synth), total), bool)
        for row, chosen in zip(rows, combinations(range(total), synth), strict=True):
            row[list(chosen)] = True
        return np.concatenate([observed[None], rows[(rows != observed).any(1)]])
    draws = np.random.default_rng(seed).random((most - 1, total)).argsort(1).argsort(1)
    return np.concatenate([observed[None], draws < synth])


def block_means(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Mean of the rows of each block 0 ... B - 1, (B, D), leaving out NaN; a block of NaN only has the overall mean."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    sums, counts = np.zeros((2, blocks.max() + 1, values.shape[1]))
    np.add.at(sums, blocks, np.where(known, values, 0))
    np.add.at(counts, blocks, known)
    overall = sums.sum(0) / np.maximum(counts.sum(0), 1)
    means: np.ndarray = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    return means


def difference_t(means: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Welch's t between the blocks that are called synthetic and the others, for each way to call them, (P, D).

    Parameters
    ----------
    means : (B, D)
        Of each block, in units of the standard deviation between real images.
    called : (P, B) bool

    Notes
    -----
    Studentised, so that it also holds where synthetic blocks vary less or more than real ones (Chung and Romano 2013,
    doi:10.1214/13-AOS1090); `SMALLEST_EFFECT` is added to the standard error in squares, so that it is no division by zero.
    """
    called = called.astype(np.float64)
    n = called.sum(1, keepdims=True)
    m = called.shape[1] - n
    first, second = called @ means, (1 - called) @ means
    squares = means**2
    variance = (called @ squares - first**2 / n).clip(0) / np.maximum(n - 1, 1) / n
    variance = variance + ((1 - called) @ squares - second**2 / m).clip(0) / np.maximum(m - 1, 1) / m
    t: np.ndarray = (first / n - second / m) / np.sqrt(variance + SMALLEST_EFFECT**2)
    return t


def adjusted_p(statistics: np.ndarray) -> np.ndarray:
    """p-values of several statistics at once, with family-wise error control: step-down min-p.

    Parameters
    ----------
    statistics : (P, T)
        T statistics, high is suspicious, for P ways to call blocks synthetic, of which the first is observed.

    Returns
    -------
    (T,)
        Adjusted p-values: the chance that any of them is at most a is at most a if the sets are alike. The dependence
        between statistics is that of the data, so that alike statistics cost nothing (Westfall and Young 1993,
        algorithm 2.8; min-p from one set of permutations as in Ge, Dudoit and Speed 2003, box 4).
    """
    p = _each_p(statistics)
    ways, tests = p.shape
    order = np.argsort(p[0], kind="stable")
    adjusted = np.empty(tests)
    # from the least significant on: the smallest p of it and all less significant ones
    smallest = np.full(ways, np.inf)
    for t in order[::-1]:
        smallest = np.minimum(smallest, p[:, t])
        adjusted[t] = (smallest <= p[0, t] + 1e-12).mean()
    return np.maximum.accumulate(adjusted[order])[np.argsort(order)]


def least_p(statistics: np.ndarray) -> float:
    """The adjusted p-value of a statistic that is higher than in all other ways: no p-value of `adjusted_p` is smaller.

    The share of the ways in which any of the statistics (P, T) is as high: about T / P.
    """
    p = _each_p(statistics)
    return float((p.min(1) <= 1 / len(p) + 1e-12).mean()) or 1 / len(p)


def _each_p(statistics: np.ndarray) -> np.ndarray:
    """p-values of each statistic by itself, for each way as if it were the observed one, (P, T)."""
    statistics = np.asarray(statistics, np.float64)
    ways, tests = statistics.shape
    ordered = np.sort(statistics, 0)
    p = np.empty_like(statistics)
    for t in range(tests):
        p[:, t] = (ways - np.searchsorted(ordered[:, t], statistics[:, t], side="left")) / ways
    return p


def blocks_needed(tests: int, alpha: float) -> int:
    """Independent blocks a side with which the most extreme of all ways is significant among `tests` statistics."""
    n = 2
    while not enough_blocks(n, n, tests, alpha):
        n += 1
    return n


def enough_blocks(real: int, synth: int, tests: int, alpha: float) -> bool:
    """Whether so many blocks can show anything among `tests` statistics."""
    return comb(real + synth, synth) * alpha >= tests
