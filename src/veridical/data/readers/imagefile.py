"""One image file -> one array in its stored type: PNG, JPEG, BMP, NPY and single-page TIFF.

Palettes and orientation tags are applied, CMYK becomes RGB, alpha is left out; 16-bit data are never cut to 8 bits.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from veridical.core.errors import InputError
from veridical.data.readers.pixels import ALPHA, CMYK, GREY_PALETTE, PALETTE, Header, check_dtype, drop_alpha, orient
from veridical.data.readers.tiff import tiff_header, tiff_pixels

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")
LARGEST_SLICE = 8 * 2**30  # bytes one compressed file may unpack to; more is a broken header or a bomb

T = TypeVar("T")


def read_header(path: Path) -> Header:
    """Size, type and channels of an image file, without decoding it."""
    check_readable(path)
    reader = {".npy": _npy_header, ".tif": tiff_header, ".tiff": tiff_header}.get(path.suffix.lower(), _pillow_header)
    header = guard(path, lambda: reader(path))
    size = int(np.prod(header.shape)) * header.channels * header.dtype.itemsize
    if size > LARGEST_SLICE and path.suffix.lower() != ".npy":
        raise InputError(f"{path}: claims to unpack to {size / 2**30:.0f} GiB; its header is broken, export it again")
    return header


def read_image(path: str | Path) -> np.ndarray:
    """Decode one image file to (H, W) or (H, W, 3) in its stored type."""
    path = Path(path)
    reader = {".npy": _npy_pixels, ".tif": tiff_pixels, ".tiff": tiff_pixels}.get(path.suffix.lower(), _pillow_pixels)
    return guard(path, lambda: reader(path))


def guard(path: Path, work: Callable[[], T]) -> T:
    """Run `work` and turn whatever a broken file makes its decoder raise into one sentence."""
    try:
        return work()
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(
            f"{path}: unpacks to more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, which looks like a decompression "
            "bomb; if it is a real image, save it as TIFF"
        ) from None
    except PermissionError:
        raise InputError(f"{path}: you may not read this file; change its permissions") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: is not an image, whatever its name says; take it out or export it again") from None
    except Exception as error:
        reason = " ".join(str(error).replace(str(path), "").split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: is damaged, cut short or not what its name says ({reason}); copy or export it again"
        ) from None


def check_readable(path: Path) -> None:
    """Raise `InputError` for a file that cannot be opened or holds nothing."""
    try:
        with open(path, "rb") as file:
            first = file.read(1)
    except PermissionError:
        raise InputError(f"{path}: you may not read this file; change its permissions") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the disk or copy the file again") from None
    if not first:
        raise InputError(f"{path}: the file is empty (zero bytes); copy or export it again")


# ------------------------------------------------------------------------------------------------------------- NPY


def _npy_header(path: Path) -> Header:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise InputError(f"{path}: has the shape {array.shape}, not that of one image; open a volume by its own path")
    note = ALPHA if channels == 4 else None
    return Header(array.shape[:2], check_dtype(array.dtype, path), min(channels, 3), note=note)


def _npy_pixels(path: Path) -> np.ndarray:
    return drop_alpha(np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)))


# --------------------------------------------------------------------------------------------------- PNG, JPEG, BMP

# Pillow mode -> channels, note, mode to convert to
_MODES: dict[str, tuple[int, str | None, str | None]] = {
    "1": (1, None, None),
    "L": (1, None, None),
    "RGB": (3, None, None),
    "I;16": (1, None, None),
    "LA": (1, ALPHA, "L"),
    "RGBA": (3, ALPHA, "RGB"),
    "RGBX": (3, None, "RGB"),
    "CMYK": (3, CMYK, "RGB"),
    "YCbCr": (3, None, "RGB"),
}


def _plan(image: Image.Image, path: Path) -> tuple[int, str | None, str | None]:
    """Channels, note and target mode of an opened image."""
    if image.mode in ("P", "PA") and image.palette is not None:
        width = len(image.palette.rawmode or image.palette.mode)
        raw = np.frombuffer(bytes(image.palette.palette), np.uint8)
        colours = raw[: len(raw) // width * width].reshape(-1, width)[:, :3]
        grey = bool((colours == colours[:, :1]).all())
        return (1, GREY_PALETTE, "grey") if grey else (3, PALETTE, "RGB")
    if image.mode not in _MODES:
        raise InputError(f"{path}: the colour mode {image.mode} cannot be read; save it as grey or RGB")
    return _MODES[image.mode]


def _orientation(image: Image.Image) -> int:
    # asking a PNG without an early eXIf chunk for it would decode all its pixels
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return image.getexif().get(274, 1)


def _deep_png(path: Path) -> int | None:
    """Colour type of a 16-bit PNG; Pillow cuts these to 8 bits where they have colour or alpha."""
    with open(path, "rb") as file:
        start = file.read(26)
    is_deep = start[:8] == b"\x89PNG\r\n\x1a\n" and len(start) == 26 and start[24] == 16
    return start[25] if is_deep else None


def _pillow_header(path: Path) -> Header:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            if image.format not in ("PNG", "JPEG", "MPO", "BMP", "DIB"):
                raise InputError(f"{path}: is really a {image.format} file; rename or convert it")
            width, height = image.size
            shape = (width, height) if _orientation(image) >= 5 else (height, width)
            colour_type = _deep_png(path)
            if colour_type is not None:
                note = ALPHA if colour_type in (4, 6) else None
                return Header(shape, np.dtype(np.uint16), 3 if colour_type in (2, 6) else 1, note=note)
            channels, note, _ = _plan(image, path)
            dtype = {"1": np.dtype(bool), "I;16": np.dtype(np.uint16)}.get(image.mode, np.dtype(np.uint8))
            return Header(shape, dtype, channels, note=note)


def _pillow_pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        code = _orientation(image)
        if _deep_png(path) is not None:
            import imagecodecs

            return orient(drop_alpha(imagecodecs.png_decode(path.read_bytes())), code)
        _, _, target = _plan(image, path)
        image.load()
        if target == "grey":
            array = np.asarray(image.convert("RGB"))[..., 0]
        else:
            array = np.asarray(image.convert(target) if target else image)
        return orient(array, code)
