"""The evidence that an explanation quotes: a measured value in words, beside the range of nine in ten real images or sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veridical.auditing.case import deviations
from veridical.auditing.measure import SPECTRUM, Measured


class Word(NamedTuple):
    """What a value is called, between what it lies whatever the images, and whether it is kept as a logarithm."""

    text: str
    limits: tuple[float, float]
    log: bool = False


SHARE, SIGNED, POSITIVE, ANY = (0.0, 1.0), (-1.0, 1.0), (0.0, np.inf), (-np.inf, np.inf)
WORDS: dict[str, Word] = {
    "contrast": Word("the standard deviation of grey levels", SHARE),
    "log_contrast": Word("the standard deviation of grey levels", POSITIVE, log=True),
    "mean": Word("the mean grey level", SHARE),
    "q05": Word("the grey level of the darkest 5 %", SHARE),
    "q50": Word("the median grey level", SHARE),
    "q95": Word("the grey level of the brightest 5 %", SHARE),
    "colour": Word("the largest difference between channels", SHARE),
    "red_green": Word("red minus green", SIGNED),
    "yellow_blue": Word("yellow minus blue", SIGNED),
    "red_green_spread": Word("the spread of red minus green", POSITIVE),
    "yellow_blue_spread": Word("the spread of yellow minus blue", POSITIVE),
    "chroma": Word("the mean chroma", SHARE),
    "saturated": Word("the share of black and white pixels", SHARE),
    "copy": Word("the distance to the nearest training crop (0 a copy, 1 unrelated)", POSITIVE),
    "checkerboard": Word("energy at the frequencies of upsampling over that around them, in dB,", ANY),
    "log_seam": Word(
        "the difference of opposite borders over that of neighbouring rows, in squares,", POSITIVE, log=True
    ),
    "shading_x": Word("the grey level at the right less that in the middle", SIGNED),
    "shading_y": Word("the grey level at the bottom less that in the middle", SIGNED),
    "shading_corners": Word("the grey level at the corners less that in the middle", SIGNED),
    "log_noise_0": Word("the noise level", POSITIVE, log=True),
    "log_tails": Word("the finest detail over its usual size", POSITIVE, log=True),
    "flat": Word("the share of constant 3 x 3 windows", SHARE),
    "log_sharpness": Word("the steepness of edges over the contrast", POSITIVE, log=True),
    "strangest_place": Word("the distance of the strangest place to real ones", POSITIVE),
    "strangeness": Word("the distance to the nearest real images", POSITIVE),
    "phase_fraction": Word("the share of the brighter phase", SHARE),
    "log_size": Word("the mean opening radius of the brighter phase in pixels", POSITIVE, log=True),
    "log_chord_bright": Word("the mean chord of the brighter phase in pixels", POSITIVE, log=True),
    "log_chord_dark": Word("the mean chord of the darker phase in pixels", POSITIVE, log=True),
    "perimeter": Word("the boundary length a pixel", POSITIVE),
    "euler": Word("parts minus holes a pixel", ANY),
    "log_grain": Word("the correlation length in pixels", POSITIVE, log=True),
    "direction_cos": Word("the orientation along x against y", SIGNED),
    "direction_sin": Word("the orientation along the diagonals", SIGNED),
    "coherence": Word("the coherence of orientations", SHARE),
    "slope": Word("the slope of the power spectrum", ANY),
    "particles": Word("the number of particles a thousand pixels", POSITIVE),
    "diameter": Word("the median particle diameter in pixels", POSITIVE),
    "diameter_spread": Word("the spread of particle diameters", POSITIVE),
    "circularity": Word("the circularity of particles", POSITIVE),
    "elongation": Word("the elongation of particles", POSITIVE),
    "solidity": Word("the solidity of particles", SHARE),
    "neighbour": Word("the distance between neighbouring particles in pixels", POSITIVE),
    "neighbour_spread": Word("the spread of distances between particles", POSITIVE),
    "length": Word("the length of the skeleton in pixels", POSITIVE),
    "tips": Word("the number of tips", POSITIVE),
    "branch_points": Word("the number of branch points", POSITIVE),
    "width": Word("the width along the skeleton in pixels", POSITIVE),
    "nearest_fellow": Word("the distance of an image to its nearest fellow", POSITIVE),
    "uncovered": Word(
        "the distance of a real image to the nearest synthetic one, over that to its third real fellow,", POSITIVE
    ),
    "score": Word("the score, 0 for the usual real image and 1 for one in twenty,", ANY),
} | {
    f"band_{k}": Word(f"power at {k / 16:.3f} to {(k + 1) / 16:.3f} cycles a pixel", POSITIVE, log=True)
    for k in range(8)
}


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
        return f"{WORDS[self.name].text} is {value}; {self.of}: {usual}"

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
    """A value as people read it: no logarithm, and nothing that cannot be, see `in_limits`."""
    return in_limits(name, float(np.exp(value) if WORDS[name].log else value))


def in_limits(name: str, value: float) -> float:
    """The nearest value that can be measured; the normal range of a share that is mostly 0 begins below 0.

    The range of a test is all values that it would not find. Of these it keeps those that there can be, so that what lies
    outside is the same.
    """
    return float(np.clip(value, *WORDS[name].limits))


def quotable(x: Measured, strangest: np.ndarray, strangeness: np.ndarray) -> dict[str, np.ndarray]:
    """All values that explanations may quote, (N,) each."""
    found = dict(x.values) | {name: x.bands[:, k] for k, name in enumerate(SPECTRUM)}
    found |= {"strangest_place": strangest, "strangeness": strangeness}
    if x.copy_distance is not None:
        found["copy"] = x.copy_distance
    return found


def _short(value: float, digits: int = 3) -> str:
    return f"{value:.0f}" if abs(value) >= 100 and digits == 3 else f"{value:.{digits}g}"
