"""What shows a finding: curves of real and synthetic images, with the band of real ones, and how quoted values are distributed.

Numbers only; the page draws them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.auditing.evidence import WORDS
from veridical.auditing.measure import Segmentation

BAND = (0.05, 0.5, 0.95)  # quantiles over real images
LEVELS, RINGS, BINS, LAGS = 32, 16, 20, 24
SIGNIFICANT = 5  # digits that are kept


def curves(real: np.ndarray, synth: np.ndarray, segmentation: Segmentation) -> dict[str, dict[str, Any]]:
    """Curves by name, of images (N, C, H, W) and (M, C, H, W).

    Returns
    -------
    dict
        For each of ``spectrum``, ``grey_levels`` and ``two_point``: ``x``; ``low`` and ``high``, between which nine in ten real
        images lie at each x, and their median ``middle``; ``synth``, the median of synthetic images; ``label`` and ``x_label``;
        ``log`` if it is drawn on logarithmic scale.
    """
    from veridical.metrics.physics_phases import two_point_correlation
    from veridical.metrics.physics_spectrum import radial_power_spectrum

    sides = real, synth
    rings = [radial_power_spectrum(each, RINGS) for each in sides]
    reach = min(LAGS, min(*real.shape[2:]) // 2)
    lags = [two_point_correlation(segmentation(each), reach) for each in sides]
    levels = [_levels(each) for each in sides]
    centres = (np.arange(LEVELS) + 0.5) / LEVELS
    return {
        "spectrum": _curve(rings[0][0], rings[0][1], rings[1][1], "power", "cycles a pixel", log=True),
        "grey_levels": _curve(centres, levels[0], levels[1], "share of pixels", "grey level (0 to 1)"),
        "two_point": _curve(lags[0][0], lags[0][1], lags[1][1], "two-point probability", "distance in pixels"),
    }


def distribution(name: str, synth: np.ndarray, real: np.ndarray) -> dict[str, Any] | None:
    """How a quoted value is distributed over real (N,) and synthetic (M,) images; None where there is nothing to draw.

    Returns
    -------
    dict
        ``edges`` of bins, ``real`` and ``synth`` shares of images in them, ``label``. Of logarithms the values.
    """
    mine, usual = (each[np.isfinite(each)] for each in (synth, real))
    if not len(mine) or not len(usual):
        return None
    if WORDS[name].log:
        mine, usual = np.exp(mine), np.exp(usual)
    both = np.concatenate([mine, usual])
    low, high = np.quantile(both, [0.005, 0.995])
    if not high > low:
        low, high = float(both.min()), float(both.max())
    if not high > low:
        return None
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(each.clip(low, high), edges)[0] / len(each) for each in (usual, mine)]
    return {
        "label": WORDS[name].text.strip(","),
        "edges": _short(edges),
        "real": _short(shares[0]),
        "synth": _short(shares[1]),
    }


def _levels(images: np.ndarray) -> np.ndarray:
    """Shares of pixels of each image in `LEVELS` grey levels, (N, LEVELS)."""
    from veridical.metrics.physics_spectrum import luminance

    bins = (luminance(images).reshape(len(images), -1) * LEVELS).astype(int).clip(0, LEVELS - 1)
    return np.stack([np.bincount(each, minlength=LEVELS) for each in bins]) / bins.shape[1]


def _curve(
    x: np.ndarray, real: np.ndarray, synth: np.ndarray, label: str, x_label: str, log: bool = False
) -> dict[str, Any]:
    seen = np.isfinite(real).any(0) & np.isfinite(synth).any(0)  # rings of small images may hold no frequency
    if log:
        seen &= (np.nan_to_num(real) > 0).any(0)
    x, real, synth = x[seen], real[:, seen], synth[:, seen]
    low, middle, high = np.nanquantile(real, BAND, axis=0)
    return {
        "x": _short(x), "low": _short(low), "middle": _short(middle), "high": _short(high),
        "synth": _short(np.nanmedian(synth, 0)), "label": label, "x_label": x_label, "log": log,
    }  # fmt: skip


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{SIGNIFICANT}g}") for value in values]
