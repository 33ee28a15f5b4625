"""Tests of a whole set: real and synthetic blocks are exchanged, and every statistic is computed again (permutation test)."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import numpy as np

from veridical.auditing.case import deviations, without_self
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, Mean, Shift, Spacing, scores
from veridical.auditing.independence import Units
from veridical.auditing.set_scores import Sets
from veridical.stats.permutation import adjusted_p, assignments, block_means, difference_t
from veridical.stats.rotation import contrasts, moderated_t, smallest_contrast

Kind = TypeVar("Kind", Mean, Shift, Spacing)
CLIP = 10.0  # a single image counts no more than so many scaled scores
WAYS = 999  # to call blocks synthetic
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


def test_set(c: Comparison, sets: Sets | None = None, *, most: int = WAYS) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p-value and observed statistic of each of `names`.

    Parameters
    ----------
    sets : Sets, optional
        What is tested, instead of those of `c`; scores of single images remain those of `c`.
    most : int
        Ways to call blocks synthetic.
    """
    sets, units, scored = c.sets if sets is None else sets, c.units, c.scored
    real, synth = sets.real, sets.synth
    tested = _scored()
    keep = [k for k, name in enumerate(scores()) if name in tested]
    columns = [np.clip(np.concatenate([scored.real, scored.single])[:, keep], -3, CLIP)]
    for test in _of(Mean, c.searched).values():
        values = np.concatenate([test.function(real), test.function(synth)])
        columns.append(deviations(values, values[: len(real)]))
    one_sided = np.concatenate(columns, 1)
    tables = [_both(test.function(real), test.function(synth), test.most) for test in _of(Shift, c.searched).values()]
    block = np.concatenate([units.real, units.synth + units.sizes[0]])
    by = _rotated if units.way == "rotate" else _exchanged
    statistics = by(c, sets.distance, block, one_sided, tables, most)
    return adjusted_p(statistics), statistics[0]


test_set.__test__ = False  # type: ignore[attr-defined]


def _exchanged(
    c: Comparison, distance: np.ndarray, block: np.ndarray, one_sided: np.ndarray, tables: list[np.ndarray], most: int
) -> np.ndarray:
    """Statistics (P, T) of ways to call blocks synthetic."""
    called = assignments(*c.units.sizes, most=most)
    # All blocks are of about one size: means of few images vary more, and distances to the nearest are larger.
    thin = thinned(c.units, block)
    t, edges = difference_t(_means([one_sided, *tables], block, thin), called), _edges([one_sided, *tables])
    found = [t[:, : edges[1]], *(np.abs(t[:, a:b]).max(1, keepdims=True) for a, b in pairwise(edges[1:]))]
    # A block is moved as a whole, so its images are no fellows: else they would be near to each other in all ways.
    fellow = np.where(block[:, None] == block, np.inf, distance)[np.ix_(thin, thin)]
    spacings = [test.function for test in _of(Spacing, c.searched).values()]
    spaced = np.array([[spacing(fellow, way[block[thin]]) for spacing in spacings] for way in called])
    found.append(np.nan_to_num(spaced, nan=-np.inf))  # what says nothing is no evidence
    return np.concatenate(found, 1)


def _rotated(
    c: Comparison, distance: np.ndarray, block: np.ndarray, one_sided: np.ndarray, tables: list[np.ndarray], most: int
) -> np.ndarray:
    """Statistics (P, T) of contrasts of block means."""
    contrast, smallest = contrasts(*c.units.sizes, most), smallest_contrast(*c.units.sizes)
    draws = [thinned(c.units, block, seed) for seed in range(THINNED)]
    found = []
    for k, part in enumerate([one_sided, *tables]):
        t = moderated_t(np.mean([_means([part], block, thin) for thin in draws], 0), contrast, smallest)
        found.append(np.abs(t).max(1, keepdims=True) if k else t)
    spaced = np.mean([_spaced(c, distance[np.ix_(thin, thin)], block[thin]) for thin in draws], 0)
    found += [_of_known(column, contrast, c.units.sizes[0]) for column in spaced.T]
    return np.concatenate(found, 1)


def _of_known(column: np.ndarray, contrast: np.ndarray, real: int) -> np.ndarray:
    """`moderated_t` of the blocks that say something, (P, 1); 0 where they are too few."""
    known = np.isfinite(column)
    sizes = int(known[:real].sum()), int(known[real:].sum())
    if sizes[0] < 2 or not sizes[1] or sum(sizes) < 4:
        return np.zeros((len(contrast), 1))
    # What is left of contrasts, about its mean, are contrasts of the blocks that are left.
    left = contrast[:, known] - contrast[:, known].mean(1, keepdims=True)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return moderated_t(column[known, None], left, smallest_contrast(*sizes))


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


def _means(parts: list[np.ndarray], block: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Block means of all columns, over some rows."""
    return block_means(np.concatenate(parts, 1)[rows], block[rows])


def _edges(parts: list[np.ndarray]) -> list[int]:
    """Where the columns of each part begin and end."""
    return np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()


def thinned(units: Units, block: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows of images of which no block has more than the usual block of the side with smaller ones."""
    usual = min(int(np.median(np.bincount(each))) for each in (units.real, units.synth))
    order = np.random.default_rng(seed).permutation(len(block))
    place = np.empty(len(block), int)  # of each image in its block, at random
    for k in range(block.max() + 1):
        mine = order[block[order] == k]
        place[mine] = np.arange(len(mine))
    return np.flatnonzero(place < max(usual, 1))


def _both(real: np.ndarray, synth: np.ndarray, most: float) -> np.ndarray:
    """z-scores of both sets, (N + M, D), clipped."""
    return np.clip(deviations(np.concatenate([real, synth]), real), -most, most)
