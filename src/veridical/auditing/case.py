"""A case to judge: images beside the real ones that are most like them, and how far a measurement is from theirs.

Distances are those of PatchCore (Roth et al. 2022, arXiv:2106.08265): of whole images, and of each patch to a bank of real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from veridical.auditing.measure import Measured

FEWEST = 0.1  # share of real images that a measurement must be defined for
ALIKE = 5  # real images nearest in deep features, beside which an image is judged


@dataclass(frozen=True)
class Nearness:
    """Distances of N images to R real ones: `deep` (N, R), and of each of P patches to the nearest of each, (N, P, R)."""

    deep: np.ndarray
    patch: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Nearness:
        return Nearness(self.deep[rows], self.patch[rows])

    def to(self, columns: np.ndarray) -> Nearness:
        """Distances to some of the real images."""
        return Nearness(self.deep[:, columns], self.patch[:, :, columns])


def nearness(x: Measured, real: Measured) -> Nearness:
    """Distances between deep features of all images of two sets."""
    from veridical.metrics.distribution import distances

    n, places, width = x.patches.shape
    bank = real.patches.reshape(-1, width)
    squares = (bank**2).sum(1)
    nearest = np.empty((n, places, len(real)), np.float32)
    for k, patches in enumerate(x.patches):
        square = (patches**2).sum(1)[:, None] + squares - 2 * patches @ bank.T
        nearest[k] = np.sqrt(square.clip(0)).reshape(places, len(real), -1).min(2)
    return Nearness(distances(x.deep, real.deep), nearest)


def without_self(distance: np.ndarray) -> np.ndarray:
    """Distances (N, N) in which an image is no fellow of its own: to itself, infinite."""
    return np.where(np.eye(len(distance), dtype=bool), np.inf, distance)


def alone(own: Nearness) -> Nearness:
    """Distances of real images to the other ones: to itself, infinite; changed in place, as they are large."""
    rows = np.arange(len(own.deep))
    own.deep[rows, rows] = np.inf
    own.patch[rows, :, rows] = np.inf
    return own


def patches_alone(x: Nearness) -> np.ndarray:
    """Distance of each patch to the nearest real patch, (N, P)."""
    return x.patch.min(2)


@dataclass(frozen=True)
class Case:
    """Images to judge and the real ones to judge them by, with the distances between them.

    Real images may be of several kinds, and what lies between kinds is no image of any. So most scores look at the difference of
    an image from the real ones that are most like it in deep features, in units of what those of real images vary by.
    """

    x: Measured
    real: Measured
    near: Nearness
    real_near: Nearness  # of the real ones to each other; a distance to itself is infinite

    @cached_property
    def alike(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the real images most like each image to judge, and like each real one, (N, ALIKE) and (R, ALIKE)."""
        few = max(1, min(ALIKE, len(self.real_near.deep) - 1))
        return np.argsort(self.near.deep, 1)[:, :few], np.argsort(self.real_near.deep, 1)[:, :few]

    def apart(self, mine: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measurements (N, D) and (R, D) less the mean of those of the real images that are alike, as far as they are numbers."""
        known = np.isfinite(usual)
        filled = np.where(known, usual, 0)
        means = []
        for rows in self.alike:
            count = known[rows].sum(1)
            means.append(np.where(count > 0, filled[rows].sum(1) / np.maximum(count, 1), np.nan))
        return mine - means[0], usual - means[1]

    def deviations(self, mine: np.ndarray, usual: np.ndarray) -> np.ndarray:
        """Robust z-scores of (N,) or (N, D) beside the real images that are alike."""
        flat = mine.ndim == 1
        z = deviations(*self.apart(mine[:, None], usual[:, None]) if flat else self.apart(mine, usual))
        return z[:, 0] if flat else z

    def deviation(self, name: str) -> np.ndarray:
        """That of a value, (N,); 0 where it is not defined."""
        return self.deviations(self.x.values[name], self.real.values[name])

    def high(self, name: str) -> np.ndarray:
        return self.deviation(name)

    def low(self, name: str) -> np.ndarray:
        return -self.deviation(name)


def deviations(x: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Robust z-scores of columns, (N, D), in units of `usual` values of real images.

    What is not a number scores 0, and so do columns that are numbers for less than a tenth of the real images: two
    particles in one image do not say how large particles are.
    """
    centre, scale, defined = usual(real)
    with np.errstate(invalid="ignore"):
        z = (x - centre) / scale
    return np.where(np.isfinite(z) & defined, z, 0.0)


def usual(real: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median and unit of columns (N, D), and which are defined, (D,) each.

    The unit is 1.48 times the median deviation, at least a fifth of the standard deviation, and never nothing: that of a
    column which is constant in real images is 1e-3.
    """
    finite = np.isfinite(real)
    defined: np.ndarray = finite.mean(0) >= FEWEST
    if finite.all():  # many times as fast as with NaN
        centre, spread, sigma = np.median(real, 0), np.median(np.abs(real - np.median(real, 0)), 0), real.std(0)
    else:
        known = np.where(defined, np.where(finite, real, np.nan), 0)
        centre = np.nanmedian(known, 0)
        spread, sigma = np.nanmedian(np.abs(known - centre), 0), np.nanstd(known, 0)
    return centre, np.maximum(np.maximum(1.4826 * spread, 0.2 * sigma), 1e-3), defined


def joint(x: np.ndarray, real: np.ndarray, shrink: float = 0.2) -> np.ndarray:
    """Mahalanobis distance of rows from real ones over the root of the number of columns, (N,), on robust z-scores.

    The covariance is shrunk to the unit matrix, as there are few images.
    """
    z, reference = deviations(x, real), np.clip(deviations(real, real), -5, 5)
    covariance = (1 - shrink) * np.cov(reference, rowvar=False) + shrink * np.eye(x.shape[1])
    return np.sqrt(np.einsum("ij,ij->i", z, np.linalg.solve(covariance, z.T).T) / x.shape[1])
