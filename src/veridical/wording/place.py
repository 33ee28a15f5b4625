"""Where something lies in an image, in words."""

import re

import numpy as np

PLACES = {
    "right": "on the right",
    "lower right": "in the lower right",
    "bottom": "at the bottom",
    "lower left": "in the lower left",
    "left": "on the left",
    "upper left": "in the upper left",
    "top": "at the top",
    "upper right": "in the upper right",
    "middle": "in the middle",
}
"""Name of a place, and how it is said."""

_SAID = re.compile(r"\b(?:on|in|at) the ((?:(?:upper|lower) )?(?:left|right)|top|bottom)\b", re.IGNORECASE)

NEAR = 0.1  # of the image's side: a centre of mass nearer to the middle than this lies in no direction


def place_of(region: np.ndarray) -> str | None:
    """Name of the place of a region's centre of mass: one of eight directions from the image's middle, or the middle.

    Parameters
    ----------
    region : (H, W) bool; None is returned when it is empty.
    """
    if not region.any():
        return None
    height, width = region.shape
    y, x = np.argwhere(region).mean(0)
    down, right = (y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5
    if np.hypot(down, right) < NEAR:
        return "middle"
    return _towards(down, right)


def turned(text: str, code: int) -> str:
    """A text of an image as it is true of the image after `veridical.core.orientation.turn` with this code.

    Parameters
    ----------
    text : such as "a crack in the upper left".
    code : bit 0 mirrors left-right, bit 1 up-down, bit 2 swaps the axes.
    """
    return _SAID.sub(lambda said: PLACES[_turned(said[1].lower(), code)], text)


def _turned(place: str, code: int) -> str:
    down = ("lower" in place or place == "bottom") - ("upper" in place or place == "top")
    right = place.endswith("right") - place.endswith("left")
    right, down = (-right if code & 1 else right), (-down if code & 2 else down)
    down, right = (right, down) if code & 4 else (down, right)
    return _towards(down, right)


def _towards(down: float, right: float) -> str:
    return list(PLACES)[round(float(np.arctan2(down, right)) / (np.pi / 4)) % 8]
