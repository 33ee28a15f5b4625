"""How suspicious a whole set is of each defect: one statistic a defect. The rows of `defects` name them, `set_tests` tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from veridical.auditing.measure import PROPERTIES, SHADING, SHAPES, Measured

BALL = 3  # neighbours whose distance is the reach of a real image, for the coverage
APART, SMALL = 0.02, 1e-3  # are added to distances whose logarithm is taken
CLOSE = 0.6  # times the least distance of a real image to a fellow: nearer ones are copies of each other
CROWDED = 0.1  # share of images with a copy: what the set is called for first


@dataclass(frozen=True)
class Sets:
    """N real and M synthetic images as tests of the whole set see them.

    Attributes
    ----------
    real, synth : Measured
        Copy distances of both are to as many training images, or None where copies were not searched for.
    distance : (N + M, N + M) distances between deep features of all images, real ones first
    """

    real: Measured
    synth: Measured
    distance: np.ndarray

    def made_of(self, rows: np.ndarray) -> Sets:
        """The sets with the synthetic images `rows` (K,) instead; what is there twice is near to itself, but not equal."""
        n = len(self.real)
        take = np.concatenate([np.arange(n), n + rows])
        far = self.distance[np.ix_(take, take)]
        # copies of a generator are never equal
        near = np.quantile(far[far > 0], 0.01)
        same = (take[:, None] == take) & ~np.eye(len(take), dtype=bool)
        return replace(self, synth=self.synth[rows], distance=np.where(same, near / 2, far))


# ------------------------------------------------------------------------------------------- tables of measurements


def nearness_to_training(x: Measured) -> np.ndarray:
    """Minus the logarithm of the distance to the nearest training crop, (N, 1)."""
    assert x.copy_distance is not None  # is tested where copies were searched for
    return -np.log(x.copy_distance + APART)[:, None]


def properties(x: Measured) -> np.ndarray:
    """Material properties and shapes, (N, D)."""
    return x.table((*PROPERTIES, *SHAPES))


def shading(x: Measured) -> np.ndarray:
    """How brightness changes slowly across images, (N, 3)."""
    return x.table(SHADING)


def power_spectrum(x: Measured) -> np.ndarray:
    """Logarithm of the power spectrum in rings, (N, BANDS)."""
    return x.bands


# ---------------------------------------------------------------------------- distances: (T, T), and which are synthetic


def collapse(distance: np.ndarray, synth: np.ndarray) -> float:
    """Minus the mean logarithm of the distance to the nearest fellow, over the images called synthetic, (T,) bool.

    NaN where none has a fellow: one image by itself says nothing.
    """
    nearest = distance[synth][:, synth].min(1)
    nearest = nearest[np.isfinite(nearest)]
    return float(-np.log(nearest + SMALL).mean()) if len(nearest) else np.nan


def uncovered(distance: np.ndarray, synth: np.ndarray) -> float:
    """Mean logarithm of the distance of real images to the nearest synthetic one over that to their `BALL`-th fellow.

    High where whole kinds of real images are missing. A smooth form of 1 - coverage (Naeem et al. 2020).
    """
    real = distance[~synth]
    across, within = real[:, synth].min(1), real[:, ~synth]
    ball = min(BALL, within.shape[1]) - 1
    reach = np.partition(within, ball, 1)[:, ball]
    known = np.isfinite(across) & np.isfinite(reach)
    return float(np.log((across[known] + SMALL) / (reach[known] + SMALL)).mean()) if known.any() else 0.0


# ------------------------------------------------------------------------------------------------------------- words


def as_copy_distance(nearness: float) -> float:
    """The copy distance that `nearness_to_training` is of."""
    return float(np.exp(-nearness) - APART)


def as_distance(closeness: float) -> float:
    """The distance that `collapse` is of: a geometric mean."""
    return float(np.exp(-closeness) - SMALL)


def as_ratio(log: float) -> float:
    """The ratio of distances that `uncovered` is of: a geometric mean."""
    return float(np.exp(log))


def crowded(mine: dict[str, np.ndarray], usual: dict[str, np.ndarray]) -> bool:
    """Whether a set holds copies, which have the peculiarities of what they are copies of, too: that they are copies comes first.

    Parameters
    ----------
    mine, usual : values (M,) of synthetic and (N,) of real images by name
        ``nearest_fellow`` is the distance to the nearest fellow; images of nothing are near to each other, too, so the bound is
        lower where the median ``contrast`` is.
    """
    contrast = np.median(mine["contrast"]) / np.median(usual["contrast"])
    close = mine["nearest_fellow"] < CLOSE * min(contrast, 1) * np.nanmin(usual["nearest_fellow"])
    return bool(np.mean(close) > CROWDED)
