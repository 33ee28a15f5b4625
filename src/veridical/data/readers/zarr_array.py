"""The metadata, codecs and chunks of a Zarr array, checked before zarr sees them: only numeric types and named codecs, no
links out of the store, no chunk that is no file or claims to unpack to more than a chunk.

Longer than other files because of these checks.
"""

from __future__ import annotations

import bz2
import contextlib
import json
import lzma
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import parse_json, read_json
from veridical.core.limits import check_cost

COMPRESSORS = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")
# Filters of whole numbers and reals. Not pickle, json2, msgpack2 and others that make objects, which may run code.
FILTERS = (
    *("adler32", "astype", "bitround", "crc32", "crc32c", "delta", "fixedscaleoffset", "fletcher32", "jenkins_lookup3"),
    *("packbits", "quantize", "shuffle"),
)
STANDARD = (
    "blosc",
    "bytes",
    "crc32c",
    "endian",
    "gzip",
    "sharding_indexed",
    "transpose",
    "zstd",
)  # codecs of version 3
TYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
UNPACKERS: dict[str, tuple[Any, int]] = {  # and how many times as large what comes out may be
    "bz2": (bz2.BZ2Decompressor, 10**9),
    "gzip": (lambda: zlib.decompressobj(31), 1032),
    "lzma": (lzma.LZMADecompressor, 10**9),
    "zlib": (zlib.decompressobj, 1032),
}
LARGEST_HEADER = 2**16  # bytes that a compressed chunk may have above what it holds


@dataclass(frozen=True)
class _Named:
    name: str
    configuration: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Array2:
    shape: list[int]
    chunks: list[int]
    dtype: str
    zarr_format: Literal[2]
    compressor: dict[str, Any] | None = None
    filters: list[dict[str, Any]] | None = None
    dimension_separator: Literal[".", "/"] = "."
    fill_value: Any = None


@dataclass(frozen=True)
class _Array3:
    shape: list[int]
    data_type: str
    chunk_grid: _Named
    chunk_key_encoding: _Named
    codecs: list[_Named | str]
    zarr_format: Literal[3]
    fill_value: Any = None
    storage_transformers: list[Any] = field(default_factory=list)
    dimension_names: list[str | None] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """An array whose metadata were checked, and where its chunks are."""

    place: Path
    version: Literal[2, 3]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    decoded: tuple[int, ...]  # what is unpacked at once: a chunk, or one of a shard
    dtype: np.dtype
    separator: str
    compressor: str  # empty for none, or for several codecs
    prefix: str = ""
    fill: Any = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[str | None, ...] = ()

    def key(self, numbers: Sequence[int]) -> str:
        """Path of a chunk below the array."""
        return self.separator.join([*([self.prefix] if self.prefix else []), *map(str, numbers)])

    def numbers(self, key: str) -> list[int] | None:
        """The inverse of `key`; None for other files."""
        parts = key.split(self.separator)
        if self.prefix:
            parts = parts[1:] if parts[0] == self.prefix else []
        right = len(parts) == len(self.shape) and all(part.isdecimal() and part.isascii() for part in parts)
        return [int(part) for part in parts] if right else None


def place_of(path: Path, base: Path, key: str, outside: bool) -> Path:
    """Folder of a node; an InputError where it lies outside the store."""
    found = Path(os.path.realpath(base / key.strip("/")))
    if not outside and not found.is_relative_to(os.path.realpath(path)):
        raise InputError(
            f"{path}: leads out of its folder at {key or found}; copy the data into it, or trust it: ?outside=yes"
        )
    return found


def read_array(path: Path, place: Path) -> Array:
    """An array after a check of all its metadata."""
    found = _version3(path, place) if (place / "zarr.json").is_file() else _version2(path, place)
    sizes = [*found.shape, *found.chunks, *found.decoded]
    if not len(found.shape) == len(found.chunks) == len(found.decoded) or any(
        type(n) is not int or n < 0 for n in sizes
    ):
        raise InputError(
            f"{path}: the shape of the array or of its chunks makes no sense; it is damaged, copy it again"
        )
    if 0 in found.chunks or 0 in found.decoded:
        raise InputError(f"{path}: has chunks of no size; it is damaged, copy it again")
    check_cost(path, nbytes=prod(found.decoded) * found.dtype.itemsize)
    return found


def _version2(path: Path, place: Path) -> Array:
    stated = read_json(place / ".zarray", _Array2)
    if not re.fullmatch(r"[<>|][buif]\d{1,2}", stated.dtype):
        raise InputError(f"{path}: holds values of the type {stated.dtype[:40]}; export them as numbers")
    for codec in [*(stated.filters or []), *([] if stated.compressor is None else [stated.compressor])]:
        if codec.get("id") not in (*COMPRESSORS, *FILTERS):
            raise InputError(_unknown(path, codec.get("id")))
    attributes = read_json(place / ".zattrs", dict[str, Any]) if (place / ".zattrs").is_file() else {}
    names = attributes.get("_ARRAY_DIMENSIONS")
    return Array(
        place=place,
        version=2,
        shape=tuple(stated.shape),
        chunks=tuple(stated.chunks),
        decoded=tuple(stated.chunks),
        dtype=np.dtype(stated.dtype),
        separator=stated.dimension_separator,
        compressor=str(stated.compressor["id"]) if stated.compressor and not stated.filters else "",
        fill=stated.fill_value,
        attributes=attributes,
        dimensions=tuple(map(str, names)) if isinstance(names, list) else (),
    )


def _version3(path: Path, place: Path) -> Array:
    stated = read_json(place / "zarr.json", _Array3)
    if stated.data_type not in TYPES:
        raise InputError(f"{path}: holds values of the type {stated.data_type[:40]}; export them as numbers")
    if stated.chunk_grid.name != "regular" or stated.storage_transformers:
        raise InputError(f"{path}: its chunks are not in a regular grid, which cannot be read; write it again")
    encoding = stated.chunk_key_encoding
    separator = encoding.configuration.get("separator", "/" if encoding.name == "default" else ".")
    if encoding.name not in ("default", "v2") or separator not in ("/", "."):
        raise InputError(f"{path}: names its chunks in an unknown way ({encoding.name[:40]}); write it again")
    chunks = _sizes(stated.chunk_grid.configuration.get("chunk_shape"))
    codecs = [_Named(codec) if isinstance(codec, str) else codec for codec in stated.codecs]
    _check_codecs(path, codecs)
    sharded = codecs[0].name == "sharding_indexed" if codecs else False
    compressors = [codec.name.removeprefix("numcodecs.") for codec in codecs]
    compressors = [name for name in compressors if name not in ("bytes", "endian", "transpose", "crc32c")]
    return Array(
        place=place,
        version=3,
        shape=tuple(stated.shape),
        chunks=chunks,
        decoded=_sizes(codecs[0].configuration.get("chunk_shape")) if sharded else chunks,
        dtype=np.dtype(stated.data_type),
        prefix="c" if encoding.name == "default" else "",
        separator=separator,
        compressor=compressors[0] if len(compressors) == 1 else "",
        fill=stated.fill_value,
        attributes=stated.attributes,
        dimensions=tuple(stated.dimension_names or ()),
    )


def _sizes(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _check_codecs(path: Path, codecs: Sequence[_Named], depth: int = 0) -> None:
    for codec in codecs:
        if codec.name not in STANDARD and codec.name.removeprefix("numcodecs.") not in (*COMPRESSORS, *FILTERS):
            raise InputError(_unknown(path, codec.name))
        for inner in ("codecs", "index_codecs"):
            if codec.name == "sharding_indexed" and inner in codec.configuration:
                listed = parse_json(json.dumps(codec.configuration[inner]), list[_Named | str], path)
                named = [_Named(each) if isinstance(each, str) else each for each in listed]
                if depth > 4:
                    raise InputError(f"{path}: has shards in shards in shards; write it again")
                _check_codecs(path, named, depth + 1)


def _unknown(path: Path, codec: Any) -> str:
    known = ", ".join(COMPRESSORS)
    return f"{path}: is stored with the codec {str(codec)[:40]}, which is not read; write it again with one of {known}"


# ------------------------------------------------------------------------------------------------- chunks


def missing_chunks(path: Path, array: Array, outside: bool) -> list[str]:
    """A note on chunks that are not there; an InputError if none is, or if one is no file of this store."""
    total = prod(-(-n // chunk) for n, chunk in zip(array.shape, array.chunks))
    there = 0
    for entry in _files(path, array.place, outside, len(array.shape) + 2):
        numbers = array.numbers(entry)
        there += numbers is not None and all(k < -(-n // c) for k, n, c in zip(numbers, array.shape, array.chunks))
    if total and not there:
        raise InputError(f"{path}: none of the {total} chunks of its array is there; copy the whole store again")
    if there == total:
        return []
    return [f"{total - there} of {total} chunks are not there and are read as the fill value {str(array.fill)[:20]}"]


def _files(path: Path, folder: Path, outside: bool, depth: int) -> Iterator[str]:
    """Names of all files below a folder, relative to it; an InputError for what is no file, or lies outside the store."""
    todo = [("", depth)]
    while todo:
        below, depth = todo.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                name = f"{below}/{entry.name}" if below else entry.name
                if entry.is_symlink():
                    place_of(path, folder, name, outside)
                if entry.is_dir():
                    todo += [(name, depth - 1)] if depth else []
                elif entry.is_file():
                    yield name
                else:
                    raise InputError(f"{path}: {name} is not a regular file; copy the whole store again")


class CheckedArray:
    """An open array, of which the files of the chunks are looked at before they are decoded."""

    def __init__(self, path: Path, array: Array):
        import zarr

        self.path, self.array = path, array
        # the array itself, not through its groups: their consolidated metadata may say something else
        self.opened: Any = zarr.open_array(store=str(array.place), mode="r", zarr_format=array.version)

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        ranges = [
            (k // chunk,) if isinstance(k, int) else range(-(-n // chunk))
            for k, n, chunk in zip(index, self.array.shape, self.array.chunks)
        ]
        for numbers in product(*ranges):
            self._check(self.array.place / self.array.key(numbers))
        return np.asarray(self.opened[index])

    def _check(self, chunk: Path) -> None:
        try:
            found = os.stat(chunk)
        except OSError:
            return  # counted when the array was opened
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{chunk}: is not a regular file; copy the whole store again")
        holds = prod(self.array.chunks) * self.array.dtype.itemsize
        unpacked, packed = _claimed(chunk, self.array.compressor, found.st_size, holds)
        if packed > found.st_size:
            raise InputError(f"{self.path}: its chunk {chunk.name} is cut short; copy the store again")
        if found.st_size > 2 * holds + LARGEST_HEADER or unpacked > holds:
            raise InputError(
                f"{self.path}: its chunk {chunk.name} unpacks to more than a chunk holds; copy the store again"
            )


def _claimed(chunk: Path, compressor: str, size: int, holds: int) -> tuple[int, int]:
    """Bytes that a compressed chunk unpacks to, and of the chunk itself, as it says in its first bytes; 0 where it does not."""
    with open(chunk, "rb") as file:
        first = file.read(18)
        if compressor in UNPACKERS and size * UNPACKERS[compressor][1] > 2**32 and size <= 2 * holds + LARGEST_HEADER:
            # it does not say, and may be a bomb: see whether more comes out than a chunk holds
            with contextlib.suppress(zlib.error, OSError, EOFError, lzma.LZMAError):
                unpacker = UNPACKERS[compressor][0]()
                return len(unpacker.decompress(first + file.read(), holds + 1)), 0
    if len(first) < 18:
        return 0, 0
    if compressor == "blosc":
        return int.from_bytes(first[4:8], "little"), int.from_bytes(first[12:16], "little")
    if compressor == "lz4":
        return int.from_bytes(first[:4], "little"), 0
    if compressor == "zstd" and first[:4] == b"\x28\xb5\x2f\xfd":
        single, flag = first[4] >> 5 & 1, first[4] >> 6
        width = (1 if single else 0, 2, 4, 8)[flag]  # of the content size (RFC 8878, 3.1.1.1)
        start = 5 + (not single) + (0, 1, 2, 4)[first[4] & 3]
        return int.from_bytes(first[start : start + width], "little") + (256 if width == 2 else 0), 0
    return 0, 0
