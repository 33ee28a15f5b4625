"""What every reader of image files shares: types that can be read, orientation tags, alpha."""

from dataclasses import dataclass

import numpy as np

from veridical.core.errors import InputError
from veridical.core.orientation import turn

ALPHA, CMYK, PALETTE, GREY_PALETTE = (
    "alpha left out",
    "CMYK converted to RGB",
    "palette converted to RGB",
    "grey palette applied",
)
EXIF = {2: 1, 3: 3, 4: 2, 5: 4, 6: 6, 7: 7, 8: 5}  # orientation tags to numbers of `turn`


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


def square_pixels(height: float | None, width: float | None) -> tuple[float | None, list[str]]:
    """Pixel size (micrometres) of pixels of a height and width, and a note where they are not square: none is used then."""
    if height and width and abs(height - width) > 0.01 * max(height, width):
        return None, [f"pixels of {width:.6g} x {height:.6g} µm are not square, so no pixel size is used"]
    return width, []


def orient(array: np.ndarray, code: int) -> np.ndarray:
    """Apply an EXIF/TIFF orientation code (1 to 8; others say nothing) to (H, W) or (H, W, 3); a view."""
    return turn(array, EXIF.get(code, 0))


def drop_alpha(array: np.ndarray) -> np.ndarray:
    """(H, W, 4) to (H, W, 3), (H, W, 1 or 2) to (H, W)."""
    if array.ndim == 3 and array.shape[-1] in (1, 2):
        return array[..., 0]
    return array[..., :3] if array.ndim == 3 else array
