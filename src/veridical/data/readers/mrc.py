"""MRC and CCP4 maps of electron tomography, through mrcfile's header; memory-mapped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from veridical.core.errors import InputError
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import MICROMETRES, check_claim, check_dtype, square_pixels
from veridical.data.readers.volumes import map_array, volume
from veridical.data.slices import Lazy, Slices

IMOD = 1146047817  # stamp of IMOD's header, which alone says whether bytes have a sign


def open_mrc(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """An ``.mrc``, ``.rec``, ``.map`` or ``.st`` file, as stored (its first row is the bottom one)."""
    return guard(path, lambda: _open(path, options))


def _open(path: Path, options: Mapping[str, str]) -> Slices:
    from mrcfile.dtypes import HEADER_DTYPE
    from mrcfile.utils import dtype_from_mode

    with open(path, "rb") as file:
        start = file.read(HEADER_DTYPE.itemsize)
    if len(start) < HEADER_DTYPE.itemsize or start[208:211] != b"MAP":
        raise ValueError("it has no header of an MRC file")
    # the width is a small number; the stamp of the byte order is filled carelessly by many programs
    order: Literal["<", ">"] = "<" if int.from_bytes(start[:4], "little") <= int.from_bytes(start[:4], "big") else ">"
    header: Any = np.frombuffer(start, HEADER_DTYPE.newbyteorder(order)).view(np.recarray)[0]
    dtype = check_dtype(dtype_from_mode(header.mode), path)
    stored = dtype.newbyteorder(order)
    if header.mode == 0 and _unsigned_bytes(start, order):
        stored = dtype = np.dtype(np.uint8)
    shape = tuple(int(n) for n in (header.nz, header.ny, header.nx))
    offset = 1024 + int(header.nsymbt)
    if min(shape) < 1 or int(header.nsymbt) < 0:
        raise InputError(f"{path}: says it has {shape} pixels; export it again")
    check_claim(path, int(np.prod(shape, dtype=object)) * stored.itemsize, offset=offset)
    y, x = (
        float(header.cella[axis]) / max(1, int(header[f"m{axis}"])) for axis in "yx"
    )  # of the sampled cell, in angstrom
    factor = MICROMETRES["angstrom"]
    pixel_size, notes = (
        square_pixels(y * factor, x * factor) if x != 1 else (None, [])
    )  # 1 is what is written if nobody knows
    handle = Lazy(map_array, path, offset, stored, shape)
    return volume(
        "mrc",
        handle,
        path,
        shape,
        dtype,
        letters="zyx",
        options=options,
        mapped=True,
        pixel_size=pixel_size,
        notes=notes,
    )


def _unsigned_bytes(start: bytes, order: Literal["<", ">"]) -> bool:
    stamp, flags = np.frombuffer(start[152:160], np.dtype(np.int32).newbyteorder(order))
    return bool(stamp == IMOD and not flags & 1)
