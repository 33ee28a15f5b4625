"""Pixel sizes that electron microscopes write into a text file beside the image: Hitachi and JEOL."""

import re
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_bytes
from veridical.data.readers.pixels import MICROMETRES
from veridical.data.readers.scale import data_bar


def read_sidecar(path: Path, shape: tuple[int, int]) -> tuple[float | None, list[str]]:
    """Micrometres a pixel that ``NAME.txt`` beside the image states, or None, and a note on a data bar under the picture.

    Hitachi writes ``PixelSize=9.92`` in nanometres for ``DataSize=1280x960``; JEOL ``$CM_FULL_SIZE 1280 960`` and a
    scale bar, ``$$SM_MICRON_BAR 103`` pixels for ``$$SM_MICRON_MARKER 10um``.
    """
    beside = path.with_suffix(".txt")
    try:
        if not beside.is_file():
            return None, []
        text = read_bytes(beside, 2**16).decode("latin-1")
    except (InputError, OSError):
        return None, []
    if "[SemImageFile]" in text:
        size, extent = _numbers(r"^PixelSize=([\d.]+)()", text), _numbers(r"^DataSize=(\d+)x(\d+)", text)
        length, pixels, unit = size[0] if size else 0.0, 1.0, "nm"
    else:
        bar, extent = (
            _numbers(r"^\$+SM_MICRON_BAR\s+([\d.]+)()", text),
            _numbers(r"^\$+CM_FULL_SIZE\s+(\d+)\s+(\d+)", text),
        )
        marker = re.search(r"^\$+SM_MICRON_MARKER\s+([\d.]+)\s*(nm|um|mm)", text, re.MULTILINE)
        if not (bar and marker):
            return None, []
        length, pixels, unit = float(marker[1]), bar[0], marker[2]
    width, height = extent or (shape[1], shape[0])
    if (
        not (length > 0 and pixels > 0) or width != shape[1]
    ):  # of another size it is not the image that the microscope wrote
        return None, []
    notes = [data_bar(int(shape[0] - height))] if 0 < height < shape[0] else []
    return length / pixels * MICROMETRES[unit], notes


def _numbers(pattern: str, text: str) -> tuple[float, float] | None:
    """Two numbers behind a word; the second is 0 where there is one."""
    match = re.search(pattern, text, re.MULTILINE)
    try:
        return (float(match[1]), float(match[2] or 0)) if match else None
    except ValueError:
        return None
