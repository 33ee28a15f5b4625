"""Pixel sizes that electron microscopes write into a text file beside the image: Hitachi and JEOL."""

import re
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_bytes
from veridical.data.readers.pixels import MICROMETRES


def stated_pixel_size(path: Path, shape: tuple[int, int]) -> float | None:
    """Micrometres a pixel that ``NAME.txt`` beside the image states, or None.

    Hitachi writes ``PixelSize=9.92`` in nanometres for ``DataSize=1280x960``; JEOL ``$CM_FULL_SIZE 1280 960`` and a
    scale bar, ``$$SM_MICRON_BAR 103`` pixels for ``$$SM_MICRON_MARKER 10um``.
    """
    beside = path.with_suffix(".txt")
    try:
        if not beside.is_file():
            return None
        text = read_bytes(beside, 2**16).decode("latin-1")
    except (InputError, OSError):
        return None
    if "[SemImageFile]" in text:
        size, width = _find(r"^PixelSize=([\d.]+)", text), _find(r"^DataSize=(\d+)x", text)
        factor = MICROMETRES["nm"]
    else:
        bar, width = _find(r"^\$+SM_MICRON_BAR\s+([\d.]+)", text), _find(r"^\$+CM_FULL_SIZE\s+(\d+)", text)
        marker = re.search(r"^\$+SM_MICRON_MARKER\s+([\d.]+)\s*(nm|um|mm)", text, re.MULTILINE)
        if not (bar and marker):
            return None
        size, factor = float(marker[1]) / bar, MICROMETRES[marker[2]]
    # of another size it is not the image that the microscope wrote
    return size * factor if size and width in (None, shape[1]) else None


def _find(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text, re.MULTILINE)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None
