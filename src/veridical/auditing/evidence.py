"""The evidence that an explanation quotes: a measured value in words, beside the range of nine in ten real images or sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from veridical.auditing.case import deviations
from veridical.auditing.measure import SPECTRUM, Measured

# Value -> what it is called, and whether it is kept as a logarithm.
WORDS: dict[str, tuple[str, bool]] = {
    "contrast": ("the standard deviation of grey levels", False),
    "log_contrast": ("the standard deviation of grey levels", True),
    "mean": ("the mean grey level", False),
    "q05": ("the grey level of the darkest 5 %", False),
    "q50": ("the median grey level", False),
    "q95": ("the grey level of the brightest 5 %", False),
    "colour": ("the largest difference between channels", False),
    "red_green": ("red minus green", False),
    "yellow_blue": ("yellow minus blue", False),
    "red_green_spread": ("the spread of red minus green", False),
    "yellow_blue_spread": ("the spread of yellow minus blue", False),
    "chroma": ("the mean chroma", False),
    "saturated": ("the share of black and white pixels", False),
    "copy": ("the distance to the nearest training crop (0 a copy, 1 unrelated)", False),
    "checkerboard": ("energy at the frequencies of upsampling over that around them, in dB,", False),
    "log_seam": ("the difference of opposite borders over that of neighbouring rows, in squares,", True),
    "shading_x": ("the grey level at the right less that in the middle", False),
    "shading_y": ("the grey level at the bottom less that in the middle", False),
    "shading_corners": ("the grey level at the corners less that in the middle", False),
    "log_noise_0": ("the noise level", True),
    "log_tails": ("the finest detail over its usual size", True),
    "flat": ("the share of constant 3 x 3 windows", False),
    "log_sharpness": ("the steepness of edges over the contrast", True),
    "strangest_place": ("the distance of the strangest place to real ones", False),
    "strangeness": ("the distance to the nearest real images", False),
    "phase_fraction": ("the share of the brighter phase", False),
    "log_size": ("the mean opening radius of the brighter phase in pixels", True),
    "log_chord_bright": ("the mean chord of the brighter phase in pixels", True),
    "log_chord_dark": ("the mean chord of the darker phase in pixels", True),
    "perimeter": ("the boundary length a pixel", False),
    "euler": ("parts minus holes a pixel", False),
    "log_grain": ("the correlation length in pixels", True),
    "direction_cos": ("the orientation along x against y", False),
    "direction_sin": ("the orientation along the diagonals", False),
    "coherence": ("the coherence of orientations", False),
    "slope": ("the slope of the power spectrum", False),
    "particles": ("the number of particles a thousand pixels", False),
    "diameter": ("the median particle diameter in pixels", False),
    "diameter_spread": ("the spread of particle diameters", False),
    "circularity": ("the circularity of particles", False),
    "elongation": ("the elongation of particles", False),
    "solidity": ("the solidity of particles", False),
    "neighbour": ("the distance between neighbouring particles in pixels", False),
    "neighbour_spread": ("the spread of distances between particles", False),
    "length": ("the length of the skeleton in pixels", False),
    "tips": ("the number of tips", False),
    "branch_points": ("the number of branch points", False),
    "width": ("the width along the skeleton in pixels", False),
    "nearest_fellow": ("the median distance of an image to its nearest fellow", False),
    "coverage": ("the share of real images with a synthetic one near", False),
} | {f"band_{k}": (f"power at {k / 16:.3f} to {(k + 1) / 16:.3f} cycles a pixel", True) for k in range(8)}


@dataclass(frozen=True)
class Evidence:
    """What an explanation quotes: a value, and the range of nine in ten real images, or sets."""

    name: str
    value: float
    low: float
    high: float
    of: str = "images"

    def __str__(self) -> str:
        return f"{WORDS[self.name][0]} is {_short(self.value)}; 90 % of real {self.of}: {_short(self.low)} to {_short(self.high)}"


def quote(
    names: tuple[str, ...], x: dict[str, np.ndarray], real: dict[str, np.ndarray], of: str = "images"
) -> Evidence | None:
    """The value that is farthest off: the median over `x`, each (M,), beside the 5th and 95th percentile of `real`.

    `of` says what `real` has values of: images, or sets.
    """
    names = tuple(name for name in names if name in x and np.isfinite(x[name]).any() and np.isfinite(real[name]).any())
    if not names:
        return None
    middle = np.array([[np.nanmedian(x[name]) for name in names]])
    off = np.abs(deviations(middle, np.stack([real[name] for name in names], 1)))[0]
    name = names[int(off.argmax())]
    low, high = np.nanquantile(real[name], [0.05, 0.95])
    value, low, high = (float(np.exp(v) if WORDS[name][1] else v) for v in (middle[0, off.argmax()], low, high))
    return Evidence(name, value, low, high, of)


def quotable(x: Measured, strangest: np.ndarray, strangeness: np.ndarray) -> dict[str, np.ndarray]:
    """All values that explanations may quote, (N,) each."""
    found = dict(x.values) | {name: x.bands[:, k] for k, name in enumerate(SPECTRUM)}
    found |= {"strangest_place": strangest, "strangeness": strangeness}
    if x.copy_distance is not None:
        found["copy"] = x.copy_distance
    return found


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
