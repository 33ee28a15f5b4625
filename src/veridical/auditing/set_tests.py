"""Tests of a whole set: real and synthetic blocks are exchanged, and every statistic is computed again (permutation test)."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import numpy as np

from veridical.auditing.case import deviations
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, Mean, Shift, Spacing, scores
from veridical.auditing.independence import Units
from veridical.auditing.set_scores import Sets
from veridical.stats.permutation import adjusted_p, assignments, block_means, difference_t

Kind = TypeVar("Kind", Mean, Shift, Spacing)
CLIP = 10.0  # a single image counts no more than so many scaled scores
WAYS = 999  # to call blocks synthetic


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
    real, synth, distance = sets.real, sets.synth, sets.distance
    n, _ = units.sizes
    block = np.concatenate([units.real, units.synth + n])
    called = assignments(*units.sizes, most=most)
    tested = _scored()
    keep = [k for k, name in enumerate(scores()) if name in tested]
    columns = [np.clip(np.concatenate([scored.real, scored.single])[:, keep], -3, CLIP)]
    for test in _of(Mean, c.searched).values():
        values = np.concatenate([test.function(real), test.function(synth)])
        columns.append(deviations(values, values[: len(real)]))
    one_sided = sum(part.shape[1] for part in columns)
    tables = [_both(test.function(real), test.function(synth)) for test in _of(Shift, c.searched).values()]
    edges = np.cumsum([one_sided, *(table.shape[1] for table in tables)])
    # All blocks are of about one size: means of few images vary more, and distances to the nearest are larger.
    thin = thinned(units, block)
    means = block_means(np.concatenate([*columns, *tables], 1)[thin], block[thin])
    t = difference_t(means, called)
    found = [t[:, :one_sided]]
    found += [np.abs(t[:, a:b]).max(1, keepdims=True) for a, b in pairwise(edges.tolist())]
    # A block is moved as a whole, so its images are no fellows: else they would be near to each other in all ways.
    fellow = np.where(block[:, None] == block, np.inf, distance)[np.ix_(thin, thin)]
    spacings = [test.function for test in _of(Spacing, c.searched).values()]
    found.append(np.array([[spacing(fellow, way[block[thin]]) for spacing in spacings] for way in called]))
    statistics = np.concatenate(found, 1)
    return adjusted_p(statistics), statistics[0]


test_set.__test__ = False  # type: ignore[attr-defined]


def thinned(units: Units, block: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows of images of which no block has more than the usual block of the side with smaller ones."""
    usual = min(int(np.median(np.bincount(each))) for each in (units.real, units.synth))
    order = np.random.default_rng(seed).permutation(len(block))
    place = np.empty(len(block), int)  # of each image in its block, at random
    for k in range(block.max() + 1):
        mine = order[block[order] == k]
        place[mine] = np.arange(len(mine))
    return np.flatnonzero(place < max(usual, 1))


def _both(real: np.ndarray, synth: np.ndarray) -> np.ndarray:
    """z-scores of both sets, (N + M, D), clipped."""
    return np.clip(deviations(np.concatenate([real, synth]), real), -CLIP, CLIP)
