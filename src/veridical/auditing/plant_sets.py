"""Defects of sets, planted in measurements rather than in images: to ask what would have been caught, and to explain a set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from veridical.auditing.measure import PROPERTIES, SHAPES
from veridical.auditing.set_scores import Sets

Rng = np.random.Generator
COPY = 0.05  # copy distance of a planted copy


# ------------------------------------------------------------ altered: of the sets that passed, a severity and an rng


def copied(sets: Sets, severity: float, rng: Rng) -> Sets:
    """All images are at the copy distance `severity` from a training image."""
    return replace(sets, synth=sets.synth.with_copies(np.full(len(sets.synth), severity)))


def memorised(sets: Sets, severity: float, rng: Rng) -> Sets:
    """A share of the images are copies of training images."""
    copies = np.array(sets.synth.copy_distance)
    copies[rng.permutation(len(copies))[: round(severity * len(copies))]] = COPY
    return replace(sets, synth=sets.synth.with_copies(copies))


def mode_collapse(sets: Sets, severity: float, rng: Rng) -> Sets:
    """A share of the images replaced by the first three."""
    rows = np.arange(len(sets.synth))
    chosen = rng.permutation(len(rows))[: round(severity * len(rows))]
    rows[chosen] = rows[:3][np.arange(len(chosen)) % 3]
    return sets.made_of(rows)


def low_coverage(sets: Sets, severity: float, rng: Rng) -> Sets:
    """The share of the images that are nearest to the first one takes the places of all."""
    n, m = len(sets.real), len(sets.synth)
    nearest = np.argsort(sets.distance[n, n:])[: max(4, round(severity * m))]
    return sets.made_of(nearest[np.arange(m) % len(nearest)])


def property_shift(sets: Sets, severity: float, rng: Rng) -> Sets:
    """Every property higher by `severity` standard deviations between real images."""
    values = dict(sets.synth.values)
    for name in (*PROPERTIES, *SHAPES):
        values[name] = values[name] + severity * np.nanstd(sets.real.values[name])
    return replace(sets, synth=replace(sets.synth, values=values))


def shading(sets: Sets, severity: float, rng: Rng) -> Sets:
    """Corners darker by `severity` grey levels, 1 the whole range."""
    values = dict(sets.synth.values)
    values["shading_corners"] = values["shading_corners"] - severity
    return replace(sets, synth=replace(sets.synth, values=values))


def spectrum_shift(sets: Sets, severity: float, rng: Rng) -> Sets:
    """Every ring of the power spectrum higher by `severity` standard deviations between real images."""
    bands = sets.synth.bands + severity * sets.real.bands.std(0)
    return replace(sets, synth=replace(sets.synth, bands=bands))


# ------------------------------------- drawn: of real images in random `order`, with their distances, a set of `size`


def few_kinds(order: np.ndarray, distance: np.ndarray, severity: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the share `severity` of the images that are nearest to the first; rows taken, and rows that the set is made of."""
    nearest = np.argsort(distance[order[0]])[: max(size, round(severity * len(order)))]
    mine = order[np.isin(order, nearest)][:size]
    return mine, mine


def few_originals(order: np.ndarray, distance: np.ndarray, severity: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A share `severity` of the images but three replaced by these; rows taken, and rows that the set is made of."""
    mine = order[:size]
    kept = len(mine) - round(severity * (len(mine) - 3))
    made = mine.copy()
    made[kept:] = mine[np.arange(len(mine) - kept) % 3]
    return mine, made
