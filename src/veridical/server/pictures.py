"""PNG files in and out: counts of 8 or 16 bits, grey or RGB, with what made them inside the file."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.data.inside import TEXT, XMP, Inside
from veridical.data.window import EIGHT_BITS, IntensityWindow, fit_window

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = len(_SIGNATURE) + 25  # bytes of the signature and the chunk IHDR
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of PNG's colour types; 3 is a palette


@dataclass(frozen=True)
class Png:
    """What the header of a PNG file says."""

    width: int
    height: int
    bits: int
    channels: int

    @property
    def size(self) -> str:
        """As the API writes it."""
        return f"{self.width}x{self.height}"


def header(content: bytes, name: str, most: int) -> Png:
    """What a PNG file of at most so many pixels is, before any of it is decoded.

    Raises
    ------
    InputError
        For anything else: `name` is what it is called.
    """
    if not content.startswith(_SIGNATURE) or content[12:16] != b"IHDR" or len(content) < _HEADER:
        raise InputError(f"{name} is no PNG file: save it as PNG.")
    width, height, bits, kind = struct.unpack(">IIBB", content[16:26])
    if kind not in _CHANNELS or bits not in (8, 16):
        raise InputError(f"{name} has a palette or fewer than 8 bits: save it as grey or RGB of 8 or 16 bits.")
    if not width * height or width * height > most:
        raise InputError(f"{name} has {width} x {height} pixels: at most {most} pixels are taken.")
    return Png(width, height, bits, _CHANNELS[kind])


def decode(content: bytes, png: Png, name: str) -> NDArray[Any]:
    """Counts (C, H, W), uint8 or uint16, alpha included.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    try:
        found = np.asarray(imagecodecs.png_decode(content))
    except Exception as error:
        raise InputError(f"{name} is damaged or cut short: export it again.") from error
    found = found[..., None] if found.ndim == 2 else found
    if found.shape != (png.height, png.width, png.channels) or found.dtype.itemsize * 8 != png.bits:
        raise InputError(
            f"{name} has transparency beside its pixels (tRNS): save it with an alpha channel, or without."
        )
    return np.ascontiguousarray(found.transpose(2, 0, 1))


def read_mask(content: bytes, size: str, most: int) -> NDArray[np.bool_]:
    """Where the alpha of a PNG file is 0, (H, W): there an image may change.

    Raises
    ------
    InputError
        If it has no alpha, another size, or marks nothing.
    """
    png = header(content, "mask", most)
    if png.channels not in (2, 4):
        raise InputError("mask has no alpha channel: save it as PNG with alpha, 0 where the image may change.")
    if png.size != size:
        raise InputError(f"mask has {png.size} pixels but the image {size}: draw the mask on the image.")
    marked: NDArray[np.bool_] = decode(content, png, "mask")[-1] == 0
    if not marked.any():
        raise InputError("mask marks no pixel: set alpha to 0 where the image may change.")
    return marked


def read_image(content: bytes, channels: int | None, name: str, most: int) -> tuple[NDArray[Any], Png]:
    """Counts (C, H, W) of an image for a run of so many channels, or for one that takes grey and colour: None.

    RGB of equal channels is grey where it may be, an opaque alpha is left out.

    Raises
    ------
    InputError
        For colour where the run is grey, grey where it has colour, and transparent pixels.
    """
    png = header(content, name, most)
    found = decode(content, png, name)
    if png.channels in (2, 4):
        if (found[-1] != np.iinfo(found.dtype).max).any():
            raise InputError(
                f"{name} has transparent pixels: send what may change as mask, and the image without alpha."
            )
        found = found[:-1]
    if len(found) == 3 and channels != 3:
        grey = (found == found[:1]).all()
        if channels == 1 and not grey:
            raise InputError(f"{name} has colour but the run was trained on grey images: save it as grey.")
        found = found[:1] if grey else found
    if channels is not None and len(found) != channels:
        raise InputError(f"{name} is grey but the run was trained on RGB images: save it as RGB.")
    return found, png


def scale(window: IntensityWindow, bits: int) -> IntensityWindow:
    """How files of so many bits stand for the images of a run: in its own counts, else from black to white of its window.

    Raises
    ------
    InputError
        For 16 bits where the run's images have 8.
    """
    own = np.dtype(window.dtype)
    if own == f"uint{bits}":
        return window
    if bits == 16 and own.itemsize == 1:
        raise InputError("16 bits are more than the images that the run was trained on have: send and ask for 8.")
    return IntensityWindow(0.0, float(2**bits - 1), f"uint{bits}")


def scale_for(window: IntensityWindow, counts: NDArray[Any]) -> IntensityWindow:
    """The same for a pipeline, which was trained on no such images: 8 bits as they are; 16 in the window that it was given, or
    fitted on these counts."""
    if counts.dtype == np.uint8:
        return EIGHT_BITS
    return window if window.dtype == counts.dtype.name else fit_window([counts], counts.dtype)


def encode(counts: NDArray[Any], inside: Inside) -> bytes:
    """A PNG file of counts (C, H, W) that says what made it, in its text ``veridical`` and, for other programs, in XMP."""
    pixels = counts[0] if len(counts) == 1 else np.ascontiguousarray(counts.transpose(1, 2, 0))
    plain = bytes(imagecodecs.png_encode(pixels))
    said = _text(TEXT, inside.text) + _text(XMP, inside.xmp)
    return plain[:_HEADER] + said + plain[_HEADER:]


def _text(keyword: str, text: str) -> bytes:
    """A chunk iTXt, not compressed, of no language."""
    body = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
