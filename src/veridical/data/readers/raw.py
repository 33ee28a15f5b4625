"""Raw volumes: bytes without a header, of which the user, a sidecar or the file's name says what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.data.readers.imagefile import guard
from veridical.data.readers.metaimage import open_metaimage
from veridical.data.readers.pixels import check_claim, check_dtype
from veridical.data.readers.volumes import map_array, volume
from veridical.data.slices import Lazy, Slices

OPTIONS = ("shape", "dtype", "order", "offset", "pixel_size_um")
_HOW = "say what it is with ?shape=300,512,512&dtype=uint16 (slices, rows, columns)"


@dataclass
class Sidecar:
    """``NAME.json`` beside ``NAME.raw``: slices, rows and columns, a type of NumPy, "little" or "big", bytes to skip."""

    shape: list[int] | None = None
    dtype: str | None = None
    order: str | None = None
    offset: int = 0
    pixel_size_um: float | None = None


def open_raw(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """A ``.raw`` file, memory-mapped.

    What is asked for by options counts first, then ``NAME.mhd``, then ``NAME.json`` beside it, then a name like
    ``core_512x512x300_uint16.raw`` (columns x rows x slices) if the file has just that size.
    """
    asked = {name: value for name, value in options.items() if name in OPTIONS}
    rest = {name: value for name, value in options.items() if name not in OPTIONS}
    sidecar = path.with_suffix(".json")
    if not asked and path.with_suffix(".mhd").is_file():
        return open_metaimage(path.with_suffix(".mhd"), None, options)
    notes: list[str] = []
    if asked:
        told = _from_options(path, asked)
    elif sidecar.is_file():
        told = read_json(sidecar, Sidecar)
    else:
        told = _from_name(path, notes)
    return guard(path, lambda: _open(path, told, rest, notes))


def _open(path: Path, told: Sidecar, options: Mapping[str, str], notes: list[str]) -> Slices:
    if told.shape is None or told.dtype is None:
        raise InputError(f"{path}: is raw, and nothing tells its shape and type: {_HOW}")
    orders: dict[str | None, Literal["<", ">"]] = {None: "<", "little": "<", "big": ">"}
    order = orders.get(told.order)
    try:
        stored = np.dtype(told.dtype)
    except TypeError:
        raise InputError(f"{path}: dtype={told.dtype} is no type such as uint8, uint16 or float32") from None
    shape, offset = tuple(told.shape), told.offset
    if order is None or min(shape, default=0) < 1 or offset < 0:
        raise InputError(f"{path}: shape and offset are positive numbers, order is little or big: {_HOW}")
    if stored.byteorder == "=":
        stored = stored.newbyteorder(order)
        if told.order is None:
            notes.append("the order of bytes is taken for little; order=big is the other")
    nbytes = int(np.prod(shape, dtype=object)) * stored.itemsize
    check_claim(path, nbytes, offset=offset)
    left = path.stat().st_size - offset - nbytes
    if left:
        notes.append(f"{left} bytes behind the pixels are not read: is the shape right?")
    dtype = check_dtype(stored, path)
    handle = Lazy(map_array, path, offset, stored, shape)
    return volume(
        "raw", handle, path, shape, dtype, options=options, mapped=True, pixel_size=told.pixel_size_um, notes=notes
    )


def _from_options(path: Path, asked: Mapping[str, str]) -> Sidecar:
    try:
        return Sidecar(
            shape=[int(n) for n in re.split("[,x]", asked["shape"])] if "shape" in asked else None,
            dtype=asked.get("dtype"),
            order=asked.get("order"),
            offset=int(asked.get("offset", 0)),
            pixel_size_um=float(asked["pixel_size_um"]) if "pixel_size_um" in asked else None,
        )
    except ValueError:
        raise InputError(f"{path}: {_HOW}") from None


def _from_name(path: Path, notes: list[str]) -> Sidecar:
    """``core_512x512x300_uint16``: only with one size and one type in the name, and if they make the file's size."""
    sizes = re.findall(r"(?<![\dx])\d+(?:x\d+){1,2}(?![\dx])", path.stem.lower())
    types = re.findall(r"(?<![a-z])(u?int(?:8|16|32)|float(?:32|64))(?!\d)", path.stem.lower())
    if len(sizes) != 1 or len(types) != 1:
        return Sidecar()
    shape = [int(n) for n in reversed(sizes[0].split("x"))]
    if int(np.prod(shape, dtype=object)) * np.dtype(types[0]).itemsize != path.stat().st_size:
        return Sidecar()
    notes.append(f"its name says {sizes[0]} (columns x rows x slices) of {types[0]}")
    return Sidecar(shape=shape, dtype=types[0])
