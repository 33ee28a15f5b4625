"""What every reader of image files shares: types that can be read, orientation tags, alpha."""

from dataclasses import dataclass

import numpy as np

from veridical.core.errors import InputError

ALPHA, CMYK, PALETTE, GREY_PALETTE = (
    "alpha left out",
    "CMYK converted to RGB",
    "palette converted to RGB",
    "grey palette applied",
)


@dataclass
class Header:
    """What is known of an image file before its pixels are decoded; `note` says what decoding will change."""

    shape: tuple[int, int]
    dtype: np.dtype
    channels: int
    pixel_size: float | None = None
    note: str | None = None


def check_dtype(dtype: np.dtype, name: object) -> np.dtype:
    """The type in native byte order; `InputError` unless it is boolean, integer or real."""
    if dtype.kind not in "buif":
        raise InputError(f"{name}: holds {dtype} values; export it as integers or real numbers")
    return dtype.newbyteorder("=")


def orient(array: np.ndarray, code: int) -> np.ndarray:
    """Apply an EXIF/TIFF orientation code (1 to 8) to (H, W) or (H, W, 3); a view."""
    match code:
        case 2:
            return array[:, ::-1]
        case 3:
            return array[::-1, ::-1]
        case 4:
            return array[::-1]
        case 5:
            return array.swapaxes(0, 1)
        case 6:
            return np.rot90(array, 3)
        case 7:
            return array[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(array)
    return array


def drop_alpha(array: np.ndarray) -> np.ndarray:
    """(H, W, 4) to (H, W, 3), (H, W, 1 or 2) to (H, W)."""
    if array.ndim == 3 and array.shape[-1] in (1, 2):
        return array[..., 0]
    return array[..., :3] if array.ndim == 3 else array
