"""NRRD through pynrrd's header: memory-mapped if it is raw, unpacked as a whole if it is gzip or bzip2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.companions import OUTSIDE, allows_outside, companion
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import MICROMETRES, check_claim, check_dtype, square_pixels
from veridical.data.readers.rescale import unpack
from veridical.data.readers.volumes import map_array, volume
from veridical.data.slices import Lazy, Slices

_COLOURS = ("RGB-color", "RGBA-color", "3-color", "4-color", "HSV-color")
_SCALARS = ("scalar", "stub", "list", "vector", "2-vector", "3-vector", "4-vector", "complex")


def open_nrrd(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """A ``.nrrd`` file, or a ``.nhdr`` header with its data beside it."""
    return guard(path, lambda: _open(path, options))


def _open(path: Path, options: Mapping[str, str]) -> Slices:
    import nrrd
    from nrrd.reader import _determine_datatype

    with open(path, "rb") as file:
        header: Any = nrrd.read_header(file)
        offset = file.tell()
    if header["type"] == "block":
        raise InputError(f"{path}: holds blocks without a type; export it as numbers")
    encoding = {"gz": "gzip", "bz2": "bzip2"}.get(header["encoding"], header["encoding"])
    named = header.get("data file") or header.get("datafile")
    where = path
    if named:
        if "%" in named or named.startswith("LIST"):
            raise InputError(f"{path}: keeps its pixels in several files; save it as one .nrrd")
        where, offset = companion(path, named, path.parent, allows_outside(path, options)), 0
    skip = int(header.get("byte skip") or header.get("byteskip") or 0)
    if int(header.get("line skip") or header.get("lineskip") or 0):
        raise InputError(f"{path}: begins its pixels after lines of text (line skip); save it as one .nrrd")
    stored = _determine_datatype(header)
    dtype = check_dtype(stored, path)
    shape = tuple(int(n) for n in header["sizes"])[::-1]
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if encoding == "raw":
        offset = where.stat().st_size - nbytes if skip == -1 else offset + skip
        check_claim(where, nbytes, offset=offset)
        handle = Lazy(map_array, where, offset, stored, shape)
    elif encoding in ("gzip", "bzip2"):
        check_cost(path, nbytes=nbytes)
        handle = Lazy(_unpacked, where, offset, encoding, stored, shape, max(skip, 0))
    else:
        raise InputError(f"{path}: is NRRD in the encoding {encoding}, which is not read; save it as raw or gzip")
    size, notes = _pixel_size(header)
    return volume(
        "nrrd",
        handle,
        path,
        shape,
        dtype,
        letters=_letters(header, len(shape)),
        options=options,
        also=(OUTSIDE,),
        mapped=encoding == "raw",
        pixel_size=size,
        notes=notes,
    )


def _unpacked(path: Path, offset: int, encoding: str, dtype: np.dtype, shape: tuple[int, ...], skip: int) -> np.ndarray:
    nbytes = int(np.prod(shape)) * dtype.itemsize
    content = unpack(path, offset, nbytes + skip, encoding)
    return np.frombuffer(content, dtype, offset=skip).reshape(shape)


def _kinds(header: Any) -> list[str]:
    kinds = header.get("kinds") or ["domain"] * len(header["sizes"])
    return [str(kind) for kind in kinds]


def _letters(header: Any, n: int) -> str:
    """Letters in the order of the reversed sizes: domain axes are x, y, z in turn, colours s, vectors and lists c."""
    domain, letters = iter("xyzabdef"), ""
    for kind in _kinds(header):
        letters += "s" if kind in _COLOURS else "t" if kind == "time" else "c" if kind in _SCALARS else next(domain)
    return letters[::-1]


def _pixel_size(header: Any) -> tuple[float | None, list[str]]:
    """Of the first two domain axes: spacings, or the lengths of directions, in their units (mm in a named space)."""
    axes = [k for k, kind in enumerate(_kinds(header)) if kind not in (*_COLOURS, *_SCALARS, "time")][:2]
    directions, spacings = header.get("space directions"), header.get("spacings")
    if len(axes) < 2 or (directions is None and spacings is None):
        return None, []
    if directions is not None:
        lengths = [float(np.linalg.norm(np.asarray(directions[k], float))) for k in axes]
    else:
        lengths = [float(spacings[k]) for k in axes]
    units = header.get("space units") or header.get("units") or []
    # the named spaces are those of medicine, of which all programs give millimetres
    unit = str(units[min(axes[0], len(units) - 1)]) if units else "mm" if header.get("space") else ""
    if unit not in MICROMETRES:
        said = set(lengths) != {1.0}
        return None, [f"its spacing of {lengths[0]:g} has no unit, so no pixel size is used"] if said else []
    if not units and set(lengths) == {1.0}:  # what programs write that know nothing
        return None, []
    return square_pixels(lengths[1] * MICROMETRES[unit], lengths[0] * MICROMETRES[unit])
