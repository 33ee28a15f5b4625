"""The eight flips and quarter turns of an image, numbered."""

from __future__ import annotations

import numpy as np

# How many of the first numbers leave an image as likely as it was.
ORIENTATIONS = {"dihedral": 8, "flip": 2, "none": 1}


def turn(images: np.ndarray, code: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """One of the eight flips and quarter turns, a view.

    Parameters
    ----------
    images : array
    code : int
        Bit 0 mirrors left-right, bit 1 up-down, bit 2 swaps the axes, one after another.
    axes : pair of int
        Rows and columns: (0, 1) for (H, W) or (H, W, 3), (2, 3) for (N, C, H, W).
    """
    images = _mirror(images, code, axes)
    return images.swapaxes(*axes) if code & 4 else images


def unturn(images: np.ndarray, code: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """Undo `turn` of the same `code`, a view."""
    return _mirror(images.swapaxes(*axes) if code & 4 else images, code, axes)


def _mirror(images: np.ndarray, code: int, axes: tuple[int, int]) -> np.ndarray:
    return np.flip(images, tuple(axis for bit, axis in zip((2, 1), axes, strict=True) if code & bit))
