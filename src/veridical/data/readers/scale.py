"""What a TIFF says of its pixel size, and of what its instrument drew into the picture.

Instruments write the size into tags of their own and 72 or 64 pixels an inch, which mean nothing, into the usual ones.
So where an instrument's tag is there, it alone is asked.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from veridical.data.readers.ome import ome_pixel_size
from veridical.data.readers.pixels import MICROMETRES, square_pixels

# Pixels an inch that programs write for paper and screens when they know nothing of the object.
FOR_PAPER = {1, 50, 64, 72, 75, 90, 96, 100, 110, 120, 144, 150, 180, 192, 200, 220, 240, 250, 300, 350, 360}
FOR_SCREENS = {1, 72, 96}


class Scale(NamedTuple):
    """Micrometres a pixel across and down (None: not stated), and remarks on the picture."""

    x: float | None = None
    y: float | None = None
    notes: tuple[str, ...] = ()


def tiff_scale(tif: Any, page: Any) -> tuple[float | None, list[str]]:
    """Micrometres a pixel of a page of a `tifffile.TiffFile`, or None, and what has to be said of it."""
    scale = next(
        (_checked(read, tif, page) for applies, read in _SOURCES if applies(tif, page)), _from_resolution(page)
    )
    if page.tags.valueof(274, 1) in (5, 6, 7, 8):
        scale = scale._replace(x=scale.y, y=scale.x)
    size, notes = square_pixels(scale.y, scale.x)
    return size, [*scale.notes, *notes]


def _checked(read: Callable[[Any, Any], Scale], tif: Any, page: Any) -> Scale:
    """What an instrument's tag says; nothing where it is not what that instrument writes."""
    try:
        return read(tif, page)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError):
        return Scale(notes=("the instrument's tag with the pixel size could not be read",))


def _in(unit: object, x: object, y: object = None) -> Scale:
    """A scale out of numbers with a unit; nothing where the unit is unknown."""
    factor = MICROMETRES.get(str(unit).strip("\x00 "))
    if factor is None:
        return Scale()
    return Scale(float(str(x)) * factor, None if y is None else float(str(y)) * factor)


# ------------------------------------------------------------------------------------------------- instruments' tags


def _fei(tif: Any, page: Any) -> Scale:
    """FEI and Thermo Fisher: sections of an INI text, in metres; the picture is ``[Image] ResolutionY`` rows high."""
    sections = tif.fei_metadata or {}
    height = page.imagelength
    rows = int(sections.get("PrivateFei", {}).get("DatabarHeight") or 0)
    stated = int(sections.get("Image", {}).get("ResolutionY") or 0)
    bar = height - stated if 0 < stated < height else rows if 0 < rows < height else 0
    notes = (data_bar(bar),) if bar else ()
    names = ("Scan", "EScan", "IScan", "CScan")
    section: dict[str, Any] = next((sections[name] for name in names if sections.get(name, {}).get("PixelWidth")), {})
    scale = _in("m", section["PixelWidth"], section.get("PixelHeight") or None) if section else Scale()
    return scale._replace(notes=notes)


def _titan(tif: Any, page: Any) -> Scale:
    """FEI Titan: XML with ``<PixelSize><X unit="m">``."""
    text = str(page.tags.valueof(34683))
    found = [re.search(rf'<PixelSize>.*?<{axis} unit="(\w+)">([^<]+)<', text, re.DOTALL) for axis in "XY"]
    return _in(found[0][1], found[0][2], found[1][2] if found[1] else None) if found[0] else Scale()


def _zeiss(tif: Any, page: Any) -> Scale:
    """Zeiss SEM: named values with their units, or the fourth number, metres of a pixel of 1024."""
    values = tif.sem_metadata
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        if name in values:
            return _in(values[name][2], values[name][1])
    return _in("m", values[""][3] * 1024 / page.imagewidth)


def _sis(tif: Any, page: Any) -> Scale:
    """Olympus Soft Imaging, in metres."""
    values = tif.sis_metadata or {}
    return _in("m", values["pixelsizex"], values["pixelsizey"]) if "pixelsizex" in values else Scale()


def _lsm(tif: Any, page: Any) -> Scale:
    return _in("m", tif.lsm_metadata["VoxelSizeX"], tif.lsm_metadata["VoxelSizeY"])


def _tvips(tif: Any, page: Any) -> Scale:
    values = tif.tvips_metadata
    return _in("nm", values["PixelSizeX"], values["PixelSizeY"]) if "PixelSizeX" in values else Scale()


def _gatan(tif: Any, page: Any) -> Scale:
    """DigitalMicrograph: units in 65003 and 65004, scales in 65009 and 65010."""
    tags = page.tags
    unit = tags.valueof(65003)
    unit = unit.decode("latin-1") if isinstance(unit, bytes) else unit
    return _in(unit, tags.valueof(65009), tags.valueof(65010))


def _stk(tif: Any, page: Any) -> Scale:
    values = tif.stk_metadata
    return _in(values["CalibrationUnits"], float(values["XCalibration"]), float(values["YCalibration"]))


def _metaseries(tif: Any, page: Any) -> Scale:
    values = tif.metaseries_metadata["PlaneInfo"]
    return _in(values["spatial-calibration-units"], values["spatial-calibration-x"], values["spatial-calibration-y"])


def _micromanager(tif: Any, page: Any) -> Scale:
    values = page.tags.valueof(51123)
    size = (values if isinstance(values, dict) else {}).get("PixelSizeUm")
    return _in("um", size or (tif.micromanager_metadata or {})["Summary"]["PixelSize_um"])


def _ome(tif: Any, page: Any) -> Scale:
    (y, y_unit), (x, x_unit) = ome_pixel_size(tif.ome_metadata or "")
    return _from_resolution(page) if math.isnan(x) else Scale(_in(x_unit, x).x, _in(y_unit, y).x)


def _imagej(tif: Any, page: Any) -> Scale:
    unit = str(tif.imagej_metadata["unit"]).replace("\\u00B5", "µ")
    if unit in ("inch", "in"):
        return _from_resolution(page, 2)
    x, y = (_pitch(page, tag) for tag in (282, 283))
    return _in(unit, x, y) if x else Scale()


_SOURCES: tuple[tuple[Callable[[Any, Any], bool], Callable[[Any, Any], Scale]], ...] = (
    (lambda tif, page: bool(tif.is_fei), _fei),
    (lambda tif, page: 34683 in page.tags, _titan),
    (lambda tif, page: bool(tif.is_sem), _zeiss),
    (lambda tif, page: bool(page.is_sis), _sis),
    (lambda tif, page: bool(tif.is_lsm), _lsm),
    (lambda tif, page: bool(tif.is_tvips), _tvips),
    (lambda tif, page: not tif.is_eer and {65003, 65009} <= {tag.code for tag in page.tags}, _gatan),
    (lambda tif, page: bool(tif.is_stk), _stk),
    (lambda tif, page: bool(tif.is_metaseries), _metaseries),
    (lambda tif, page: bool(tif.is_micromanager), _micromanager),
    (lambda tif, page: bool(tif.is_ome), _ome),
    (lambda tif, page: bool(tif.is_imagej) and "unit" in (tif.imagej_metadata or {}), _imagej),
)


def data_bar(rows: int) -> str:
    """The note on a bar with scale and settings that an instrument drew under the picture."""
    return f"the instrument's data bar in the bottom {rows} rows, cut it off before training,"


# -------------------------------------------------------------------------------------------------- resolution tags


def _pitch(page: Any, tag: int) -> float | None:
    """Units a pixel, from XResolution (282) or YResolution (283)."""
    value = page.tags.valueof(tag, (0, 1))
    numerator, denominator = value if isinstance(value, tuple) and len(value) == 2 else (0, 1)
    return denominator / numerator if numerator and denominator else None


def _from_resolution(page: Any, unit: int | None = None) -> Scale:
    """The usual tags, where a person or a device set them."""
    tags = page.tags
    x, y = (_pitch(page, tag) for tag in (282, 283))
    unit = int(tags.valueof(296, 2)) if unit is None else unit
    if not x or not math.isfinite(x) or unit not in (2, 3):
        return Scale()
    an_inch = 1 / x if unit == 2 else 2.54 / x
    customary = FOR_PAPER if unit == 2 and not (272 in tags or 271 in tags) else FOR_SCREENS
    if any(abs(an_inch - usual) < 0.05 for usual in customary):
        if round(an_inch) in FOR_SCREENS:
            return Scale()
        words = f"{an_inch:.0f} pixels an inch are usual for paper and not taken as the pixel size"
        return Scale(notes=(words,))
    return _in("inch" if unit == 2 else "cm", x, y)
