"""One image file -> one array in its stored type: PNG, JPEG, BMP, NPY and single TIFF pages.

Palettes and orientation tags are applied, CMYK becomes RGB, alpha is left out; 16-bit data are never cut to 8 bits.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from veridical.errors import InputError

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy")
LARGEST_SLICE = 8 * 2**30  # bytes one compressed file may unpack to; more is a broken header or a bomb

ALPHA, CMYK, PALETTE, GREY_PALETTE = (
    "alpha left out",
    "CMYK converted to RGB",
    "palette converted to RGB",
    "grey palette applied",
)

T = TypeVar("T")


@dataclass
class Header:
    """What is known of an image file before its pixels are decoded; `note` says what decoding will change."""

    shape: tuple[int, int]
    dtype: np.dtype
    channels: int
    pixel_size: float | None = None
    note: str | None = None


def read_header(path: Path) -> Header:
    """Size, type and channels of an image file, without decoding it."""
    check_readable(path)
    reader = {".npy": _npy_header, ".tif": _tiff_header, ".tiff": _tiff_header}.get(path.suffix.lower(), _pillow_header)
    header = guard(path, lambda: reader(path))
    size = int(np.prod(header.shape)) * header.channels * header.dtype.itemsize
    if size > LARGEST_SLICE and path.suffix.lower() != ".npy":
        raise InputError(f"{path}: claims to unpack to {size / 2**30:.0f} GiB; its header is broken, export it again")
    return header


def read_image(path: str | Path) -> np.ndarray:
    """Decode one image file to (H, W) or (H, W, 3) in its stored type."""
    path = Path(path)
    reader = {".npy": _npy_pixels, ".tif": _tiff_pixels, ".tiff": _tiff_pixels}.get(path.suffix.lower(), _pillow_pixels)
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


# ------------------------------------------------------------------------------------------------------- TIFF pages


class _Complaints(logging.Handler):
    """What tifffile only logs: it goes on with the pages that it can find."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.broken: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "corrupted" in message or "invalid page offset" in message:
            self.broken.append(message)


def open_tiff_file(path: Path) -> Any:
    """A `tifffile.TiffFile` whose pages of one size are one series, also where they were written one by one."""
    import tifffile

    tif = tifffile.TiffFile(path)
    if not tif.is_shaped or len(tif.series) == 1:
        return tif
    tif.close()
    return tifffile.TiffFile(path, is_shaped=False)


@contextmanager
def tiff_file(path: Path) -> Iterator[Any]:
    """An open `tifffile.TiffFile`; `InputError` where tifffile finds the chain of pages broken."""
    logger, complaints = logging.getLogger("tifffile"), _Complaints()
    propagated = logger.propagate
    logger.addHandler(complaints)
    logger.propagate = False
    try:
        with open_tiff_file(path) as tif:
            yield tif
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagated
        if complaints.broken:
            raise InputError(f"{path}: is damaged or cut short, its pages cannot all be found; export it again")


def _tiff_header(path: Path) -> Header:
    with tiff_file(path) as tif:
        if len(tif.series[0].pages) > 1 or tif.series[0].ndim > 3:
            raise InputError(
                f"{path}: is a stack of {tif.series[0].shape} pixels; open this file itself, not its folder"
            )
        channels, dtype, note, _ = plan_page(tif.pages[0], path)
        page = tif.pages[0]
        shape = (page.imagelength, page.imagewidth)
        if page.tags.valueof(274, 1) >= 5:
            shape = shape[::-1]
        return Header(shape, dtype, channels, tiff_pixel_size(tif), note)


def _tiff_pixels(path: Path) -> np.ndarray:
    with tiff_file(path) as tif:
        return decode_page(tif.pages[0], path)


def plan_page(page: Any, path: Path) -> tuple[int, np.dtype, str | None, str]:
    """Channels, type, note and treatment ("as is", "invert", "palette" or "cmyk") of a `tifffile` page."""
    photometric = getattr(page.photometric, "name", str(page.photometric))
    samples = page.samplesperpixel
    if page.dtype is None:
        raise InputError(f"{path}: {page.bitspersample} bits a sample cannot be read; save it with 8, 16 or 32 bits")
    dtype = np.dtype(bool) if page.bitspersample == 1 else check_dtype(np.dtype(page.dtype), path)
    if photometric == "PALETTE" and page.colormap is not None:
        grey = bool((page.colormap == page.colormap[:1]).all())
        return (1 if grey else 3), np.dtype(np.uint8), (GREY_PALETTE if grey else PALETTE), "palette"
    if photometric == "SEPARATED" and samples >= 4 and dtype.kind == "u":
        return 3, dtype, CMYK, "cmyk"
    if photometric in ("MINISBLACK", "MINISWHITE") and samples in (1, 2):
        invert = photometric == "MINISWHITE" and dtype.kind in "bu"
        return 1, dtype, ALPHA if samples == 2 else None, "invert" if invert else "as is"
    if photometric in ("RGB", "YCBCR") and samples in (3, 4):
        return 3, dtype, ALPHA if samples == 4 else None, "as is"
    raise InputError(f"{path}: {samples} samples a pixel ({photometric}) cannot be read; save it as grey or RGB")


def decode_page(page: Any, path: Path) -> np.ndarray:
    """Pixels of a `tifffile` page, (H, W) or (H, W, 3)."""
    channels, dtype, _, treatment = plan_page(page, path)
    array = page.asarray()
    if page.planarconfig == 2 and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if treatment == "palette":
        table = np.asarray(page.colormap)
        table = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
        array = table[0][array] if channels == 1 else np.moveaxis(table[:, array], 0, -1)
    elif treatment == "cmyk":
        top = np.iinfo(dtype).max
        ink = array[..., :4] / top
        array = np.rint((1 - ink[..., :3]) * (1 - ink[..., 3:]) * top)
    elif treatment == "invert":
        array = ~array if array.dtype == np.bool_ else np.iinfo(array.dtype).max - array
    return orient(drop_alpha(array), page.tags.valueof(274, 1)).astype(dtype, copy=False)


# ------------------------------------------------------------------------------------------------------- pixel size

MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("inch", "in"), 25400.0),
    **dict.fromkeys(("Å", "angstrom"), 1e-4),
}


def tiff_pixel_size(tif: Any) -> float | None:
    """Micrometres a pixel from OME, ImageJ or resolution tags (across the image) of a `tifffile.TiffFile`, or None."""
    if tif.is_ome and tif.ome_metadata:
        size = re.search(r'PhysicalSizeX="([^"]+)"', tif.ome_metadata)
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tif.ome_metadata)
        if size:
            return _times(float(size[1]), unit[1] if unit else "µm")
    tags = tif.pages[0].tags
    numerator, denominator = tags.valueof("XResolution", (0, 1))
    if not numerator or not denominator:
        return None
    pitch = denominator / numerator  # units a pixel
    if tif.is_imagej and "unit" in (tif.imagej_metadata or {}):
        return _times(pitch, str(tif.imagej_metadata["unit"]).replace("\\u00B5", "µ"))
    code = int(tags.valueof("ResolutionUnit", 2))
    # drawing programs write 72 or 96 dots an inch when they know nothing
    if code == 2 and round(1 / pitch) not in (1, 72, 96):
        return _times(pitch, "inch")
    return _times(pitch, "cm") if code == 3 else None


def _times(value: float, unit: str) -> float | None:
    return value * MICROMETRES[unit] if unit in MICROMETRES and value > 0 else None
