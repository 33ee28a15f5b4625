"""Which images of a set are the same picture, under whatever names and in whatever files."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np

from veridical.core.files import file_hash, open_regular
from veridical.data.slices import Slices

PIECE = 4096  # bytes, of a file's beginning, middle and end


def find_twins(
    slices: Slices, use: Sequence[int], read: Callable[[int], np.ndarray], affordable: bool, notes: list[str]
) -> dict[int, int]:
    """The first slice with the same pixels, of each slice that has one; not of those of one value, which say nothing.

    Parameters
    ----------
    slices : Slices
    use : sequence of int
    read : callable
        Gives the pixels of a slice.
    affordable : bool
        Whether all slices can be decoded. If not, slices of a stack in memory are compared by some rows first, and of files
        those are found that are equal byte by byte.
    notes : list of str
        What could not be looked for is added.
    """
    if slices.kind == "phantom" or len(use) < 2:
        return {}
    if affordable:
        return _equal(use, lambda i: _content(slices, i, read(i)))
    if slices.mapped:
        alike = _equal(use, lambda i: (slices.shapes[i], hashlib.sha256(_rows(read(i)).tobytes()).digest()))
        some = sorted({*alike, *alike.values()})
        return _equal(some, lambda i: _content(slices, i, read(i)))
    if not slices.paths:
        return {}
    notes.append("too many pixels to compare all images: only files that are equal byte by byte are known to be copies")
    alike = _equal(use, lambda i: _pieces(slices.paths[i]))
    some = sorted({*alike, *alike.values()})
    return _equal(some, lambda i: file_hash(slices.paths[i]))


def _equal(use: Sequence[int], content: Callable[[int], Hashable | None]) -> dict[int, int]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i in use:
        found = content(i)
        if found is not None:
            groups[found].append(i)
    return {i: same[0] for same in groups.values() for i in same[1:]}


def _content(slices: Slices, i: int, pixels: np.ndarray) -> Hashable | None:
    if (pixels == pixels.flat[0]).all():
        return None
    return slices.shapes[i], hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def _rows(image: np.ndarray) -> np.ndarray:
    return image[np.linspace(0, len(image) - 1, 4).astype(int)]  # few: each is a place of its own on a disk


def _pieces(path: Path) -> Hashable:
    size = os.path.getsize(path)
    with open_regular(path) as file:
        parts = []
        for place in (0, size // 2, max(0, size - PIECE)):
            file.seek(place)
            parts.append(file.read(PIECE))
    return size, tuple(hashlib.blake2b(part, digest_size=16).digest() for part in parts)
