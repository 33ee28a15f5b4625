"""What every reader of image files shares: types that can be read, orientation tags, alpha, palettes, pixel sizes."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.core.orientation import turn

ALPHA, CMYK, PALETTE, GREY_PALETTE, EXTRA, WHITE = (
    "alpha left out",
    "CMYK converted to RGB",
    "palette converted to RGB",
    "grey palette applied",
    "a further channel, of which the file does not say what it is, left out",
    "white is zero: grey levels turned round",
)
EXIF = {2: 1, 3: 3, 4: 2, 5: 4, 6: 6, 7: 7, 8: 5}  # orientation tags to numbers of `turn`
MICROMETRES = {
    **dict.fromkeys(
        ("µm", "μm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0
    ),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e3),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e4),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e6),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("inch", "in"), 25400.0),
    **dict.fromkeys(("Å", "Å", "A", "angstrom"), 1e-4),
}


@dataclass
class Header:
    """What is known of an image file before its pixels are decoded; `notes` say what decoding will change, `missing`
    which values stand for nothing measured."""

    shape: tuple[int, int]
    dtype: np.dtype
    channels: int
    pixel_size: float | None = None
    notes: list[str] = field(default_factory=list)
    missing: tuple[float, ...] = ()


def fits(value: float, dtype: np.dtype) -> bool:
    """Whether an array of a type can hold a value at all (NaN needs no mention)."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return not np.isnan(value) and not np.isinf(dtype.type(value))
    return dtype.kind in "iu" and float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def check_dtype(dtype: np.dtype, name: object) -> np.dtype:
    """The type in native byte order; `InputError` unless it is boolean, integer or real."""
    if dtype.kind not in "buif":
        raise InputError(f"{name}: holds {dtype} values; export it as integers or real numbers")
    return dtype.newbyteorder("=")


def check_claim(path: Path, nbytes: int, ratio: float = 1.0, offset: int = 0) -> None:
    """Refuse a file that says it holds more bytes of pixels than so small a file can, packed `ratio` times at best."""
    if nbytes > (os.path.getsize(path) - offset) * ratio:
        raise InputError(f"{path}: is cut short, its pixels end before the image does; copy or export it again")


def orient(array: np.ndarray, code: int) -> np.ndarray:
    """Apply an EXIF/TIFF orientation code (1 to 8; others say nothing) to (H, W) or (H, W, 3); a view."""
    return turn(array, EXIF.get(code, 0))


def drop_alpha(array: np.ndarray) -> np.ndarray:
    """(H, W, 4) to (H, W, 3), (H, W, 1 or 2) to (H, W)."""
    if array.ndim == 3 and array.shape[-1] in (1, 2):
        return array[..., 0]
    return array[..., :3] if array.ndim == 3 else array


def grey_palette(colours: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Grey values of a palette, and the note to give; no note if it is one of colours.

    A palette of greys with a few colours is that of a grey image that a microscope drew marks on.

    Parameters
    ----------
    colours : array (K, 3)
        uint8.
    """
    wide = colours.astype(int)
    spread = wide.max(1) - wide.min(1)
    coloured = spread > 2  # rounding of 16-bit tables
    values = np.where(coloured, wide @ [299, 587, 114] // 1000, wide.sum(1) // 3).astype(np.uint8)
    if not coloured.any():
        return values, GREY_PALETTE
    marks, greys = len(np.unique(colours[coloured], axis=0)), len(np.unique(values[~coloured]))
    if greys < 8 * marks:
        return values, None
    return values, f"{GREY_PALETTE}: it has {marks} other colours, of marks that are drawn into the image,"


def square_pixels(height: float | None, width: float | None) -> tuple[float | None, list[str]]:
    """Pixel size (micrometres) of pixels of a height and width, and a note where they are not square: none is used then."""
    height, width = (value if value and math.isfinite(value) and value > 0 else None for value in (height, width))
    if height and width and abs(height - width) > 0.01 * max(height, width):
        return None, [f"pixels of {width:.6g} x {height:.6g} µm are not square, so no pixel size is used"]
    return width, []
