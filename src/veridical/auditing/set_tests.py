"""Tests of a whole set: real and synthetic blocks are exchanged, and every statistic is computed again (permutation test)."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

from veridical.auditing.case import deviations, without_self
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, Mean, Shift, Spacing, scores
from veridical.auditing.independence import Units
from veridical.auditing.set_scores import Sets
from veridical.stats.permutation import adjusted_p, assignments, block_means, difference_t, least_p
from veridical.stats.rotation import contrasts, moderated_t, smallest_contrast

Kind = TypeVar("Kind", Mean, Shift, Spacing)
CLIP = 10.0  # a single image counts no more than so many scaled scores
WAYS = 999  # to call blocks synthetic
USUAL = 0.95  # share of the ways whose bound is the unit of how far a statistic is off
THINNED = 5  # draws of images that blocks of unequal size are thinned to


def names(searched: bool) -> list[str]:
    """The tests, in the order of `test_set`; `searched` says whether copies were searched for."""
    return [*_scored(), *_of(Mean, searched), *_of(Shift, searched), *_of(Spacing, searched)]


def _scored() -> list[str]:
    """Defects of single images whose mean score is tested: those of which no defect of sets is a share."""
    shares = {row.share_of for row in DEFECTS.values()}
    return [name for name in scores() if name not in shares]


def _of(kind: type[Kind], searched: bool) -> dict[str, Kind]:
    """Tests of a kind."""
    return {
        name: row.test
        for name, row in DEFECTS.items()
        if isinstance(row.test, kind) and (row.needs != "copies" or searched)
    }


class Compared(NamedTuple):
    """Columns of numbers of both sets: t of each way to call blocks synthetic, (P, D), the first is what was observed; and the
    means of real and of synthetic blocks, (D,)."""

    t: np.ndarray
    real: np.ndarray
    synth: np.ndarray

    def column(self, k: int) -> Compared:
        """One of the columns."""
        return Compared(self.t[:, [k]], self.real[[k]], self.synth[[k]])

    def bounds(self, alpha: float, sided: int) -> tuple[int, float, float | None, float | None]:
        """The column that differs most, its mean over SYNTH, and between what it lies in 1 - `alpha` of real sets by this test.

        With one side the low bound is None. What has an (adjusted) p-value of at most `alpha` lies outside.
        """
        size = self.t if sided == 1 else np.abs(self.t)
        k = int(size[0].argmax())
        most = float(np.quantile(size.max(1), 1 - alpha, method="lower"))
        mine, usual = float(self.synth[k]), float(self.real[k])
        unit = (mine - usual) / float(self.t[0, k]) if self.t[0, k] else 1.0
        return k, mine, None if sided == 1 else usual - most * unit, usual + most * unit


class Tested(NamedTuple):
    """Of each of `names` the adjusted p-value (T,), what its test compared, how far it is off (T,), and the `least` p-value.

    `off` is the statistic less its median over all ways, over what the bound that 95 % of them keep is above that median: in
    units of the range of real sets, whatever is tested. `least` is the p-value of whatever is higher than in all other ways.
    """

    p: np.ndarray
    compared: dict[str, Compared]
    off: np.ndarray
    least: float


def sides(name: str) -> int:
    """Whether only high values are suspicious (1), or low ones, too (2)."""
    return 2 if isinstance(DEFECTS[name].test, Shift) else 1


def test_set(c: Comparison, sets: Sets | None = None, *, most: int = WAYS) -> Tested:
    """Adjusted p-values of `names`, and what was compared.

    Parameters
    ----------
    sets : Sets, optional
        What is tested, instead of those of `c`; scores of single images remain those of `c`.
    most : int
        Ways to call blocks synthetic.
    """
    sets = c.sets if sets is None else sets
    real, synth = sets.real, sets.synth
    tested = _scored()
    keep = [k for k, name in enumerate(scores()) if name in tested]
    columns = [np.clip(np.concatenate([c.scored.real, c.scored.single])[:, keep], -3, CLIP)]
    for test in _of(Mean, c.searched).values():
        values = np.concatenate([test.function(real), test.function(synth)])
        columns.append(deviations(values, values[: len(real)]))
    shifts = _of(Shift, c.searched)
    tables = [both(test.function(real), test.function(synth), test.most) for test in shifts.values()]
    one_sided, *found = compare_blocks(c, [np.concatenate(columns, 1), *tables], most)
    compared = {name: one_sided.column(k) for k, name in enumerate([*tested, *_of(Mean, c.searched)])}
    compared |= dict(zip(shifts, found, strict=True))
    compared |= dict(zip(_of(Spacing, c.searched), _spacings(c, sets.distance, most), strict=True))
    statistics = np.stack([np.abs(x.t).max(1) if sides(name) == 2 else x.t[:, 0] for name, x in compared.items()], 1)
    middle, high = np.quantile(statistics, [0.5, USUAL], axis=0, method="lower")
    off = np.where(high > middle, (statistics[0] - middle) / np.where(high > middle, high - middle, 1.0), 0.0)
    return Tested(adjusted_p(statistics), compared, off, least_p(statistics))


test_set.__test__ = False  # type: ignore[attr-defined]


def compare_blocks(c: Comparison, tables: list[np.ndarray], most: int = WAYS) -> list[Compared]:
    """Compare block means of each table of columns (N + M, D): blocks are exchanged, or contrasts of them rotated."""
    block, n = _blocks(c.units), c.units.sizes[0]
    # All blocks are of about one size: means of few images vary more, and distances to the nearest are larger.
    if c.units.way == "rotate":
        contrast, smallest = contrasts(*c.units.sizes, most), smallest_contrast(*c.units.sizes)
        draws = [thinned(c.units, block, seed) for seed in range(THINNED)]
    else:
        called, draws = assignments(*c.units.sizes, most=most), [thinned(c.units, block)]
    found = []
    for table in tables:
        means = np.mean([block_means(table[thin], block[thin]) for thin in draws], 0)
        rotated = c.units.way == "rotate"
        t = moderated_t(means, contrast, smallest) if rotated else difference_t(means, called)
        found.append(Compared(t, means[:n].mean(0), means[n:].mean(0)))
    return found


def _spacings(c: Comparison, distance: np.ndarray, most: int) -> list[Compared]:
    """What each `Spacing` compares; where blocks are exchanged, its statistic is computed again each time, and is its own t."""
    block, (n, m) = _blocks(c.units), c.units.sizes
    if c.units.way == "rotate":
        draws = [thinned(c.units, block, seed) for seed in range(THINNED)]
        spaced = np.mean([_spaced(c, distance[np.ix_(thin, thin)], block[thin]) for thin in draws], 0)
        return [_of_known(column, contrasts(n, m, most), n) for column in spaced.T]
    thin = thinned(c.units, block)
    # A block is moved as a whole, so its images are no fellows: else they would be near to each other in all ways.
    fellow = np.where(block[:, None] == block, np.inf, distance)[np.ix_(thin, thin)]
    called, found = assignments(n, m, most=most), []
    for test in _of(Spacing, c.searched).values():
        each = np.array([[test.function(fellow, way[block[thin]])] for way in called])
        each = np.nan_to_num(each, nan=-np.inf)  # what says nothing is no evidence
        found.append(Compared(each, np.zeros(1), each[0]))
    return found


def _blocks(units: Units) -> np.ndarray:
    """Block numbers of all images, real ones first."""
    return np.concatenate([units.real, units.synth + units.sizes[0]])


def _of_known(column: np.ndarray, contrast: np.ndarray, real: int) -> Compared:
    """Compare the blocks (B,) that say something, of which the first `real` are real; t is 0 where they are too few."""
    known = np.isfinite(column)
    sizes = int(known[:real].sum()), int(known[real:].sum())
    if sizes[0] < 2 or not sizes[1] or sum(sizes) < 4:
        return Compared(np.zeros((len(contrast), 1)), np.zeros(1), np.zeros(1))
    # What is left of contrasts, about its mean, are contrasts of the blocks that are left.
    left = contrast[:, known] - contrast[:, known].mean(1, keepdims=True)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    means = (side[np.isfinite(side)].mean(keepdims=True) for side in (column[:real], column[real:]))
    return Compared(moderated_t(column[known, None], left, smallest_contrast(*sizes)), *means)


def _spaced(c: Comparison, distance: np.ndarray, block: np.ndarray) -> np.ndarray:
    """What each `Spacing` says of each block, if it is called synthetic beside the real ones, (B, tests).

    A synthetic block is put beside as many real ones as a real one is: all but each in turn.
    """
    n = c.units.sizes[0]
    fellow = without_self(distance)
    found = []
    for b in range(block.max() + 1):
        beside = [(block < n) & (block != out) & (block != b) for out in (range(n) if b >= n else [b])]
        some = [np.flatnonzero(real | (block == b)) for real in beside]
        found.append(np.mean([
            [test.function(fellow[np.ix_(each, each)], block[each] == b) for test in _of(Spacing, c.searched).values()]
            for each in some
        ], 0))  # fmt: skip
    return np.array(found)


def thinned(units: Units, block: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows of images of which no block has more than the usual block of the side with smaller ones."""
    usual = min(int(np.median(np.bincount(each))) for each in (units.real, units.synth))
    order = np.random.default_rng(seed).permutation(len(block))
    place = np.empty(len(block), int)  # of each image in its block, at random
    for k in range(block.max() + 1):
        mine = order[block[order] == k]
        place[mine] = np.arange(len(mine))
    return np.flatnonzero(place < max(usual, 1))


def both(real: np.ndarray, synth: np.ndarray, most: float) -> np.ndarray:
    """z-scores of both sets, (N + M, D), clipped."""
    return np.clip(deviations(np.concatenate([real, synth]), real), -most, most)
