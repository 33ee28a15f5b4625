"""Values that a file stores as whole numbers with a slope and an intercept; packed pixels of a stated size."""

import bz2
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from veridical.data.readers.pixels import check_claim


def rescaled_dtype(dtype: np.dtype, slope: float, intercept: float, bits: int | None = None) -> np.dtype:
    """Type of ``stored * slope + intercept``: whole numbers stay whole where slope and intercept are.

    Parameters
    ----------
    dtype : dtype
        As stored.
    slope, intercept : float
    bits : int, optional
        How many of its bits are used.
    """
    if (slope, intercept) == (1, 0):
        return dtype
    if dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        bits = bits or 8 * dtype.itemsize
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)
        ends = sorted(int(value * slope + intercept) for value in (low, high))
        for kind in (dtype, np.dtype(np.int16), np.dtype(np.int32)):
            if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max:
                return np.dtype(kind)
    return np.dtype(np.float64 if dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize > 2) else np.float32)


def rescale(stored: np.ndarray, slope: float, intercept: float, dtype: np.dtype) -> np.ndarray:
    """``stored * slope + intercept`` as `dtype`; the array itself where that changes nothing."""
    if (slope, intercept) == (1, 0):
        return stored.astype(dtype, copy=False)
    if dtype.kind in "iu":
        return (stored.astype(np.int64) * int(slope) + int(intercept)).astype(dtype)
    return (stored.astype(np.float64) * slope + intercept).astype(dtype)


class Rescaled:
    """An array of which what is read is rescaled (`rescale`)."""

    def __init__(self, array: Any, slope: float, intercept: float, dtype: np.dtype):
        self.array, self.slope, self.intercept, self.dtype = array, slope, intercept, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return rescale(np.asarray(self.array[index]), self.slope, self.intercept, self.dtype)


def unpack(path: Path, offset: int, nbytes: int, encoding: str = "gzip") -> bytes:
    """Exactly `nbytes` bytes that are packed in a file from `offset` on; never more, whatever the file unpacks to.

    Parameters
    ----------
    path : Path
    offset : int
    nbytes : int
        Budgeted for by the caller.
    encoding : str
        "gzip" (or zlib, which is told by its first bytes) or "bzip2".

    Raises
    ------
    ValueError
        If there are fewer, or more.
    """
    if encoding == "gzip":
        check_claim(path, nbytes, ratio=1032, offset=offset)  # deflate packs no tighter
    with open(path, "rb") as file:
        file.seek(offset)
        packed = file.read()
    content = b""
    while packed and len(content) <= nbytes:  # a gzip file may have several parts
        machine = bz2.BZ2Decompressor() if encoding == "bzip2" else zlib.decompressobj(47)
        content += machine.decompress(packed, nbytes + 1 - len(content))
        packed = machine.unused_data
        if not machine.eof:
            break
    if len(content) != nbytes:
        raise ValueError(
            f"{'fewer' if len(content) < nbytes else 'more'} than {nbytes} bytes of pixels are packed in it"
        )
    return content
