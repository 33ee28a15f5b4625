"""NPZ archives of NumPy: one of their arrays, read as a whole."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import check_claim
from veridical.data.readers.volumes import volume
from veridical.data.slices import Lazy, Slices


def open_npz(path: Path, inside: str | None, options: Mapping[str, str]) -> Slices:
    """``file.npz`` with one array of images, or ``file.npz?array=name``."""
    asked = inside or options.get("array")
    name, shape, dtype = guard(path, lambda: _chosen(path, asked))
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    check_cost(f"{path}?array={name}", nbytes=nbytes)
    check_claim(path, nbytes, ratio=1032)
    rest = {key: value for key, value in options.items() if key != "array"}
    return volume("npz", Lazy(_load, path, name), path, shape, dtype, options=rest)


def _chosen(path: Path, asked: str | None) -> tuple[str, tuple[int, ...], np.dtype]:
    """Name, shape and type of the array that is asked for, or of the only one with height and width."""
    found = {}
    with ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = read(file)
                found[member.removesuffix(".npy")] = (shape, dtype)
    images = [name for name, (shape, _) in found.items() if len(shape) >= 2]
    name = asked or (images[0] if len(images) == 1 else "")
    if name not in found:
        listed = ", ".join(f"{name} {found[name][0]}" for name in images[:8]) or "none"
        raise InputError(f"{path}: choose an array with ?array=NAME; it has the image arrays: {listed}")
    shape, dtype = found[name]
    if dtype.hasobject:
        raise InputError(f"{path}: its array {name} holds Python objects, which are not loaded; save numbers")
    return name, shape, dtype


def _load(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive[name])
