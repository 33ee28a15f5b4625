"""Which images metrics compare: in an order that only their content decides, and equally many independent ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import digests
from veridical.stats.groups import halves, independent, one_group, spread_evenly

NEIGHBOURS = 5

# Of larger sets so many images, spread evenly over slices, are compared by their features: each with each, so that memory and
# time grow with the square of this number, and what chance makes is small already (benchmarks/large_sets.py).
MOST = 4000


class Rows(NamedTuple):
    """Row numbers of real images and synthetic ones, sorted by content; of other real images, which stand in the place of
    synthetic ones for the floor, and of the real ones `half` beside them; and the labels of all four."""

    real: NDArray[Any]
    synth: NDArray[Any]
    half: NDArray[Any]
    others: NDArray[Any]
    real_groups: NDArray[Any]
    synth_groups: NDArray[Any]
    half_groups: NDArray[Any]
    other_groups: NDArray[Any]


class Equal(NamedTuple):
    """What metrics that depend on n are given: positions in `Rows.half`, and draws of n independent images of `Rows.synth` and
    of `Rows.others`; labels of the first and of all of `synth`; why there is no floor."""

    n: int
    real: NDArray[Any]
    synth: list[NDArray[Any]]
    others: list[NDArray[Any]]
    groups: list[NDArray[Any]]
    no_floor: str | None


Labelled = tuple[NDArray[Any], NDArray[Any] | None]  # images, and a label each or None: every image by itself


def rows_of(real: Labelled, synth: Labelled, others: Labelled | None) -> Rows:
    """Rows by content: which images are drawn must not depend on the order they came in. Without `others` the real are halved."""
    (order, groups), (synth_order, synth_groups) = canonical(*real), canonical(*synth)
    if others is None:
        half, other = halves(groups)
        return Rows(order, synth_order, order[half], order[other], groups, synth_groups, groups[half], groups[other])
    other_order, other_groups = canonical(*others)
    return Rows(order, synth_order, order, other_order, groups, synth_groups, groups, other_groups)


def equal_of(rows: Rows) -> Equal:
    """Equally many independent images, one a slice, in the place of synthetic and of other real ones.

    Tiles of one slice are alike: as many independent images are nearer to the real ones. Where there are too few
    slices for that, n is that of tiles, and there is no floor.
    """
    synth, others = rows.synth_groups, rows.other_groups
    if one_group(rows.half_groups, others):
        others = np.arange(len(others))
    tiles = min(len(rows.half), len(synth), len(others))
    slices = min(len(np.unique(synth)), len(np.unique(others)))
    n, no_floor = min(slices, len(rows.half)), None
    if n <= NEIGHBOURS and n < tiles:
        n = tiles
        drawn, floor = ([spread_evenly(groups, n)] for groups in (synth, others))
        no_floor = f"no floor: fewer than {NEIGHBOURS + 1} other slices"
    else:
        drawn, floor = (independent(groups, n) if n else [] for groups in (synth, others))
    real = spread_evenly(rows.half_groups, tiles)
    return Equal(n, real, drawn, floor, [rows.half_groups[real], synth], no_floor)


def canonical(images: NDArray[Any], groups: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows sorted by content, at most `MOST`, and the labels in this order; without any, every image is a group."""
    order = np.argsort(np.array(digests(images)), kind="stable")
    labels = np.arange(len(order)) if groups is None else groups[order]
    if len(order) <= MOST:
        return order, labels
    kept = spread_evenly(labels, MOST)
    return order[kept], labels[kept]


def remarks_of(largest: int) -> tuple[str, ...]:
    """What has to be said of numbers from features of sets, the largest of which has so many images."""
    if largest <= MOST:
        return ()
    return (f"{MOST} images of a set, spread evenly over its slices, are compared by their features",)
