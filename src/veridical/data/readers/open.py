"""Folders, stacks and stores -> lazy slices in the stored type.

Whatever the user's data can do wrong is an `InputError` that names the file. The headers of all files are checked when
a set is opened; pixels are decoded when a slice is read.
"""

import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.data.readers.imagefile import SUFFIXES, check_readable, read_header, read_image
from veridical.data.readers.volumes import is_zarr, open_hdf5, open_npy, open_tiff, open_zarr
from veridical.data.slices import Slices

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nxs")


def open_slices(spec: str | Path) -> Slices:
    """Open a set of images without decoding its pixels.

    Parameters
    ----------
    spec : str or Path
        - a folder of PNG, TIFF, JPEG, BMP or NPY images, searched recursively; if it holds ``train/`` and ``test/``,
          only these two. Folders called ``masks*`` or ``known_bad`` and hidden ones are left out;
        - an image file, a multi-page TIFF or a ``.npy`` array;
        - ``file.h5:/path``, where the path is ``/exchange/data`` if not given;
        - a Zarr array (version 2 or 3) or OME-Zarr image, of which the highest resolution is taken;
        - ``skimage:NAME``, an image that scikit-image ships;
        - ``phantom:KIND``, or ``phantom:KIND?n=64&size=256&seed=0``, and options of the phantom:
          ``phantom:rocks?porosity=0.1,0.4``.

    Returns
    -------
    Slices

    Raises
    ------
    InputError
        If nothing readable is there.
    """
    text = os.fspath(spec)
    if text.startswith("phantom:"):
        return _phantom(text)
    if text.startswith("skimage:"):
        text = str(_shipped(text))
    if not text:
        raise InputError("data of an empty name cannot be opened: give a folder or a file")
    path, key = split_key(text)
    try:
        slices = _open(path, key)
        for said in slices.notes:
            tell(spec, said)
        return slices
    except PermissionError as error:
        raise InputError(f"{error.filename or path}: you may not read this; change its permissions") from None


def _open(path: Path, key: str | None) -> Slices:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    if path.is_dir():
        return open_zarr(path, key) if is_zarr(path) else _folder(path)
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix in HDF5_SUFFIXES:
        return open_hdf5(path, key)
    if suffix == ".npy":
        return open_npy(path)
    if suffix in (".tif", ".tiff"):
        return open_tiff(path) or _files("image", path.parent, [path], [])
    if suffix in SUFFIXES:
        return _files("image", path.parent, [path], [])
    kinds = ", ".join((*SUFFIXES, *HDF5_SUFFIXES, ".zarr"))
    raise InputError(f"{path}: is not a kind of file that can be read; give one of {kinds}")


def split_key(text: str) -> tuple[Path, str | None]:
    """``file.h5:/path`` -> the file and the path inside; any other colon belongs to the file's name."""
    suffixes = "|".join(s[1:] for s in (*HDF5_SUFFIXES, ".zarr"))
    match = re.fullmatch(rf"(.+\.(?:{suffixes})):(.+)", text, re.IGNORECASE)
    if match and not os.path.exists(text):
        return Path(match[1]).expanduser(), match[2]
    return Path(text).expanduser(), None


# ------------------------------------------------------------------------------------------------- folders of files


def _folder(folder: Path) -> Slices:
    notes = []
    pair = (folder / "train", folder / "test")
    if all(p.is_dir() for p in pair):
        paths = [path for part in pair for path in _walk(part)]
        others = [
            p.name + "/" for p in sorted(folder.iterdir()) if p.is_dir() and p not in pair and not _skipped(p.name)
        ]
        if paths and others:
            notes.append(f"only train/ and test/ are used, not {', '.join(others)}")
    else:
        paths = _walk(folder)
    if not paths:
        what = "holds no images" if any(folder.iterdir()) else "is an empty folder"
        raise InputError(f"{folder}: {what}; give a folder with {', '.join(SUFFIXES)} files")
    if len(paths) == 1 and paths[0].suffix.lower() in (".tif", ".tiff", ".npy"):
        return _open(paths[0], None)
    return _files("folder", folder, paths, notes)


def _skipped(name: str) -> bool:
    return name.startswith((".", "masks")) or name == "known_bad"


def _walk(folder: Path) -> list[Path]:
    """Image files below `folder` in natural order (img2 before img10)."""

    def stop(error: OSError) -> None:
        raise error

    found = []
    for root, folders, files in os.walk(folder, onerror=stop, followlinks=True):
        folders[:] = [name for name in folders if not _skipped(name)]
        # `veridical sample` writes a picture of its images beside them
        shown = {"grid.png"} if "provenance.json" in files else set()
        names = [name for name in files if name.lower().endswith(SUFFIXES) and name not in shown]
        found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: _natural(path.relative_to(folder).as_posix()))


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text)]


def _files(kind: str, folder: Path, paths: list[Path], notes: list[str]) -> Slices:
    headers = [read_header(path) for path in paths]
    first = headers[0]
    for path, header in zip(paths, headers):
        if header.channels != first.channels:
            words = {1: "grey", 3: "RGB"}
            raise InputError(
                f"{paths[0]} is {words[first.channels]} but {path} is {words[header.channels]}; "
                "convert them to one kind or put them into separate folders"
            )
        if header.dtype != first.dtype:
            raise InputError(
                f"{paths[0]} holds {first.dtype} values but {path} holds {header.dtype}; convert them to one bit depth "
                "or put them into separate folders"
            )
    for note in dict.fromkeys(h.note for h in headers if h.note):
        notes.append(f"{note} in {sum(h.note == note for h in headers)} of {len(headers)} files")
    pixel_sizes = {h.pixel_size for h in headers}
    if len(pixel_sizes) > 1:
        notes.append("the files state different pixel sizes, so none is used")
    shapes = [h.shape for h in headers]
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    if len(set(names)) < len(names):
        names = [p.relative_to(folder).as_posix() for p in paths]
    masks = [_mask_path(path) or Path() for path in paths]
    return Slices(
        kind=kind,
        names=names,
        shapes=shapes,
        dtype=first.dtype,
        channels=first.channels,
        read=partial(_read_listed, paths),
        stack=kind == "folder" and _is_series(names, shapes),
        pixel_size=first.pixel_size if len(pixel_sizes) == 1 else None,
        notes=notes,
        masked=[mask != Path() for mask in masks],
        read_mask=partial(_read_listed, masks),
    )


def _is_series(names: Sequence[str], shapes: Sequence[tuple[int, int]]) -> bool:
    """Whether files are one evenly numbered series of equal size: most likely the slices of one volume."""
    matches = [m for m in (re.fullmatch(r"(.*?)(\d+)(\D*)", name) for name in names) if m]
    if len(names) < 2 or len(matches) < len(names) or len(set(shapes)) > 1 or len({(m[1], m[3]) for m in matches}) > 1:
        return False
    return len(set(np.diff([int(m[2]) for m in matches]).tolist())) == 1


def _read_listed(paths: Sequence[Path], index: int) -> np.ndarray:
    return read_image(paths[index])


def _mask_path(path: Path) -> Path | None:
    """The label image of the same name in ``masks/`` beside the image or beside the image's folder."""
    for folder in (path.parent / "masks", path.parent.parent / "masks"):
        if folder.is_dir():
            for suffix in dict.fromkeys((path.suffix, ".png", ".tif", ".npy")):
                if (folder / (path.stem + suffix)).is_file():
                    return folder / (path.stem + suffix)
    return None


# ------------------------------------------------------------------------------------------ shipped and made images


def _shipped(text: str) -> Path:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
    name = Path(text.removeprefix("skimage:")).stem
    if name not in found:
        raise InputError(f"{text}: scikit-image ships no such image; it has {', '.join(found)}")
    return found[name]


def _phantom(text: str) -> Slices:
    from urllib.parse import parse_qsl

    from veridical.phantoms import parse_options

    kind, _, query = text.removeprefix("phantom:").partition("?")
    counts, others = {"n": 64, "size": 256, "seed": 0}, {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in others:
            raise InputError(f"{text}: {name} is given twice: leave one out")
        if name not in counts:
            others[name] = value
        elif not value.isdecimal() or (name != "seed" and int(value) < 1):
            kind_of = "whole" if name == "seed" else "positive"
            raise InputError(
                f"{text}: {name}={value} is no {kind_of} number; write for example phantom:{kind}?n=64&size=256&seed=0"
            )
        else:
            counts[name] = int(value)
    try:
        options = parse_options(kind, others)
    except InputError as error:
        raise InputError(f"{text}: {error}") from error
    n, size = counts["n"], counts["size"]
    made = partial(_generate, kind, n, size, counts["seed"], options)
    return Slices(
        kind="phantom",
        names=[f"{kind}_{k:04d}" for k in range(n)],
        shapes=[(size, size)] * n,
        dtype=np.dtype(np.float32),
        channels=3 if kind == "roots" else 1,
        read=partial(_phantom_image, made),
        mapped=True,
        masked=[True] * n,
        read_mask=partial(_phantom_mask, made),
        properties=partial(_phantom_properties, made),
        captions=partial(_phantom_captions, made),
    )


@lru_cache(maxsize=4)  # training, source and what they are compared with
def _generate(kind: str, n: int, size: int, seed: int, options: Any) -> Any:
    from veridical.phantoms import generate

    return generate(kind, n=n, size=size, seed=seed, options=options)


def _phantom_image(made: Callable[[], Any], index: int) -> np.ndarray:
    image = made().images[index]
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def _phantom_mask(made: Callable[[], Any], index: int) -> np.ndarray:
    return made().masks[index]


def _phantom_properties(made: Callable[[], Any]) -> list[dict[str, float]]:
    return made().properties


def _phantom_captions(made: Callable[[], Any]) -> list[str]:
    return made().captions
