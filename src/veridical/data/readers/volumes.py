"""Arrays with more than two axes -> slices: NPY, TIFF stacks, HDF5 and Zarr, memory-mapped where the file allows it."""

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import ALPHA, MICROMETRES, check_dtype, drop_alpha
from veridical.data.readers.scale import tiff_scale
from veridical.data.readers.tiff import decode_page, open_tiff_file, plan_page, tiff_file
from veridical.data.slices import Lazy, Slices


def _volume(
    kind: str,
    handle: Lazy,
    shape: tuple[int, ...],
    dtype: np.dtype,
    name: object,
    *,
    axes: str | None = None,
    mapped: bool = False,
    pixel_size: float | None = None,
    notes: Sequence[str] = (),
) -> Slices:
    """Slices of an array. `axes` has one letter an axis: y, x, c or s for colour, any other letter counts slices."""
    axes = axes or _guess_axes(shape, name)
    if 0 in shape:
        raise InputError(f"{name}: the array is empty (its shape is {shape}); export it again")
    sizes = dict(zip(axes, shape))
    colour = next((a for a in axes if a in "cs"), "")
    channels = sizes.get(colour, 1)
    if channels not in (1, 3, 4):
        raise InputError(f"{name}: has {channels} channels; export one of them, or three as RGB")
    leading = tuple(n for axis, n in zip(axes, shape) if axis not in "yxcs")
    count = int(np.prod(leading))
    digits = max(4, len(str(count - 1)))
    stem = Path(re.sub(r":/.*", "", str(name))).stem
    return Slices(
        kind=kind,
        names=[f"z{k:0{digits}d}" for k in range(count)] if count > 1 else [stem],
        shapes=[(sizes["y"], sizes["x"])] * count,
        dtype=check_dtype(dtype, name),
        channels=min(channels, 3),
        read=partial(_plane, handle, axes, leading),
        stack=count > 1,
        mapped=mapped,
        pixel_size=pixel_size,
        notes=[*notes, *([ALPHA] if channels == 4 else [])],
    )


def _guess_axes(shape: tuple[int, ...], name: object) -> str:
    """Height and width last, or before three or four colours."""
    colour = len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
    if len(shape) < 2 + colour:
        raise InputError(f"{name}: has {len(shape)} axis; give an array with height and width")
    return "n" * (len(shape) - 2 - colour) + ("yxs" if colour else "yx")


def _plane(handle: Lazy, axes: str, leading: tuple[int, ...], index: int) -> np.ndarray:
    numbers = iter(np.unravel_index(index, leading)) if leading else iter(())
    array = np.asarray(handle()[tuple(slice(None) if axis in "yxcs" else int(next(numbers)) for axis in axes)])
    kept = [axis for axis in axes if axis in "yxcs"]
    if array.ndim == 3 and kept[-1] not in "cs":
        array = np.moveaxis(array, [kept.index("y"), kept.index("x")], [0, 1])
    return drop_alpha(array)


def open_npy(path: Path) -> Slices:
    """A ``.npy`` array, memory-mapped."""
    array = guard(path, lambda: _load_npy(path))
    return _volume("npy", Lazy(_load_npy, path), array.shape, array.dtype, path, mapped=True)


def _load_npy(path: Path) -> np.ndarray:
    # a plain ndarray view: indexing np.memmap costs several times more
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _map(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))


def open_tiff(path: Path) -> Slices | None:
    """A stack of TIFF pages; None if the file holds one image only."""
    return guard(path, lambda: _tiff(path))


def _tiff(path: Path) -> Slices | None:
    with tiff_file(path) as tif:
        series = tif.series[0]
        larger = max(tif.series, key=lambda other: other.size)
        if larger.size > series.size:
            raise InputError(
                f"{path}: begins with a small image of {series.shape} pixels before one of {larger.shape}; "
                "save the large one to a file of its own"
            )
        if len(series.pages) == 1 and series.ndim <= 3 and not set(series.axes) - set("YXSC"):
            return None
        axes = "".join(a if a in "yxs" else "n" for a in series.axes.lower())
        several = {axis: n for axis, n in zip(series.axes, series.shape) if axis not in "YXS" and n > 1}
        # programs call the axis of a plain stack "channel" when nobody told them better
        if "C" in several and len(several) > 1:
            raise InputError(f"{path}: has {several['C']} channels in separate pages; export one of them, or RGB")
        channels, dtype, note, treatment = plan_page(series.keyframe, path)
        notes = [note] if note and note != ALPHA else []
        if len(tif.series) > 1:
            notes.append(f"only the first of {len(tif.series)} image series is used")
        plain = treatment == "as is" and dtype != np.bool_ and series.keyframe.tags.valueof(274, 1) == 1
        stored = dtype.newbyteorder(tif.byteorder)
        mapped = plain and series.dataoffset is not None
        if mapped:
            _check_length(path, series.dataoffset + series.size * dtype.itemsize)
            handle = Lazy(_map, path, series.dataoffset, stored, series.shape)
        else:
            handle = Lazy(open_tiff_file, path)
        pixel_size, remarks = tiff_scale(tif)
        slices = _volume(
            "tiff",
            handle,
            series.shape,
            dtype,
            path,
            axes=axes,
            mapped=mapped,
            pixel_size=pixel_size,
            notes=[*notes, *remarks],
        )
        if mapped:
            return slices
        if len(series.pages) != len(slices):
            raise InputError(f"{path}: its {len(series.pages)} pages do not make {len(slices)} slices; export it again")
        if plain and channels == 1 and all(page.is_contiguous for page in series.pages):
            # uncompressed, but with a header between the pages: each page is a map of its own
            offsets = [int(page.dataoffsets[0]) for page in series.pages]
            _check_length(path, max(offsets) + series.keyframe.nbytes)
            slices.read = partial(_mapped_page, Lazy(_map_all, path), offsets, stored, slices.shapes[0])
            slices.mapped = True
        else:
            slices.read = partial(_read_page, handle, path)
            if treatment != "as is":
                slices.channels = channels
        return slices


def _check_length(path: Path, end: int) -> None:
    if os.path.getsize(path) < end:
        raise InputError(f"{path}: is cut short, its pixels end before the image does; copy or export it again")


def _read_page(handle: Lazy, path: Path, index: int) -> np.ndarray:
    def work() -> np.ndarray:
        page = handle().series[0].pages[index]
        return decode_page(page.aspage(), path)  # a frame of a series knows only where it differs from the first page

    return guard(path, work)


def _map_all(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, "r")


def _mapped_page(
    handle: Lazy, offsets: Sequence[int], dtype: np.dtype, shape: tuple[int, int], index: int
) -> np.ndarray:
    return np.ndarray(shape, dtype, buffer=handle(), offset=offsets[index])


def open_hdf5(path: Path, key: str | None) -> Slices:
    """The array at `key` of an HDF5 file, memory-mapped if it is neither chunked nor compressed."""
    import h5py

    with guard(path, lambda: h5py.File(path, "r")) as file:
        key = "/" + (key or "exchange/data").strip("/")
        array = guard(path, lambda: file.get(key))
        if not isinstance(array, h5py.Dataset) or array.ndim < 2:
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if getattr(item, "ndim", 0) >= 2 else None)
            listed = ", ".join(f"/{name}" for name in found[:8]) or "none in this file"
            raise InputError(
                f"{path}: has no image array at {key}; give {path.name}:/PATH with a path out of: {listed}"
            )
        size = array.attrs.get("element_size_um")
        offset = array.id.get_offset()
        plain = array.chunks is None and offset is not None and not array.external and not array.is_virtual
        mapped = plain and array.dtype.kind in "uif"
        if mapped:
            _check_length(path, offset + array.nbytes)
            handle = Lazy(_map, path, offset, array.dtype, array.shape)
        else:
            handle = Lazy(_open_hdf5, path, key)
        try:
            pixel_size = None if size is None else float(np.ravel(size)[-1])
        except (TypeError, ValueError, IndexError):
            pixel_size = None  # words where a number belongs
        name = f"{path}:{key}"
        return _volume("hdf5", handle, array.shape, array.dtype, name, mapped=mapped, pixel_size=pixel_size)


def _open_hdf5(path: Path, key: str) -> Any:
    import h5py

    return h5py.File(path, "r")[key]


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / mark).is_file() for mark in (".zarray", ".zgroup", "zarr.json"))


def open_zarr(path: Path, key: str | None) -> Slices:
    """A Zarr array, or the highest resolution of an OME-Zarr image."""
    import zarr

    inner = (key or "").strip("/")
    root: Any = guard(path, lambda: zarr.open(path, mode="r"))
    node: Any = root
    if inner:
        if not isinstance(root, zarr.Group) or inner not in root:
            raise InputError(f"{path}: has nothing at {key}; leave the path out or check it")
        node = root[inner]
    axes, pixel_size = None, None
    if isinstance(node, zarr.Group):
        attributes: Any = node.attrs.get("ome", node.attrs)
        if "bioformats2raw.layout" in attributes and "0" in node:
            node, inner = node["0"], f"{inner}/0".strip("/")
            attributes = node.attrs.get("ome", node.attrs)
        scales = attributes.get("multiscales")
        if not scales:
            arrays = ", ".join(f"/{name}" for name in sorted(node.keys())) or "nothing"
            raise InputError(
                f"{path}: is a group without OME metadata; give {path.name}:/PATH with a path out of: {arrays}"
            )
        level = guard(path, lambda: scales[0]["datasets"][0])
        inner = f"{inner}/{level['path']}".strip("/")
        node = guard(path, lambda: root[inner])
        axes, pixel_size = _ome_axes(scales[0], level)
        if axes and (len(axes) != node.ndim or axes[-2:] != "yx"):
            raise InputError(f"{path}: has the axes {axes}; store it with y and x as the last two")
    shape = tuple(node.shape)
    return _volume("zarr", Lazy(_open_zarr, path, inner), shape, node.dtype, path, axes=axes, pixel_size=pixel_size)


def _open_zarr(path: Path, inner: str) -> Any:
    import zarr

    node: Any = zarr.open(path, mode="r")
    return node[inner] if inner else node


def _ome_axes(scales: dict[str, Any], level: dict[str, Any]) -> tuple[str | None, float | None]:
    """Axis letters (as `_volume` takes them) and pixel size of an OME-Zarr image (NGFF versions 0.1 to 0.5)."""
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales.get("axes", [])]
    letters = "".join(a["name"] if a["name"] in ("y", "x", "c") else "n" for a in axes) or None
    factor = MICROMETRES.get(axes[-1].get("unit", ""), None) if axes else None
    for step in level.get("coordinateTransformations", []):
        if step.get("type") == "scale" and factor:
            return letters, float(step["scale"][-1]) * factor
    return letters, None
