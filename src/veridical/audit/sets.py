"""Tests of a whole set: real and synthetic blocks are exchanged, and every statistic is computed again."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from veridical.audit import blocks as count
from veridical.audit import calibration
from veridical.audit.compare import Comparison
from veridical.audit.measure import PROPERTIES, SHAPES
from veridical.audit.scores import SCORES, deviations

SHIFTS = ("property_shift", "spectrum_shift")
CLIP = 10.0  # a single image counts no more than so many scaled scores
BALL = 3  # neighbours whose distance is the reach of a real image, for the coverage


class Units(NamedTuple):
    """What is exchanged: `real` (N,) and `synth` (M,) block numbers from 0, what a block is called, whether they suffice."""

    real: np.ndarray
    synth: np.ndarray
    kind: str
    enough: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of real and of synthetic blocks."""
        return int(self.real.max()) + 1, int(self.synth.max()) + 1


def names(searched: bool) -> list[str]:
    """The tests, in the order of `statistics`."""
    image = [name for name in SCORES if name != "copied"]
    return [*image, *(["memorised"] if searched else []), *SHIFTS, "mode_collapse", "low_coverage"]


def choose_units(slices: np.ndarray, fields: np.ndarray, synth_groups, tests: int, alpha: float) -> Units:
    """Slices if there are enough of them, otherwise fields of view.

    Synthetic images are merged into no more blocks than there are real ones: more would promise more than real images
    can show.
    """
    for real, kind in ((slices, "slices"), (fields, "fields of view")):
        n = int(real.max()) + 1
        # images of a generator are named one by one, so they are slices of one image each
        groups = synth_groups if kind == "slices" else np.arange(len(synth_groups))
        synth = count.merged(groups, n)
        units = Units(real, synth, kind, calibration.enough_blocks(n, int(synth.max()) + 1, tests, alpha))
        if units.enough or fields.max() == slices.max():
            break
    return units


def test_set(
    c: Comparison, units: Units, *, distance: np.ndarray | None = None, most: int = 999
) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p-value and observed statistic of each of `names`.

    Parameters
    ----------
    distance : (N + M, N + M), optional
        Between deep features of all images, real ones first, instead of those of `c`.
    most : int
        Ways to call blocks synthetic.
    """
    real, synth, scored = c.real, c.synth, c.scored
    distance = c.distance if distance is None else distance
    n, _ = units.sizes
    block = np.concatenate([units.real, units.synth + n])
    called = calibration.assignments(*units.sizes, most=most)
    keep = [k for k, name in enumerate(SCORES) if name != "copied"]
    columns = [np.clip(np.concatenate([scored.real, scored.mean])[:, keep], -3, CLIP)]
    if c.fair is not None and real.copy_distance is not None:
        near = -np.log(np.concatenate([real.copy_distance, c.fair]) + 0.02)[:, None]
        columns.append(deviations(near, near[: len(real)]))
    one_sided = sum(part.shape[1] for part in columns)
    tables = [
        _both(real.table((*PROPERTIES, *SHAPES)), synth.table((*PROPERTIES, *SHAPES))),
        _both(real.bands, synth.bands),
    ]
    edges = np.cumsum([one_sided, *(table.shape[1] for table in tables)])
    means = calibration.block_means(np.concatenate([*columns, *tables], 1), block)
    t = calibration.difference_t(means, called)
    found = [t[:, :one_sided]]
    found += [np.abs(t[:, a:b]).max(1, keepdims=True) for a, b in pairwise(edges.tolist())]
    # images of one slice are no fellows where slices count, and of one place never
    own = np.unique(c.groups, return_inverse=True)[1] if units.kind == "slices" else np.arange(len(synth))
    labels = np.concatenate([c.fields, own + c.fields.max() + 1])
    fellow = np.where(labels[:, None] == labels, np.inf, distance)
    found.append(np.array([[collapse(fellow, way[block]), uncovered(fellow, way[block])] for way in called]))
    statistics = np.concatenate(found, 1)
    return calibration.adjusted_p(statistics), statistics[0]


test_set.__test__ = False  # type: ignore[attr-defined]


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
    reach = np.sort(within, 1)[:, min(BALL, within.shape[1]) - 1]
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
