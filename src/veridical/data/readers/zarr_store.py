"""Zarr arrays (versions 2 and 3) and OME-Zarr images (NGFF 0.1 to 0.5) -> slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from typing import Literal

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.data.axes import letter_of, named_axes
from veridical.data.readers.companions import OUTSIDE, allows_outside
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import MICROMETRES, square_pixels
from veridical.data.readers.volumes import declared_missing, volume
from veridical.data.readers.zarr_array import CheckedArray, missing_chunks, place_of, read_array
from veridical.data.slices import Lazy, Slices

MARKS = (".zarray", ".zgroup", "zarr.json")


@dataclass(frozen=True)
class _Axis:
    name: str
    type: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class _Step:
    type: str = ""
    scale: list[float] | None = None


@dataclass(frozen=True)
class _Level:
    path: str
    coordinateTransformations: list[_Step] = field(default_factory=list)


@dataclass(frozen=True)
class _Scales:
    datasets: list[_Level]
    axes: list[_Axis | str] = field(default_factory=list)
    coordinateTransformations: list[_Step] = field(default_factory=list)


@dataclass(frozen=True)
class _Channel:
    label: str | int | None = None


@dataclass(frozen=True)
class _Omero:
    channels: list[_Channel] = field(default_factory=list)


@dataclass(frozen=True)
class _Ome:
    multiscales: list[_Scales] = field(default_factory=list)
    omero: _Omero | None = None
    ome: _Ome | None = None


@dataclass(frozen=True)
class _Node3:
    node_type: Literal["array", "group"]
    zarr_format: Literal[3]
    attributes: _Ome = field(default_factory=_Ome)


# ------------------------------------------------------------------------------------------------- opening


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / mark).is_file() for mark in MARKS)


def open_zarr(path: Path, key: str | None, options: Mapping[str, str] | None = None) -> Slices:
    """A Zarr array, or the highest resolution of an OME-Zarr image.

    Parameters
    ----------
    path : Path
        Of the store.
    key : str, optional
        Of an array or image in it.
    options : mapping
        See `veridical.data.axes.plan_axes`; ``series`` is the number of an image of several, ``outside=yes`` lets links lead
        out of the store.

    Raises
    ------
    InputError
        If there is no such array, if a codec is none of the known ones, or if chunks are no files.
    """
    options = options or {}
    return guard(path, lambda: _open(path, key or "", options, allows_outside(path, options)))


def _open(path: Path, key: str, options: Mapping[str, str], outside: bool) -> Slices:
    place = place_of(path, path, key, outside)
    if not place.is_dir() or not is_zarr(place):
        raise InputError(f"{path}: has nothing at {key}; leave the path out or check it")
    notes: list[str] = []
    also = [OUTSIDE]
    if _is_array(place):
        ome, level = _image_of(place)
    else:
        place, ome, notes = _image(path, place, options, outside)
        also += ["series"] if notes else []
        if not ome.multiscales[0].datasets:
            raise InputError(f"{path}: its OME metadata name no resolution; give the path of an array")
        level = ome.multiscales[0].datasets[0]
        place = place_of(path, place, level.path, outside)
        if not is_zarr(place):
            raise InputError(f"{path}: its resolution {level.path} is not there; copy the whole store again")
    array = read_array(path, place)
    letters, pixel_size, odd, names = _described(ome, level)
    if level and not letters and len(array.shape) == 5:
        letters = "tczyx"  # what NGFF 0.1 and 0.2 say of all images
    letters = letters or named_axes(array.dimensions, len(array.shape))
    slices = volume(
        "zarr",
        Lazy(CheckedArray, path, array),
        path,
        array.shape,
        array.dtype,
        letters=letters,
        channel_names=names,
        options=options,
        also=also,
        block=prod(array.decoded) * array.dtype.itemsize,
        pixel_size=pixel_size,
        missing=declared_missing(array.attributes),
        notes=[*notes, *odd],
    )
    slices.notes += missing_chunks(path, array, outside)
    return slices


def _is_array(place: Path) -> bool:
    if (place / "zarr.json").is_file():
        return read_json(place / "zarr.json", _Node3).node_type == "array"
    return (place / ".zarray").is_file()


def _ome(place: Path) -> _Ome:
    if (place / "zarr.json").is_file():
        found = read_json(place / "zarr.json", _Node3).attributes
    else:
        found = read_json(place / ".zattrs", _Ome) if (place / ".zattrs").is_file() else _Ome()
    return found.ome or found


def _image_of(place: Path) -> tuple[_Ome, _Level | None]:
    """Metadata of the image of which an array is a resolution, and that resolution."""
    ome = _ome(place.parent)
    for level in ome.multiscales[0].datasets if ome.multiscales else []:
        if level.path.strip("/") == place.name:
            return ome, level
    return _Ome(), None


def _described(ome: _Ome, level: _Level | None) -> tuple[str | None, float | None, list[str], list[str]]:
    """Letters of the axes, pixel size with a note, and names of the channels of a resolution."""
    if level is None:
        return None, None, [], []
    scales = ome.multiscales[0]
    pixel_size, notes = _pixel_size(scales, level)
    names = [str(channel.label or "") for channel in ome.omero.channels] if ome.omero else []
    return "".join(_letter(axis) for axis in scales.axes) or None, pixel_size, notes, names


def _image(path: Path, place: Path, options: Mapping[str, str], outside: bool) -> tuple[Path, _Ome, list[str]]:
    """Group and metadata of an OME-Zarr image, which may be one of several in numbered groups."""
    ome = _ome(place)
    if ome.multiscales:
        return place, ome, []
    inside = sorted(p.name for p in place.iterdir() if p.is_dir() and is_zarr(p))
    images = [name for name in inside if name.isdecimal() and not _is_array(place_of(path, place, name, outside))]
    images = [name for name in images if _ome(place_of(path, place, name, outside)).multiscales]
    if not images:
        listed = ", ".join(f"/{name}" for name in inside[:8]) or "nothing"
        raise InputError(
            f"{path}: is a group without OME metadata; give {path.name}:/PATH with a path out of: {listed}"
        )
    asked = options.get("series", images[0] if len(images) == 1 else "")
    if asked not in images:
        raise InputError(
            f"{path}: holds {len(images)} images; choose one with ?series={images[0]}, out of {', '.join(images)}"
        )
    chosen = place_of(path, place, asked, outside)
    return chosen, _ome(chosen), [f"image {asked} of {len(images)} in this store is read"]


# ------------------------------------------------------------------------------------------------- axes and sizes


def _letter(axis: _Axis | str) -> str:
    return letter_of(axis) if isinstance(axis, str) else letter_of(axis.name, axis.type)


def _pixel_size(scales: _Scales, level: _Level) -> tuple[float | None, list[str]]:
    """Micrometres a pixel of a resolution, and a note where pixels are not square."""
    sizes: dict[str, float] = {}
    for k, axis in enumerate(scales.axes):
        if not isinstance(axis, _Axis) or axis.unit not in MICROMETRES:
            continue
        size = MICROMETRES[axis.unit]
        steps = [*level.coordinateTransformations, *scales.coordinateTransformations]
        factors = [step.scale[k] for step in steps if step.type == "scale" and step.scale and len(step.scale) > k]
        size *= prod(factors)
        if factors and isfinite(size) and size > 0:
            sizes[axis.name.lower()] = size
    return square_pixels(sizes.get("y"), sizes.get("x"))
