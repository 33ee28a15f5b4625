"""Types of the arrays and labels that public functions take and return, and what is checked of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError

NO_LABEL = 255  # beside class numbers: pixels of no class

Images = NDArray[np.float32]
"""(N, C, H, W) in [0, 1]; a single image is (C, H, W)."""

ImageSet = str | Path | NDArray[Any] | Sequence[NDArray[Any]]
"""What is scored or judged: a folder, stack or other spec, or an array of images, which is checked where it comes in."""

Groups = Sequence[str] | Sequence[int] | NDArray[Any]
"""A label an image, such as the slice that it was cut from."""


def check_array(array: Any, name: str, *shapes: str) -> NDArray[Any]:
    """An array of numbers that a function can measure, or an error that says which argument is none.

    Parameters
    ----------
    array : array or nested sequences
    name : of the argument
    shapes : those it may have, such as ``"(N, C, H, W)"``; by their number of dimensions

    Raises
    ------
    InputError
        If it has another number of dimensions, a side of no length, or values that are no finite numbers.
    """
    found = np.asarray(array)
    wanted = " or ".join(shapes)
    if found.ndim not in {sum(bool(side.strip(" ()")) for side in shape.split(",")) for shape in shapes}:
        raise InputError(f"{name} must have shape {wanted}, got {found.shape}")
    if not found.size:
        raise InputError(f"{name} holds nothing: its shape is {found.shape}; give at least one value along every side")
    if found.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold real numbers, not {found.dtype}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise InputError(f"{name} holds NaN or infinite values; mend or leave out these images")
    return found


def digests(images: NDArray[Any]) -> list[bytes]:
    """One hash an image; equal where all pixels are."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]
