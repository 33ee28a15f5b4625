"""Grey images in front of and behind a model that knows colour alone: one fixed rule each way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images

TINTED = 1 / 255  # a difference of channels, on average, that is said
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of ITU-R BT.709, on values as they are stored


def coloured(images: Images) -> Images:
    """Grey images (N, 1, H, W) as three equal channels; colour images (N, 3, H, W) as they are."""
    return np.repeat(images, 3, 1) if images.shape[1] == 1 else images


def luminance(images: Images) -> Images:
    """Colour images (N, 3, H, W) as grey ones (N, 1, H, W), ``0.2126 R + 0.7152 G + 0.0722 B``; equal channels are the grey."""
    red, green, blue = (images[:, k : k + 1] for k in range(3))
    # as differences from green, so that equal channels come back to the bit
    return green + np.float32(LUMINANCE[0]) * (red - green) + np.float32(LUMINANCE[2]) * (blue - green)


def chroma(images: Images, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """How far from grey images (N, 3, H, W) in [0, 1] are, (N,): the mean difference of the largest and the smallest channel.

    With `where` (N, H, W) that of these pixels alone, and 0 where there are none.
    """
    spread = (images.max(1) - images.min(1)).astype(np.float64)
    if where is None:
        return spread.mean((1, 2))
    found: NDArray[np.float64] = (spread * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1)
    return found


def tinted(colour: Sequence[float]) -> list[str]:
    """What the user should know where grey images had the `chroma` in `colour`; a sentence or none."""
    if max(colour, default=0.0) <= TINTED:
        return []
    return [
        f"what was drawn for grey images had colour, a difference of its channels of {np.mean(colour):.3g} on average (chroma), "
        "which was taken off: their luminance is kept"
    ]
