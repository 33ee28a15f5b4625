"""HDF5 files with one dataset a projection or slice, as beamlines write them: a pattern of paths opens them as a stack."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.hdf5 import check_dataset, locate, open_file
from veridical.data.readers.hdf5_filters import register_filters
from veridical.data.readers.imagefile import guard
from veridical.data.readers.volumes import volume
from veridical.data.readers.walk import natural
from veridical.data.slices import Lazy, Slices


def open_pile(path: Path, key: str, options: Mapping[str, str]) -> Slices:
    """The images ``/group/name_*`` of an HDF5 file, in natural order, as one stack.

    Raises
    ------
    InputError
        If nothing matches, or what matches is not images (H, W) or (1, H, W) of one size and type.
    """
    return guard(path, partial(_open, path, "/" + key.strip("/"), options))


def _open(path: Path, key: str, options: Mapping[str, str]) -> Slices:
    import h5py

    where, _, pattern = key.rpartition("/")
    name = f"{path}:{key}"
    real = Path(os.path.realpath(path))
    found = locate(real, where or "/", real.parent, False)
    if found is None:
        raise InputError(f"{path}: has no group {where or '/'}; check the path")
    place, where = found[0], found[1].rstrip("/")
    with open_file(place) as file:
        group = file[where or "/"]
        if not isinstance(group, h5py.Group):
            raise InputError(f"{path}: {where} is no group; check the path")
        names = [f"{where}/{other}" for other in group if fnmatchcase(other, pattern)]
        names = sorted((n for n in names if isinstance(group.get(n, getlink=True), h5py.HardLink)), key=natural)
        names = [n for n in names if isinstance(file[n], h5py.Dataset)]
        if not names:
            raise InputError(f"{path}: nothing in {where or '/'} is called {pattern}; check the pattern")
        check_cost(name, images=len(names))
        first, notes = file[names[0]], []
        for inner in names:
            array = file[inner]
            notes += check_dataset(array, place, inner, real.parent, False, name)
            if array.shape[-2:] != first.shape[-2:] or array.ndim not in (2, 3) or array.shape[:-2] not in ((), (1,)):
                raise InputError(f"{name}: {inner} has the shape {array.shape}, not that of one image like {names[0]}")
            if array.dtype != first.dtype:
                raise InputError(
                    f"{name}: {inner} holds {array.dtype} values but {names[0]} {first.dtype}; narrow the pattern"
                )
        others = len(group) - len(names)
        said = [f"{len(names)} datasets {key} are read as slices, {others} others of {where or '/'} are not"]
        shape = (len(names), *first.shape[-2:])
        said += [f"{note} (in {count} datasets)" for note, count in Counter(notes).items()]
        return volume(
            "hdf5",
            Lazy(_Pile, place, names),
            path,
            shape,
            first.dtype,
            letters="zyx",
            options=options,
            notes=said,
            name=name,
        )


class _Pile:
    """Datasets of an open file that are indexed as one array."""

    def __init__(self, path: Path, names: Sequence[str]):
        import h5py

        register_filters()
        self.file: Any = h5py.File(path, "r")
        self.names = names

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        image = self.file[self.names[index[0]]]
        return np.asarray(image[(0, *index[1:]) if image.ndim == 3 else index[1:]])
