"""Shared geometry of the phantoms: packed discs, smooth noise, ranges to draw from."""

import math
from collections.abc import Iterable
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from veridical.core.errors import InputError

Range = float | tuple[float, float]


def draw(rng: np.random.Generator, value: Range) -> float:
    """A number as it is, or one drawn evenly from a (low, high) range."""
    if isinstance(value, tuple):
        return float(rng.uniform(*value))
    return float(value)


def traits_of(text: str) -> list[str]:
    """The names in a combination such as "cracks+binder"; an address has a space for the plus."""
    return text.replace("+", " ").split()


def check(options: Any, traits: Iterable[str], **limits: tuple[float, float]) -> None:
    """Raise InputError unless the options can be drawn.

    What can be a range is a number or a rising pair, what has limits lies within them, and `withhold` names `traits`.
    """
    for name in traits_of(options.withhold):
        if name.removeprefix("no_") not in traits:
            raise InputError(
                f"phantom option withhold={options.withhold} names {name!r}: join names from {', '.join(traits)} by +"
            )
    for field in fields(options):
        ranged = isinstance(field.default, tuple)
        if not ranged and field.name not in limits:
            continue
        low, high = limits.get(field.name, (-math.inf, math.inf))
        value = getattr(options, field.name)
        ends = value if isinstance(value, tuple) and ranged else (value, value)
        if not (len(ends) == 2 and all(isinstance(end, Real) for end in ends) and low <= ends[0] <= ends[1] <= high):
            kind = "a number or a (low, high) pair" if ranged else "a number"
            within = f" in {low:g} to {high:g}" if field.name in limits else ""
            raise InputError(f"phantom option {field.name}={value} must be {kind}{within}")


def pack_discs(rng: np.random.Generator, diameters: np.ndarray, side: float, steps: int = 300) -> np.ndarray:
    """Push randomly thrown discs apart until they hardly overlap (force-biased packing in a periodic square).

    After Moscinski and Bargiel (1991), without their shrinking of the discs: each step moves every overlapping pair
    apart along the line of centres. Area fractions up to about 0.8 settle.

    Parameters
    ----------
    rng : generator of the starting places.
    diameters : (N,) pixels.
    side : side of the square, pixels.
    steps : most steps to take; stops when no pair overlaps by more than 2 % of the mean diameter.

    Returns
    -------
    (N, 2) centres (y, x) in [0, side).
    """
    centres = rng.random((len(diameters), 2)) * side
    radii = diameters / 2
    reach = 2 * radii.max()
    if len(diameters) < 2 or reach * 2 >= side:
        return centres
    for _ in range(steps):
        pairs = cKDTree(centres, boxsize=side).query_pairs(reach, output_type="ndarray")
        if len(pairs) == 0:
            break
        i, j = pairs.T
        apart = centres[i] - centres[j]
        apart -= side * np.round(apart / side)
        distance = np.hypot(*apart.T)
        overlap = radii[i] + radii[j] - distance
        touching = overlap > 0
        if not touching.any() or overlap.max() < 0.02 * diameters.mean():
            break
        i, j = i[touching], j[touching]
        move = apart[touching] * (0.55 * overlap[touching] / np.maximum(distance[touching], 1e-9))[:, None]
        for axis in (0, 1):
            centres[:, axis] += np.bincount(i, move[:, axis], len(centres)) - np.bincount(
                j, move[:, axis], len(centres)
            )
        centres %= side
    return centres


def smooth_noise(
    rng: np.random.Generator, size: int, sigma: float, stretch: float = 1.0, angle: float = 0.0
) -> np.ndarray:
    """Gaussian noise of unit variance, blurred by `sigma` pixels across and `sigma * stretch` along `angle`; (S, S)."""
    pad = size + int(4 * sigma * max(stretch, 1.0))
    length = fft.next_fast_len(pad, real=True)
    fy, fx = fft.fftfreq(length)[:, None], fft.rfftfreq(length)[None, :]
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = -fx * np.sin(angle) + fy * np.cos(angle)
    response = np.exp(-2 * (np.pi * sigma) ** 2 * (across**2 + (stretch * along) ** 2))
    noise = fft.irfft2(fft.rfft2(rng.standard_normal((length, length))) * response, (length, length))[:size, :size]
    weight = np.where((np.arange(length // 2 + 1) == 0) | (np.arange(length // 2 + 1) * 2 == length), 1.0, 2.0)
    return noise / np.sqrt((response**2 * weight).sum() / length**2)


def whole_pieces(region: np.ndarray) -> int:
    """Number of 4-connected pieces of a region (S, S) that do not touch the border of the image."""
    pieces, n = ndimage.label(region)
    cut = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    return int(n - (cut > 0).sum())
