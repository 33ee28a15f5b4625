"""TIFF pages -> arrays in their stored type."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.ome import check_ome
from veridical.data.readers.pixels import (
    ALPHA,
    CMYK,
    EXTRA,
    PALETTE,
    WHITE,
    Header,
    check_claim,
    check_dtype,
    drop_alpha,
    fits,
    grey_palette,
    orient,
)
from veridical.data.readers.scale import tiff_scale

DISPLAY = "ImageJ's colours of display (LUT) left out"


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
        if page.compression == 1 and page.dataoffsets:
            check_claim(path, page.imagelength * (page.imagewidth * page.samplesperpixel * page.bitspersample // 8))
        pixel_size, remarks = tiff_scale(tif, page)
        gone = tuple(value for value in nodata(page) if fits(value, dtype))
        return Header(shape, dtype, channels, pixel_size, [*left_out, *([note] if note else []), *remarks], gone)


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
    samples = page.samplesperpixel
    photometric = getattr(page.photometric, "name", str(page.photometric))
    if 262 not in page.tags:  # tifffile takes a missing photometric tag for white is zero
        photometric = "RGB" if samples in (3, 4) else "MINISBLACK"
    if page.dtype is None:
        raise InputError(f"{path}: {page.bitspersample} bits a sample cannot be read; save it with 8, 16 or 32 bits")
    dtype = np.dtype(bool) if page.bitspersample == 1 else check_dtype(np.dtype(page.dtype), path)
    if photometric in ("PALETTE", "MINISWHITE") and samples == 1 and page.parent.is_imagej:
        return 1, dtype, DISPLAY, "as is"  # ImageJ measures what is stored, whatever it shows
    if photometric == "PALETTE" and page.colormap is not None:
        note = grey_palette(_colours(page))[1]
        return (1 if note else 3), np.dtype(np.uint8), note or PALETTE, "palette"
    if photometric == "SEPARATED" and samples >= 4 and dtype.kind == "u":
        return 3, dtype, CMYK, "cmyk"
    if photometric in ("MINISBLACK", "MINISWHITE") and samples in (1, 2):
        # tifffile, and what writes by it, calls bits so and means what it stores
        plain = dtype == np.bool_ and str(page.tags.valueof(305, "")).startswith("tifffile")
        invert = photometric == "MINISWHITE" and dtype.kind in "bu" and not plain
        further = _further(page) if samples == 2 else None
        return 1, dtype, further or (WHITE if invert else None), "invert" if invert else "as is"
    if photometric == "YCBCR" and page.compression == 1:
        raise InputError(f"{path}: holds YCbCr without JPEG; save it as RGB")
    if photometric in ("RGB", "YCBCR") and samples in (3, 4):
        return 3, dtype, _further(page) if samples == 4 else None, "as is"
    raise InputError(f"{path}: {samples} samples a pixel ({photometric}) cannot be read; save it as grey or RGB")


def _further(page: Any) -> str:
    """What the sample after grey or RGB is: alpha if the file says so."""
    return ALPHA if any(int(kind) in (1, 2) for kind in page.extrasamples) else EXTRA


def _colours(page: Any) -> np.ndarray:
    """The palette, (K, 3) uint8."""
    table = np.asarray(page.colormap)
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8).T


def decode_page(page: Any, path: Path, code: int | None = None) -> np.ndarray:
    """Pixels of a `tifffile` page, (H, W) or (H, W, 3); turned by the orientation `code`, its own by default."""
    channels, dtype, _, treatment = plan_page(page, path)
    pixels = page.imagelength * page.imagewidth
    check_cost(path, pixels=pixels, nbytes=pixels * page.samplesperpixel * dtype.itemsize)
    if len(page.dataoffsets) < prod(page.chunked):
        raise InputError(
            f"{path}: lists {len(page.dataoffsets)} of {prod(page.chunked)} strips or tiles; export it again"
        )
    array = page.asarray()
    if page.planarconfig == 2 and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    if treatment == "palette":
        table = _colours(page)
        array = grey_palette(table)[0][array] if channels == 1 else table[array]
    elif treatment == "cmyk":
        top = np.iinfo(dtype).max
        ink = array[..., :4] / top
        array = np.rint((1 - ink[..., :3]) * (1 - ink[..., 3:]) * top)
    elif treatment == "invert":
        array = ~array if array.dtype == np.bool_ else 2**page.bitspersample - 1 - array
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
