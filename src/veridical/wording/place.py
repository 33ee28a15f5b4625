"""Where something lies in an image, in words."""

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
    names = list(PLACES)
    return names[round(float(np.arctan2(down, right)) / (np.pi / 4)) % 8]
