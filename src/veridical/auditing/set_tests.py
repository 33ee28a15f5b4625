"""Tests of a whole set: real and synthetic blocks are exchanged, and every statistic is computed again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from veridical.auditing.compare import Comparison
from veridical.auditing.image_scores import SCORES, deviations
from veridical.auditing.independence import Units
from veridical.auditing.measure import PROPERTIES, SHAPES
from veridical.stats.permutation import adjusted_p, assignments, block_means, difference_t

SHIFTS = ("property_shift", "spectrum_shift")
CLIP = 10.0  # a single image counts no more than so many scaled scores
WAYS = 999  # to call blocks synthetic
BALL = 3  # neighbours whose distance is the reach of a real image, for the coverage


def names(searched: bool) -> list[str]:
    """The tests, in the order of `statistics`."""
    image = [name for name in SCORES if name != "copied"]
    return [*image, *(["memorised"] if searched else []), *SHIFTS, "mode_collapse", "low_coverage"]


def test_set(c: Comparison, *, distance: np.ndarray | None = None, most: int = WAYS) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p-value and observed statistic of each of `names`.

    Parameters
    ----------
    distance : (N + M, N + M), optional
        Between deep features of all images, real ones first, instead of those of `c`.
    most : int
        Ways to call blocks synthetic.
    """
    real, synth, units, scored = c.real, c.synth, c.units, c.scored
    distance = c.distance if distance is None else distance
    n, _ = units.sizes
    block = np.concatenate([units.real, units.synth + n])
    called = assignments(*units.sizes, most=most)
    keep = [k for k, name in enumerate(SCORES) if name != "copied"]
    columns = [np.clip(np.concatenate([scored.real, scored.single])[:, keep], -3, CLIP)]
    if c.fair is not None and real.copy_distance is not None:
        near = -np.log(np.concatenate([real.copy_distance, c.fair]) + 0.02)[:, None]
        columns.append(deviations(near, near[: len(real)]))
    one_sided = sum(part.shape[1] for part in columns)
    tables = [
        _both(real.table((*PROPERTIES, *SHAPES)), synth.table((*PROPERTIES, *SHAPES))),
        _both(real.bands, synth.bands),
    ]
    edges = np.cumsum([one_sided, *(table.shape[1] for table in tables)])
    # All blocks are of about one size: means of few images vary more, and distances to the nearest are larger.
    thin = thinned(units, block)
    means = block_means(np.concatenate([*columns, *tables], 1)[thin], block[thin])
    t = difference_t(means, called)
    found = [t[:, :one_sided]]
    found += [np.abs(t[:, a:b]).max(1, keepdims=True) for a, b in pairwise(edges.tolist())]
    # A block is moved as a whole, so its images are no fellows: else they would be near to each other in all ways.
    fellow = np.where(block[:, None] == block, np.inf, distance)[np.ix_(thin, thin)]
    found.append(
        np.array([[collapse(fellow, way[block[thin]]), uncovered(fellow, way[block[thin]])] for way in called])
    )
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


def collapse(distance: np.ndarray, synth: np.ndarray) -> float:
    """Minus the mean logarithm of the distance to the nearest fellow, over the images called synthetic, (T,) bool."""
    nearest = distance[synth][:, synth].min(1)
    nearest = nearest[np.isfinite(nearest)]
    return float(-np.log(nearest + 1e-3).mean()) if len(nearest) else -np.inf


def uncovered(distance: np.ndarray, synth: np.ndarray) -> float:
    """Mean logarithm of the distance of real images to the nearest synthetic one over that to their `BALL`-th fellow.

    High where whole kinds of real images are missing. A smooth form of 1 - coverage (Naeem et al. 2020).
    """
    real = distance[~synth]
    across, within = real[:, synth].min(1), real[:, ~synth]
    ball = min(BALL, within.shape[1]) - 1
    reach = np.partition(within, ball, 1)[:, ball]
    known = np.isfinite(across) & np.isfinite(reach)
    return float(np.log((across[known] + 1e-3) / (reach[known] + 1e-3)).mean()) if known.any() else 0.0


def coverage(distance: np.ndarray, synth: np.ndarray) -> float:
    """Share of real images with a synthetic one within the distance of their `BALL`-th fellow."""
    real = distance[~synth]
    within = np.sort(real[:, ~synth], 1)
    return float((real[:, synth].min(1) <= within[:, min(BALL, within.shape[1]) - 1]).mean())


def _both(real: np.ndarray, synth: np.ndarray) -> np.ndarray:
    """z-scores of both sets, (N + M, D), clipped."""
    return np.clip(deviations(np.concatenate([real, synth]), real), -CLIP, CLIP)
