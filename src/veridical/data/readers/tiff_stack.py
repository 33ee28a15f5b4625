"""TIFF files of several images -> slices, memory-mapped where the pages are stored as they are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.companions import OUTSIDE, allows_outside
from veridical.data.readers.imagefile import guard
from veridical.data.readers.ome import channel_names
from veridical.data.readers.pixels import ALPHA, check_dtype
from veridical.data.readers.scale import tiff_scale
from veridical.data.readers.tiff import (
    choose_series,
    decode_page,
    nodata,
    open_tiff_file,
    plan_page,
    tiff_file,
)
from veridical.data.readers.volumes import check_length, map_array, volume
from veridical.data.slices import Lazy, Slices


def open_tiff(path: Path, options: Mapping[str, str] | None = None) -> Slices | None:
    """A stack of TIFF pages; None if the file holds one image only and nothing is asked of it.

    Parameters
    ----------
    path : Path
    options : mapping
        See `veridical.data.axes.plan_axes`; ``series`` is the number of an image series, ``outside=yes`` lets OME metadata name
        files of other folders.

    Raises
    ------
    InputError
        If the file holds several series or channels of which none is chosen, or is damaged.
    """
    options = options or {}
    return guard(path, lambda: _open(path, options, allows_outside(path, options)))


def _open(path: Path, options: Mapping[str, str], outside: bool) -> Slices | None:
    with tiff_file(path, outside) as tif:
        number, notes = choose_series(tif, path, options.get("series", ""))
        series, page = tif.series[number], tif.series[number].keyframe
        letters, dtype, note, treatment = _plan(series, path)
        if len(series.pages) == 1 and series.ndim <= 3 and not set(letters) - set("yxs") and not options:
            return None
        code = page.tags.valueof(274, 1)
        raw = treatment == "as is" and code == 1
        outer = series.shape[: series.ndim - page.ndim]
        stored = dtype.newbyteorder(tif.byteorder)
        mapped, shape = raw and dtype != np.bool_ and series.dataoffset is not None, series.shape
        if mapped:
            check_length(path, series.dataoffset + series.size * dtype.itemsize)
            handle = Lazy(map_array, path, series.dataoffset, stored, shape)
        else:
            check_cost(path, images=prod(outer))
            notes += _check_pages(series, outer, path)
            handle = Lazy(_Pages, path, number, outside, outer, raw)
            if not raw:  # pages come as they are shown: turned, in colour, without alpha
                height, width = page.imagelength, page.imagewidth
                channels = plan_page(page, path)[0]
                shape = (*outer, *((width, height) if code >= 5 else (height, width)), *([3] if channels == 3 else []))
                letters = letters[: len(outer)] + ("yxs" if channels == 3 else "yx")
            elif dtype != np.bool_ and all(each.is_contiguous and each.parent is tif for each in series.pages):
                # uncompressed, but with a header between the pages: each page is a map of its own
                offsets = [int(each.dataoffsets[0]) for each in series.pages]
                check_length(path, max(offsets) + page.nbytes)
                handle, mapped = Lazy(_MappedPages, path, offsets, stored, page.shape, outer), True
        pixel_size, remarks = tiff_scale(tif, page)
        return volume(
            "tiff",
            handle,
            path,
            shape,
            dtype,
            letters=letters,
            channel_names=_channel_names(tif, number) if raw else [],
            colour=False,
            options=options,
            also=("series", OUTSIDE),
            mapped=mapped,
            pixel_size=pixel_size,
            missing=nodata(page),
            notes=[*notes, *([note] if note and (note != ALPHA or not raw) else []), *remarks],
        )


def _plan(series: Any, path: Path) -> tuple[str, np.dtype, str | None, str]:
    """Letters of the axes, type, note and treatment (see `plan_page`) of an image series."""
    page, letters = series.keyframe, series.axes.lower()
    colour = getattr(page.photometric, "name", "") in ("RGB", "YCBCR")
    if page.samplesperpixel > 4 or (page.samplesperpixel > 2 and not colour and page.photometric in (0, 1)):
        if page.dtype is None:
            raise InputError(
                f"{path}: {page.bitspersample} bits a sample cannot be read; save it with 8, 16 or 32 bits"
            )
        return letters.replace("s", "c"), check_dtype(np.dtype(page.dtype), path), None, "as is"
    _, dtype, note, treatment = plan_page(page, path)
    return letters, dtype, note, treatment


def _channel_names(tif: Any, number: int) -> list[str]:
    if tif.is_ome:
        return channel_names(tif.ome_metadata or "", number)
    stated = tif.imagej_metadata or {}
    count, labels = stated.get("channels", 1), stated.get("Labels") or []
    names = [str(label) for label in labels[:count]] if isinstance(count, int) and isinstance(labels, list) else []
    return names if len(set(names)) == len(names) else []  # titles of the whole stack say nothing of its channels


def _check_pages(series: Any, outer: Sequence[int], path: Path) -> list[str]:
    """Refuse pages that do not make up the series; a note on parts that were never written."""
    page, there = series.keyframe, 0
    if len(series.pages) != prod(outer) or tuple(series.shape[len(outer) :]) != tuple(page.shape):
        raise InputError(f"{path}: its {len(series.pages)} pages do not make {prod(outer)} slices; export it again")
    lost = sum(each is None for each in series.pages)
    if lost:
        raise InputError(f"{path}: {lost} of its {len(series.pages)} planes are in no file; copy all files of the set")
    counts = [count for each in series.pages for count in each.databytecounts]
    there = sum(count > 0 for count in counts)
    return (
        [f"{len(counts) - there} of {len(counts)} chunks were never written and are read as 0"]
        if there < len(counts)
        else []
    )


def _page_of(index: tuple[Any, ...], outer: Sequence[int]) -> int:
    return int(np.ravel_multi_index(index[: len(outer)], tuple(outer))) if outer else 0


class _Pages:
    """An image series indexed as one array, decoded page by page."""

    def __init__(self, path: Path, number: int, outside: bool, outer: tuple[int, ...], raw: bool):
        self.path, self.outer, self.raw = path, outer, raw
        self.tif = open_tiff_file(path, outside)
        self.pages = self.tif.series[number].pages
        self.code = self.pages[0].aspage().tags.valueof(274, 1)  # some write it with the first page alone

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*closed file")  # of companions, which tifffile opens when they are read
            page = self.pages[
                _page_of(index, self.outer)
            ].aspage()  # a frame knows only where it differs from the first
            array = page.asarray() if self.raw else decode_page(page, self.path, self.code)
        return array[index[len(self.outer) :]]


class _MappedPages:
    """Pages that lie in a file as they are, indexed as one array."""

    def __init__(
        self, path: Path, offsets: Sequence[int], dtype: np.dtype, shape: tuple[int, ...], outer: tuple[int, ...]
    ):
        self.buffer = np.memmap(path, np.uint8, "r")
        self.offsets, self.dtype, self.shape, self.outer = offsets, dtype, shape, outer

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        offset = self.offsets[_page_of(index, self.outer)]
        return np.ndarray(self.shape, self.dtype, buffer=self.buffer, offset=offset)[index[len(self.outer) :]]
