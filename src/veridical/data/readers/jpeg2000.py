"""JPEG 2000 through imagecodecs, in its stored bits."""

import struct
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.data.readers.pixels import ALPHA, Header, drop_alpha


def jpeg2000_header(path: Path) -> Header:
    """Size, type and channels, from the marker SIZ (ISO/IEC 15444-1, A.5.1) at the beginning of the code stream."""
    with open(path, "rb") as file:
        start = file.read(2**20)  # a JP2 has boxes before it
    at = start.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(start) < at + 45:
        raise InputError(f"{path}: is no JPEG 2000 image, whatever its name says; export it again")
    if start.rfind(b"pclr", 0, at) > 0:
        raise InputError(f"{path}: is a JPEG 2000 image with a palette; save it as grey or RGB")
    right, bottom, left, top = struct.unpack(">4I", start[at + 8 : at + 24])
    (channels,) = struct.unpack(">H", start[at + 40 : at + 42])
    depth = start[at + 42]
    bits, signed = (depth & 127) + 1, depth > 127
    if channels not in (1, 2, 3, 4) or bits > 32 or right <= left or bottom <= top:
        raise InputError(f"{path}: has {channels} channels of {bits} bits; save it as grey or RGB")
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    if not _is_whole(path, start, at):
        raise InputError(f"{path}: is cut short, its code stream does not end; copy or export it again")
    dtype = np.dtype(f"{'int' if signed else 'uint'}{size}")
    return Header(
        (bottom - top, right - left), dtype, 3 if channels > 2 else 1, notes=[ALPHA] if channels in (2, 4) else []
    )


def _is_whole(path: Path, start: bytes, at: int) -> bool:
    """Whether the code stream from `at` on ends as it should: what is cut short decodes to a coarser image without a word."""
    end = path.stat().st_size
    if start[at - 4 : at] == b"jp2c" and (length := int.from_bytes(start[at - 8 : at - 4], "big")):
        end = at - 8 + length
    elif start[at - 12 : at - 8] == b"jp2c":
        end = at - 16 + int.from_bytes(start[at - 8 : at], "big")
    with open(path, "rb") as file:
        file.seek(end - 2)
        return file.read(2) == b"\xff\xd9"


def jpeg2000_pixels(path: Path) -> np.ndarray:
    """Decode to (H, W) or (H, W, 3)."""
    import imagecodecs

    header = jpeg2000_header(path)
    array = drop_alpha(imagecodecs.jpeg2k_decode(path.read_bytes()))
    if array.shape[:2] != header.shape or (3 if array.ndim == 3 else 1) != header.channels:
        raise InputError(
            f"{path}: decodes to {array.shape} pixels, not to the {header.shape} of its header; export it again"
        )
    return array.astype(header.dtype, copy=False)
