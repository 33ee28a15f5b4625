"""Calibrated scores of single images: 0 is the median of real images, 1 their 95th percentile.

Real images are scored as synthetic ones are: by real images of other units (cross-conformal prediction, see `stats.conformal`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from veridical.auditing.case import Case, Nearness
from veridical.auditing.defects import scores
from veridical.auditing.measure import Measured


@dataclass(frozen=True)
class Scored:
    """Scaled scores of N real and M synthetic images; a column for each of the D `defects.scores`.

    Attributes
    ----------
    synth : (F, M, D) by the real images without each of F folds
    real : (N, D) by the real images without their own fold
    fold : (N,) that each real image was left out with
    centre, scale : (D,) of raw scores
    """

    synth: np.ndarray
    real: np.ndarray
    fold: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Scores of synthetic images, mean over folds, (M, D)."""
        return self.synth.mean(0)

    @property
    def single(self) -> np.ndarray:
        """Scores of synthetic images, each by one fold in turn, (M, D): distributed as those of real ones if alike."""
        rows = np.arange(self.synth.shape[1])
        return self.synth[rows % len(self.synth), rows]

    def of(self, x: Measured, real: Measured, near: Nearness, real_near: Nearness, fold: int) -> np.ndarray:
        """Scaled scores (M, D) of further images, measured against the real ones without a fold."""
        return (_raw(x, real, near, real_near, np.flatnonzero(self.fold != fold)) - self.centre) / self.scale


def score_images(synth: Measured, real: Measured, fold: np.ndarray, near: Nearness, real_near: Nearness) -> Scored:
    """Score synthetic images against the real ones without each fold, and the real ones of the fold in the same way."""
    count = fold.max() + 1
    units = np.array([scale for _, scale in scores().values()])
    found = np.empty((count, len(synth), len(units)))
    own = np.empty((len(real), len(units)))
    for f in range(count):
        others, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        found[f] = _raw(synth, real, near, real_near, others)
        own[held] = _raw(real[held], real, real_near[held], real_near, others)
    centre = np.median(own, 0)
    scale = np.maximum(np.quantile(own, 0.95, axis=0) - centre, units)
    return Scored((found - centre) / scale, (own - centre) / scale, fold, centre, scale)


def _raw(x: Measured, real: Measured, near: Nearness, real_near: Nearness, rows: np.ndarray) -> np.ndarray:
    """Scores (M, D) of images by some of the real ones."""
    case = Case(x, real[rows], near.to(rows), real_near[rows].to(rows))
    return np.stack([score(case) for score, _ in scores().values()], 1)
