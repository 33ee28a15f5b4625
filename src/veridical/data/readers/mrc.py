"""MRC and CCP4 maps of electron tomography, through mrcfile's header; memory-mapped."""

from collections.abc import Mapping
from pathlib import Path

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
    import warnings

    import mrcfile
    from mrcfile.utils import data_dtype_from_header

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # many programs fill the header carelessly; what is needed is checked here
        with mrcfile.open(path, header_only=True, permissive=True) as file:
            header = file.header
            size = file.voxel_size
    if header is None or header.mode.dtype.kind != "i":
        raise ValueError("it has no header of an MRC file")
    dtype = check_dtype(data_dtype_from_header(header), path)
    stored = dtype.newbyteorder(header.mode.dtype.byteorder)
    if header.mode == 0 and _unsigned_bytes(path):
        stored = dtype = np.dtype(np.uint8)
    shape = tuple(int(n) for n in (header.nz, header.ny, header.nx))
    offset = 1024 + int(header.nsymbt)
    if min(shape) < 1 or int(header.nsymbt) < 0:
        raise InputError(f"{path}: says it has {shape} pixels; export it again")
    check_claim(path, int(np.prod(shape, dtype=object)) * stored.itemsize, offset=offset)
    pixel_size, notes = square_pixels(*(float(value) * MICROMETRES["angstrom"] for value in (size.y, size.x)))
    if float(size.x) == 1:  # what is written when nobody knows
        pixel_size = None
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


def _unsigned_bytes(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(160)
    for order in ("<i4", ">i4"):
        stamp, flags = np.frombuffer(start[152:160], order)
        if stamp == IMOD:
            return not flags & 1
    return False
