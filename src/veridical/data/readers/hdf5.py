"""HDF5 datasets -> slices, memory-mapped where they are neither chunked nor compressed.

Links and virtual datasets are followed here, one step at a time, before the HDF5 library follows them: they may lead to other
files of the folder only, and none may be missing or lead to itself (which ends the process). Longer than other files because of
them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.axes import named_axes
from veridical.data.readers.companions import OUTSIDE, allows_outside, companion
from veridical.data.readers.hdf5_filters import check_filters, register_filters
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import square_pixels
from veridical.data.readers.volumes import check_length, declared_missing, map_array, volume
from veridical.data.slices import Lazy, Slices

USUAL = "exchange/data"
MOST_LINKS = 32


def open_hdf5(path: Path, key: str | None, options: Mapping[str, str] | None = None) -> Slices:
    """The array at `key` of an HDF5 file.

    Parameters
    ----------
    path : Path
    key : str, optional
        ``/exchange/data`` by default.
    options : mapping
        See `veridical.data.axes.plan_axes`; ``outside=yes`` lets links and virtual datasets lead out of the file's folder.

    Raises
    ------
    InputError
        If there is no such array, if what it refers to is missing, outside or circular, or if its filter is not installed.
    """
    options = options or {}
    outside = allows_outside(path, options)
    key = "/" + (key or USUAL).strip("/")
    real = Path(os.path.realpath(path))
    return guard(path, lambda: _open(path, real, key, options, outside))


def _open(path: Path, real: Path, key: str, options: Mapping[str, str], outside: bool) -> Slices:
    found = locate(real, key, real.parent, outside)
    with open_file(found[0] if found else real) as file:
        array = None if found is None else _dataset(file, found[1])
        if found is None or array is None:
            raise InputError(_listing(path, key, file))
        place, inner = found
        name = f"{path}:{key}"
        notes = check_dataset(array, place, inner, real.parent, outside, name)
        if len(array.shape or ()) < 2:  # asked only now: a virtual dataset may open its sources to say
            raise InputError(_listing(path, key, file))
        plain = array.chunks is None and array.id.get_offset() is not None and not array.is_virtual
        # the offset counts in the file that holds the dataset, which a link may have led to
        mapped = plain and array.dtype.kind in "uif" and os.path.samefile(array.file.filename, place)
        if mapped:
            offset = array.id.get_offset()
            check_length(place, offset + array.nbytes)
            handle = Lazy(map_array, place, offset, array.dtype, array.shape)
        else:
            handle = Lazy(_open_dataset, place, inner)
        pixel_size, odd = _pixel_size(array)
        return volume(
            "hdf5",
            handle,
            path,
            array.shape,
            array.dtype,
            letters=_letters(array),
            options=options,
            also=(OUTSIDE,),
            mapped=mapped,
            block=prod(array.chunks or (0,)) * array.dtype.itemsize,
            pixel_size=pixel_size,
            missing=declared_missing(array.attrs),
            notes=[*odd, *notes],
            name=name,
        )


def _opened(path: Path) -> Any:
    import h5py

    register_filters()
    try:
        return h5py.File(path, "r")
    except OSError as error:
        said = str(error)
        if "unable to lock" in said or "already open for write" in said:
            raise InputError(
                f"{path}: is open for writing in another program (or was not closed by one that ended); close it there, or "
                "copy the file and, if need be, run h5clear -s on the copy"
            ) from None
        raise


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[Any]:
    """An open `h5py.File`; one that another program has open is refused in a sentence."""
    with _opened(path) as file:
        yield file


def _open_dataset(path: Path, key: str) -> Any:
    return _opened(path)[key]


def _dataset(file: Any, key: str) -> Any:
    import h5py

    found = file[key]
    return found if isinstance(found, h5py.Dataset) else None


def _listing(path: Path, key: str, file: Any) -> str:
    import h5py

    found: list[str] = []

    def look(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and (item.is_virtual or len(item.shape or ()) >= 2):
            found.append(name)
        return True if len(found) == 8 else None

    file.visititems(look)
    listed = ", ".join(f"/{name}" for name in found) or "none in this file"
    pile = _pattern(found)
    listed += f", or {pile} for all of them as a stack" if pile else ""
    return f"{path}: has no image array at {key}; give {path.name}:/PATH with a path out of: {listed}"


def _pattern(names: Sequence[str]) -> str:
    """A pattern of paths that many of the datasets `names` have in common, or an empty text."""
    stems = Counter(re.sub(r"\d+(?=\D*$)", "*", name) for name in names)
    best, count = stems.most_common(1)[0] if stems else ("", 0)
    return f"/{best.strip('/')}" if count > 3 else ""


# ------------------------------------------------------------------------------------------------- links


def locate(path: Path, key: str, root: Path, outside: bool, hops: int = 0) -> tuple[Path, str] | None:
    """The file and the path in it that a path leads to, through links; None where the path of the user leads nowhere."""
    import h5py

    with open_file(path) as file:
        group, place, rest = file, "", _parts(key)
        links = hops
        while rest:
            part = rest.pop(0)
            link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
            if link is None:
                if links:
                    raise InputError(f"{path}: has no {key}, where a link of the data leads to; export the data again")
                return None
            if isinstance(link, (h5py.SoftLink, h5py.ExternalLink)):
                links += 1
                if links > MOST_LINKS:
                    raise InputError(f"{path}: its links lead in a circle at {place}/{part}; give the path of the data")
            if isinstance(link, h5py.ExternalLink):
                other = companion(path, link.filename, root, outside)
                return locate(other, "/".join([link.path, *rest]), root, outside, links)
            if isinstance(link, h5py.SoftLink):
                key = "/".join([link.path if link.path.startswith("/") else f"{place}/{link.path}", *rest])
                group, place, rest = file, "", _parts(key)
            else:
                group, place = group[part], f"{place}/{part}"
        return path, place or "/"


def _parts(key: str) -> list[str]:
    return [part for part in key.split("/") if part not in ("", ".")]


# ------------------------------------------------------------------------------------------------- where values come from


def check_dataset(array: Any, path: Path, key: str, root: Path, outside: bool, name: str) -> list[str]:
    """Refuse what cannot be read or was never written, in the dataset and all it is made of; notes on what is missing."""
    missing = [0, 0]
    notes: list[str] = []
    _check(array, (path, key), root, outside, name, (), set(), missing, notes)
    if missing[1] and missing[0] == missing[1]:
        raise InputError(f"{name}: none of its {missing[1]} chunks was ever written; export it again")
    if missing[0]:
        notes.append(f"{missing[0]} of {missing[1]} chunks were never written and are read as {_fill(array)}")
    return notes


def _check(
    array: Any,
    here: tuple[Path, str],
    root: Path,
    outside: bool,
    name: str,
    above: tuple[tuple[Path, str], ...],
    done: set[tuple[Path, str]],
    missing: list[int],
    notes: list[str],
) -> None:
    if here in above or len(above) > MOST_LINKS:
        raise InputError(f"{name}: is a virtual dataset that is made of itself; export the data again")
    if here in done:
        return
    done.add(here)
    if array.external:
        raise InputError(
            f"{name}: keeps its values in other files without a format (external storage), which is not read; export it again"
        )
    if array.is_virtual:
        sources = array.virtual_sources()
        shapes: dict[
            tuple[str, str], list[tuple[tuple[Path, str], tuple[int, ...]]]
        ] = {}  # a source may be named for every slice
        for source in sources:
            asked = source.file_name, source.dset_name
            if asked not in shapes:
                shapes[asked] = []
                for file_name, inner in _sources(source, here[0], root, outside):
                    found = locate(file_name, inner, root, outside)
                    if found is None:
                        raise InputError(
                            f"{name}: its source {inner} is not in {file_name}; copy or export the data again"
                        )
                    with open_file(found[0]) as file:
                        dataset = _dataset(file, found[1])
                        if dataset is None:
                            raise InputError(
                                f"{name}: its source {found[1]} in {found[0]} is no dataset; export it again"
                            )
                        _check(dataset, found, root, outside, name, (*above, here), done, missing, notes)
                        shapes[asked].append((found, dataset.shape))
            for found, shape in shapes[asked]:
                _check_bounds(source, shape, found, name)
        points = [_points(source.vspace) for source in sources]
        mapped = sum(points)
        if -1 not in points and mapped < array.size:
            notes.append(
                f"{array.size - mapped} of {array.size} values of the virtual dataset have no source and are read as "
                f"{_fill(array)}"
            )
        return
    check_filters(array, name)
    _count_missing(array, name, missing)


def _sources(source: Any, path: Path, root: Path, outside: bool) -> Iterator[tuple[Path, str]]:
    """Files and datasets of one mapping of a virtual dataset; %b in a name stands for 0, 1, 2, ..."""
    blocks: Any = itertools.count() if "%b" in source.file_name + source.dset_name else (0,)
    for block in blocks:
        file_name, inner = (text.replace("%b", str(block)) for text in (source.file_name, source.dset_name))
        if block and not (file_name == "." or (path.parent / file_name).exists()):
            return
        other = path if file_name == "." else companion(path, file_name, root, outside)
        if block and "%b" in source.dset_name and locate(other, inner, root, outside) is None:
            return
        yield other, inner


def _check_bounds(source: Any, shape: tuple[int, ...], found: tuple[Path, str], name: str) -> None:
    """Refuse a source with fewer values than are taken from it."""
    import h5py

    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        right = prod(shape) >= _points(source.vspace)
    else:
        try:
            end = source.src_space.get_select_bounds()[1]
        except (RuntimeError, ValueError):
            return  # a selection without an end
        right = len(end) == len(shape) and all(last < n for last, n in zip(end, shape))
    if not right:
        raise InputError(f"{name}: its source {found[1]} in {found[0]} is smaller than it should be; copy it again")


def _points(space: Any) -> int:
    """How many values a selection has; -1 for one without an end."""
    try:
        return int(space.get_select_npoints())
    except RuntimeError:
        return -1


def _count_missing(array: Any, name: str, missing: list[int]) -> None:
    """Add the chunks that were never written, and all, to `missing`."""
    check_cost(name, nbytes=prod(array.chunks or (0,)) * array.dtype.itemsize)
    if array.chunks is None:
        if array.id.get_storage_size() == 0 and array.size:
            raise InputError(f"{name}: was never written, it holds nothing but its fill value; export it again")
        return
    total = prod(-(-n // chunk) for n, chunk in zip(array.shape, array.chunks))
    missing[1] += total
    missing[0] += max(0, total - array.id.get_num_chunks())
    if array.id.get_create_plist().get_nfilters():
        most = 2 * prod(array.chunks) * array.dtype.itemsize + 2**16
        if array.id.chunk_iter(lambda chunk: True if chunk.size > most else None):
            raise InputError(f"{name}: a compressed chunk is larger than what it holds; it is damaged, export it again")


def _fill(array: Any) -> str:
    return f"the fill value {array.fillvalue}"


# ------------------------------------------------------------------------------------------------- attributes


def _letters(array: Any) -> str | None:
    """Letters of the axes, from the labels or scales of the dimensions; None where height and width are not among them."""
    names = []
    for dimension in array.dims:
        try:
            scale = dimension[0].name if len(dimension) else ""
        except (RuntimeError, OSError, KeyError):  # a scale that is gone
            scale = ""
        names.append(str(dimension.label or scale.rpartition("/")[2]))
    return named_axes(names, array.ndim)


def _pixel_size(array: Any) -> tuple[float | None, list[str]]:
    """Micrometres a pixel from the attribute ``element_size_um``, and a note where pixels are not square."""
    try:
        size = [float(value) for value in np.ravel(array.attrs["element_size_um"])]
    except (TypeError, ValueError, KeyError, OSError):
        return None, []  # none, or words where a number belongs
    if not size or not all(np.isfinite(value) and value > 0 for value in size):
        return None, []
    return square_pixels(size[-2] if len(size) > 1 else None, size[-1])
