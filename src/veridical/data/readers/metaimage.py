"""MetaImage (ITK): a header of text, the pixels behind it (``.mha``) or in a file beside it (``.mhd``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.companions import OUTSIDE, allows_outside, companion
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import MICROMETRES, check_claim, square_pixels
from veridical.data.readers.rescale import unpack
from veridical.data.readers.volumes import map_array, volume
from veridical.data.slices import Lazy, Slices

_TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4",
    "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip
LARGEST_HEADER = 2**16


def open_metaimage(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """An ``.mha`` or ``.mhd`` file: memory-mapped, or unpacked as a whole where it is compressed."""
    return guard(path, lambda: _open(path, options))


def _header(path: Path) -> tuple[dict[str, str], int]:
    """The fields, and where the header ends: after ``ElementDataFile``, which is the last."""
    with open(path, "rb") as file:
        start = file.read(LARGEST_HEADER)
    match = re.search(rb"^ElementDataFile\s*=[^\n]*(\n|\Z)", start, re.MULTILINE)
    if not match:
        raise ValueError("it has no field ElementDataFile")
    lines = start[: match.end()].decode("latin-1").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}, match.end()


def _open(path: Path, options: Mapping[str, str]) -> Slices:
    fields, offset = _header(path)
    named = fields["ElementDataFile"]
    where = path
    if named.upper() != "LOCAL":
        if named == "LIST" or "%" in named:
            raise InputError(f"{path}: keeps its pixels in several files; save it as one .mha")
        where, offset = companion(path, named, path.parent, allows_outside(path, options)), 0
    kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _TYPES or not _yes(fields.get("BinaryData", "True")):
        raise InputError(
            f"{path}: holds {fields['ElementType']} values, or text; save it as binary whole or real numbers"
        )
    order = ">" if _yes(fields.get("BinaryDataByteOrderMSB") or fields.get("ElementByteOrderMSB") or "False") else "<"
    stored = np.dtype(order + _TYPES[kind])
    shape = tuple(int(n) for n in fields["DimSize"].split())[::-1]
    letters = "abdetzyx"[-len(shape) :]
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    if channels > 1:
        shape, letters = (*shape, channels), letters + ("s" if channels in (3, 4) and kind == "UCHAR" else "c")
    nbytes = int(np.prod(shape, dtype=object)) * stored.itemsize
    packed = _yes(fields.get("CompressedData", "False"))
    if packed:
        check_cost(path, nbytes=nbytes)
        handle = Lazy(_unpacked, where, offset, stored, shape)
    else:
        skip = int(fields.get("HeaderSize", "0"))
        offset = where.stat().st_size - nbytes if skip == -1 else offset + skip
        check_claim(where, nbytes, offset=offset)
        handle = Lazy(map_array, where, offset, stored, shape)
    size, notes = _pixel_size(fields)
    return volume(
        "metaimage",
        handle,
        path,
        shape,
        stored,
        letters=letters,
        options=options,
        also=(OUTSIDE,),
        mapped=not packed,
        pixel_size=size,
        notes=notes,
    )


def _unpacked(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(unpack(path, offset, int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def _yes(word: str) -> bool:
    return word.lower() in ("true", "1", "t", "y", "yes")


def _pixel_size(fields: Mapping[str, str]) -> tuple[float | None, list[str]]:
    """From ``ElementSpacing``, which ITK has in millimetres."""
    spacing = [float(value) for value in (fields.get("ElementSpacing") or fields.get("ElementSize") or "").split()]
    if len(spacing) < 2 or spacing[:2] == [1, 1]:
        return None, []
    unit = {"um": "um", "mm": "mm", "cm": "cm"}.get(fields.get("DistanceUnits", "mm"), "mm")
    size, notes = square_pixels(spacing[1] * MICROMETRES[unit], spacing[0] * MICROMETRES[unit])
    if size and "DistanceUnits" not in fields:
        notes = [f"its spacing of {spacing[0]:g} is taken for millimetres, as ITK has it"]
    return size, notes
