"""Copies within a set: images of different slices that are nearer to each other than any two real ones, and show one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, title_of
from veridical.auditing.independence import same_place
from veridical.auditing.set_scores import CLOSE, CROWDED

NAME = "mode_collapse"


def close(c: Comparison, across: np.ndarray) -> np.ndarray:
    """Which synthetic images of different slices are nearer to each other than real ones of different places are, (M, M) bool.

    Parameters
    ----------
    c : Comparison
    across : (M, M) distances between deep features of synthetic images
    """
    contrast = np.median(c.synth.values["contrast"]) / np.median(c.real.values["contrast"])
    return np.asarray((across < min(contrast, 1) * _bound(c)) & (c.groups[:, None] != c.groups))


def crowded(c: Comparison, near: np.ndarray) -> bool:
    """Whether more than a few images have a copy by `near` (M, M), beyond the share of real ones that have as near a neighbour.

    Where real images are neighbouring slices, or tiles that overlap, synthetic ones may be, too.
    """
    apart = c.own.deep + np.diag(np.full(len(c.real), np.inf))
    return bool(near.any(1).mean() - (apart < _bound(c)).any(1).mean() > CROWDED)


def _bound(c: Comparison) -> float:
    """Nearer than this no real images of two places are, in distances between deep features; 0 where there is one place."""
    usual = nearest_fellow(c.own.deep, c.fields)
    return float(CLOSE * np.nanmin(usual)) if np.isfinite(usual).any() else 0.0


def repeats(c: Comparison, images: np.ndarray) -> list[dict[str, Any]]:
    """The finding that more than a few synthetic images (M, C, H, W) are copies of each other, or nothing.

    No test says that of a few slices, between which copies are spread. Images of nothing are near to each other, too, but do not
    show one place, since their noise differs.
    """
    near = close(c, c.across)
    if not crowded(c, near):
        return []
    near = near & same_place(images)
    if not crowded(c, near):
        return []
    which = near.any(1)
    text = (
        f"{which.sum()} of {len(which)} images have another one nearer than any two real images of different places are: "
        f"{DEFECTS[NAME].what}"
    )
    about = {"defect": NAME, "title": title_of(NAME), "level": "set", "p_value": 0.0, "explanation": text}
    return [about | {"statistic": float(which.mean()), "expected": [0.0, 0.0], "curve": None, "distribution": None}]


def nearest_fellow(distance: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Distance to the nearest image of another label, (N,); NaN where there is none."""
    nearest = np.where(labels[:, None] == labels, np.inf, distance).min(1)
    return np.where(np.isfinite(nearest), nearest, np.nan)
