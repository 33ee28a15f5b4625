"""A folder of image files, or one file -> lazy slices, with the label images that go with them."""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.data.readers.imagefile import SUFFIXES, read_header, read_image
from veridical.data.readers.labelset import LabelSet
from veridical.data.slices import Slices


def open_file(path: Path) -> Slices:
    """One image file."""
    return _files("image", path.parent, [path], [])


def open_folder(
    folder: Path, open_stack: Callable[[Path], Slices], open_others: Callable[[], Slices | None] = lambda: None
) -> Slices:
    """Image files below `folder`; `open_stack` opens the only one, which may be a stack, `open_others` what is no image file."""
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
    if not paths and (found := open_others()):
        return found
    if not paths:
        what = "holds no images" if any(folder.iterdir()) else "is an empty folder"
        raise InputError(f"{folder}: {what}; give a folder with {', '.join(SUFFIXES)} files")
    if len(paths) == 1 and paths[0].suffix.lower() in (".tif", ".tiff", ".npy"):
        return open_stack(paths[0])
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
    for note in dict.fromkeys(note for h in headers for note in h.notes):
        notes.append(f"{note} in {sum(note in h.notes for h in headers)} of {len(headers)} files")
    pixel_sizes = {h.pixel_size for h in headers}
    if len(pixel_sizes) > 1:
        notes.append("the files state different pixel sizes, so none is used")
    shapes = [h.shape for h in headers]
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    if len(set(names)) < len(names):
        names = [p.relative_to(folder).as_posix() for p in paths]
    masks = [tuple(filter(None, [_mask_path(path)])) for path in paths]
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
        paths=paths,
        masked=[bool(found) for found in masks],
        read_mask=LabelSet(masks, paths, shapes),
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
