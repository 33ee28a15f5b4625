"""TIFF pages -> arrays in their stored type, and the pixel size that a file states."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.ome import check_ome, ome_pixel_size
from veridical.data.readers.pixels import (
    ALPHA,
    CMYK,
    GREY_PALETTE,
    PALETTE,
    Header,
    check_dtype,
    drop_alpha,
    orient,
    square_pixels,
)


class _Complaints(logging.Handler):
    """What tifffile only logs: it goes on with the pages that it can find."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.broken: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "corrupted" in message or "invalid page offset" in message:
            self.broken.append(message)


def open_tiff_file(path: Path, outside: bool = False) -> Any:
    """A `tifffile.TiffFile` after a check of what its metadata claim. Pages of one size are one series, also where they were
    written one by one.
    """
    import tifffile

    tif = tifffile.TiffFile(path)
    try:
        check_cost(path, pixels=tif.pages.first.imagelength * tif.pages.first.imagewidth)
        if tif.is_ome:
            check_ome(tif.ome_metadata or "", path, outside)
        if not tif.is_shaped or len(tif.series) == 1:
            return tif
    except BaseException:
        tif.close()
        raise
    tif.close()
    return tifffile.TiffFile(path, is_shaped=False)


@contextmanager
def tiff_file(path: Path, outside: bool = False) -> Iterator[Any]:
    """An open `tifffile.TiffFile`; `InputError` where tifffile finds the chain of pages broken."""
    logger, complaints = logging.getLogger("tifffile"), _Complaints()
    propagated = logger.propagate
    logger.addHandler(complaints)
    logger.propagate = False
    try:
        with open_tiff_file(path, outside) as tif:
            yield tif
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagated
        if complaints.broken:
            raise InputError(f"{path}: is damaged or cut short, its pages cannot all be found; export it again")


def tiff_header(path: Path) -> Header:
    """Size, type and channels of a TIFF of one image."""
    with tiff_file(path) as tif:
        number, left_out = choose_series(tif, path)
        series = tif.series[number]
        if len(series.pages) > 1 or series.ndim > 3:
            raise InputError(f"{path}: is a stack of {series.shape} pixels; open this file itself, not its folder")
        page = series.keyframe
        channels, dtype, note, _ = plan_page(page, path)
        shape = (page.imagelength, page.imagewidth)
        check_cost(path, pixels=shape[0] * shape[1])
        if page.tags.valueof(274, 1) >= 5:
            shape = shape[::-1]
        unequal = unequal_pixels(tif)
        notes = [*left_out, *([unequal] if unequal else []), *([note] if note else [])]
        return Header(shape, dtype, channels, None if unequal else tiff_pixel_size(tif), ", ".join(notes) or None)


def tiff_pixels(path: Path) -> np.ndarray:
    """The image of a TIFF of one, (H, W) or (H, W, 3)."""
    with tiff_file(path) as tif:
        return decode_page(tif.series[choose_series(tif, path)[0]].keyframe, path)


def choose_series(tif: Any, path: Path, asked: str = "") -> tuple[int, list[str]]:
    """Number of the image series that is read, and notes on those left out.

    Parameters
    ----------
    tif : tifffile.TiffFile
    path : Path
    asked : str
        The number that the user gave.

    Raises
    ------
    InputError
        If the file has several that are not smaller copies of one image: lists them.
    """
    series = tif.series
    if not series:
        raise InputError(f"{path}: holds no image; export it again")
    listed = ", ".join(f"{k}: {' x '.join(map(str, s.shape))}" for k, s in enumerate(series[:8]))
    notes = []
    if tif.is_ome and series[0].kind != "ome":
        notes.append("OME metadata that are broken, or lie in another file, are not used: pages are read as they come")
    if asked:
        if not (asked.isdecimal() and len(asked) < 10 and int(asked) < len(series)):
            raise InputError(f"{path}: has no image series {asked}; it has {listed}")
        return int(asked), [
            *notes,
            *([f"image series {int(asked)} of {len(series)} is read"] if len(series) > 1 else []),
        ]
    main = max(range(len(series)), key=lambda k: (series[k].size, -k))
    others = [k for k in range(len(series)) if k != main]
    if not all(_is_smaller_copy(series[k], series[main]) for k in others):
        raise InputError(f"{path}: holds {len(series)} image series; choose one with ?series=0 ({listed})")
    copies = [series[k].keyframe for k in others] + [level.keyframe for level in series[main].levels[1:]]
    sizes = ", ".join(f"{page.imagewidth} x {page.imagelength}" for page in copies[:4])
    return main, [*notes, *([f"smaller copies of the image ({sizes} pixels) left out"] if copies else [])]


def _is_smaller_copy(small: Any, large: Any) -> bool:
    """Whether a series is a thumbnail or overview of another: marked as one, or one page of the same outline."""
    page, other = small.keyframe, large.keyframe
    if len(small.pages) > 1:
        return False
    less = page.imagelength < other.imagelength and page.imagewidth < other.imagewidth
    marked = less and bool(int(page.subfiletype) & 5)  # a reduced copy, a mask of transparency
    ratio = page.imagewidth * other.imagelength / max(1, page.imagelength * other.imagewidth)
    quarter = 4 * page.imagewidth * page.imagelength <= other.imagewidth * other.imagelength
    return marked or (quarter and abs(ratio - 1) < 0.1)


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


def decode_page(page: Any, path: Path, code: int | None = None) -> np.ndarray:
    """Pixels of a `tifffile` page, (H, W) or (H, W, 3); turned by the orientation `code`, its own by default."""
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
    array = orient(drop_alpha(array), code or page.tags.valueof(274, 1)).astype(dtype, copy=False)
    if dtype.kind == "f":
        for value in nodata(page):
            array = np.where(array == dtype.type(value), dtype.type(np.nan), array)
    return array


def nodata(page: Any) -> list[float]:
    """The value of pixels that nobody measured, from GDAL's tag of a `tifffile` page; empty where there is none."""
    try:
        value = float(str(page.tags.valueof(42113, "")).strip("\0 "))
    except ValueError:
        return []
    return [value] if np.isfinite(value) else []


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


def unequal_pixels(tif: Any) -> str | None:
    """A note on pixels that are not square, whose size is not used, of a `tifffile.TiffFile`."""
    if tif.is_ome and tif.ome_metadata:
        stated = ome_pixel_size(tif.ome_metadata)
        height, width = (value * MICROMETRES.get(unit, float("nan")) for value, unit in stated)
        return next(iter(square_pixels(height, width)[1]), None)
    (width, wide), (height, high) = (tif.pages[0].tags.valueof(f"{axis}Resolution", (0, 1)) for axis in "XY")
    if not all((width, wide, height, high)):
        return None
    size = tiff_pixel_size(tif)
    return next(iter(square_pixels(size * (high / height) / (wide / width), size)[1]), None) if size else None


def _times(value: float, unit: str) -> float | None:
    return value * MICROMETRES[unit] if unit in MICROMETRES and value > 0 else None
