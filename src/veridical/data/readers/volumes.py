"""Arrays with more than two axes -> slices; NPY, memory-mapped."""

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.axes import Plan, plan_axes
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import check_dtype, fits
from veridical.data.slices import Lazy, Slices

MISSING = ("_FillValue", "missing_value", "nodata", "nodata_value", "NODATA_value")  # attributes, after CF and GDAL


def volume(
    kind: str,
    handle: Lazy,
    path: Path,
    shape: Sequence[int],
    dtype: np.dtype,
    *,
    letters: str | None = None,
    channel_names: Sequence[str] = (),
    colour: bool = True,
    options: Mapping[str, str] | None = None,
    also: Collection[str] = (),
    mapped: bool = False,
    block: int = 0,
    pixel_size: float | None = None,
    missing: Sequence[float] = (),
    notes: Sequence[str] = (),
    name: str = "",
) -> Slices:
    """Slices of an array in a file.

    Parameters
    ----------
    kind : str
        See `Slices.kind`.
    handle : Lazy
        Opens what is indexed: an array of that shape.
    path : Path
        Named in errors; its stem is the name of a single image.
    shape, dtype
        Of the stored array.
    letters, channel_names, colour, options, also
        See `veridical.data.axes.plan_axes`.
    mapped : bool
        Whether reading part of a slice costs no more than that part.
    block : int
        Bytes that have to be decoded at once, where that is not a slice.
    pixel_size : float, optional
        Micrometres.
    missing : sequence of float
        Values that the file says stand for nothing measured: NaN in real-valued slices, left out of the window of others.
    notes : sequence of str
    name : str
        Names the array in errors, the file by default.

    Raises
    ------
    InputError
        If the array holds no images, may be read in several ways, or costs more than the limits.
    """
    called = name or str(path)
    dtype = check_dtype(np.dtype(dtype), called)
    plan = plan_axes(
        called, shape, letters, dtype=dtype, channel_names=channel_names, colour=colour, options=options, also=also
    )
    pixels = plan.shape[0] * plan.shape[1]
    decoded = 0 if mapped else pixels * plan.channels * dtype.itemsize
    check_cost(called, pixels=pixels, images=plan.count, nbytes=max(decoded, block))
    digits = max(4, len(str(plan.count - 1)))
    gone = tuple(value for value in missing if fits(value, dtype))
    words = ", ".join(f"{value:g}" for value in gone)
    return Slices(
        kind=kind,
        names=[f"z{k:0{digits}d}" for k in range(plan.count)] if plan.count > 1 else [path.stem],
        shapes=[plan.shape] * plan.count,
        dtype=dtype,
        channels=plan.channels,
        read=partial(_plane, handle, path, plan, gone if dtype.kind == "f" else ()),
        stack=plan.count > 1,
        mapped=mapped,
        pixel_size=pixel_size,
        notes=[*notes, *plan.notes, *([f"pixels of {words} are missing, as the file says"] if gone else [])],
        missing=gone,
    )


def _plane(handle: Lazy, path: Path, plan: Plan, missing: Sequence[float], index: int) -> np.ndarray:
    def work() -> np.ndarray:
        image = plan.image(np.asarray(handle()[plan.index(index)]))
        if missing:
            image = np.where(np.isin(image, np.asarray(missing, image.dtype)), image.dtype.type(np.nan), image)
        return image

    return guard(path, work)


def declared_missing(attributes: Mapping[str, Any]) -> list[float]:
    """Values that the attributes of an array declare as nothing measured."""
    found: list[float] = []
    for name in MISSING:
        with contextlib.suppress(TypeError, ValueError, OSError, KeyError):  # a word where a number belongs, or none
            found += [float(value) for value in np.ravel(attributes[name])[:8]]
    return list(dict.fromkeys(found))


def open_npy(path: Path, options: Mapping[str, str] | None = None) -> Slices:
    """A ``.npy`` array, memory-mapped."""
    array = guard(path, lambda: _load_npy(path))
    return volume("npy", Lazy(_load_npy, path), path, array.shape, array.dtype, options=options, mapped=True)


def _load_npy(path: Path) -> np.ndarray:
    # a plain ndarray view: indexing np.memmap costs several times more
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def map_array(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array that lies in a file as it is, memory-mapped."""
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))


def check_length(path: Path, end: int) -> None:
    """Refuse a file that ends before the byte `end`."""
    if os.path.getsize(path) < end:
        raise InputError(f"{path}: is cut short, its pixels end before the image does; copy or export it again")
