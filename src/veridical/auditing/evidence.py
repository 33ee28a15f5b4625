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
    "nearest_fellow": ("the distance of an image to its nearest fellow", False),
    "uncovered": (
        "the distance of a real image to the nearest synthetic one, over that to its third real fellow,",
        False,
    ),
    "score": ("the score, 0 for the usual real image and 1 for one in twenty,", False),
} | {f"band_{k}": (f"power at {k / 16:.3f} to {(k + 1) / 16:.3f} cycles a pixel", True) for k in range(8)}


@dataclass(frozen=True)
class Evidence:
    """What an explanation quotes: a value, and between what it lies for most of the real images, or sets, `of`."""

    name: str
    value: float
    low: float | None
    high: float | None
    of: str = "90 % of real images"

    @property
    def outside(self) -> bool:
        """Whether the value is lower or higher than those."""
        return self.too_low or (self.high is not None and self.value > self.high)

    @property
    def too_low(self) -> bool:
        """Whether it is lower."""
        return self.low is not None and self.value < self.low

    def __str__(self) -> str:
        digits = next((k for k in range(3, 7) if self._told(k)), 7)  # as many as tell it from the range
        value, low, high = (None if v is None else _short(v, digits) for v in (self.value, self.low, self.high))
        usual = f"at most {high}" if low is None else f"at least {low}" if high is None else f"{low} to {high}"
        return f"{WORDS[self.name][0]} is {value}; {self.of}: {usual}"

    def _told(self, digits: int) -> bool:
        value, low, high = (None if v is None else _short(v, digits) for v in (self.value, self.low, self.high))
        return not self.outside or value not in (low, high)


def quote(names: tuple[str, ...], x: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> Evidence | None:
    """The value that is farthest off: that of one image `x`, each (1,), beside the 5th and 95th percentile of `real`."""
    names = known(names, x, real)
    if not names:
        return None
    mine = np.array([[x[name][0] for name in names]])
    off = np.abs(deviations(mine, np.stack([real[name] for name in names], 1)))[0]
    k = int(off.argmax())
    low, high = np.nanquantile(real[names[k]], [0.05, 0.95])
    value, low, high = (in_units(names[k], v) for v in (mine[0, k], low, high))
    return Evidence(names[k], value, low, high)


def known(names: tuple[str, ...], x: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Those of `names` of which both sides have a value."""
    return tuple(name for name in names if name in x and np.isfinite(x[name]).any() and np.isfinite(real[name]).any())


def in_units(name: str, value: float) -> float:
    """A value as people read it: no logarithm."""
    return float(np.exp(value) if WORDS[name][1] else value)


def quotable(x: Measured, strangest: np.ndarray, strangeness: np.ndarray) -> dict[str, np.ndarray]:
    """All values that explanations may quote, (N,) each."""
    found = dict(x.values) | {name: x.bands[:, k] for k, name in enumerate(SPECTRUM)}
    found |= {"strangest_place": strangest, "strangeness": strangeness}
    if x.copy_distance is not None:
        found["copy"] = x.copy_distance
    return found


def _short(value: float, digits: int = 3) -> str:
    return f"{value:.0f}" if abs(value) >= 100 and digits == 3 else f"{value:.{digits}g}"
