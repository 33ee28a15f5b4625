"""What no real image can have, whatever the calibration: rules without a p-value; the rows of `defects` name them.

Each is a function of the real images (N, C, H, W), the measurements of M synthetic ones and whether each of these equals a real
or training image, pixel by pixel, (M,) bool; it says which images have the defect, (M,) bool.
"""

from __future__ import annotations

import numpy as np

from veridical.auditing.measure import Measured

COLOURED = 3 / 255  # a grey image with more than that between its channels has colour
CONSTANT = 1e-4  # standard deviation below which there is nothing in an image


def coloured(real: np.ndarray, y: Measured, identical: np.ndarray) -> np.ndarray:
    """Colour where real images are grey."""
    return y.values["colour"] > COLOURED if real.shape[1] == 1 else np.zeros(len(y), bool)


def constant(real: np.ndarray, y: Measured, identical: np.ndarray) -> np.ndarray:
    """Nothing to see where every real image shows something."""
    return (y.values["contrast"] < CONSTANT) & (real.std((1, 2, 3)).min() > CONSTANT)


def a_file(real: np.ndarray, y: Measured, identical: np.ndarray) -> np.ndarray:
    """A file of the real or training images."""
    return identical
