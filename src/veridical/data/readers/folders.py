"""A folder of image files, or one file -> lazy slices, with the label images that go with them."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.data.axes import check_options
from veridical.data.names import bare, is_label_folder, side_of, sides_of, without_label_word
from veridical.data.readers.companions import OUTSIDE, allows_outside
from veridical.data.readers.formats import open_format_folder
from veridical.data.readers.imagefile import SUFFIXES, read_header, read_image
from veridical.data.readers.labelled import Sorted, tell_apart
from veridical.data.readers.labelset import LabelSet
from veridical.data.readers.walk import said, walk
from veridical.data.slices import Slices


def open_file(path: Path) -> Slices:
    """One image file; its label image may lie beside it, or in a folder for them beside it or beside its folder."""
    folder = path.parent
    named = [
        each
        for each in _listed(folder)
        if each != path
        and path.stem in each.stem
        and without_label_word(each.stem) is not None
        and each.name.lower().endswith(SUFFIXES)
        and each.is_file()
    ]
    near = [each for each in _listed(folder) if is_label_folder(each.name) and each.is_dir()]
    found = tell_apart(folder, [path, *named], [label for each in near for label in _images_in(each)] + _beside(folder))
    k = found.images.index(path)
    doubts = {0: found.doubts[k]} if k in found.doubts else {}
    return files_as_slices("image", folder, Sorted([path], [found.masks[k]], doubts, []), [])


def open_folder(folder: Path, open_stack: Callable[[Path], Slices], options: Mapping[str, str] | None = None) -> Slices:
    """Image files below `folder`, or what else is read there; `open_stack` opens the only one, which may be a stack.

    With the option ``outside=yes``, links that lead out of the folder are followed. Others are of formats that are no image
    files.
    """
    others = dict(options or {})
    outside = allows_outside(folder, others)
    others.pop(OUTSIDE, None)
    files, aside = walk(folder, SUFFIXES, outside)
    if not files and (found := open_format_folder(folder, others, outside)):
        return found
    check_options(folder, others, (OUTSIDE,))
    sorted_ = tell_apart(folder, files, _beside(folder))
    notes = [*sorted_.notes, *said(aside)]
    if not sorted_.images:
        what = "holds no images" if any(folder.iterdir()) else "is an empty folder"
        raise InputError(f"{folder}: {what}; give a folder with {', '.join(SUFFIXES)} files{_but(notes)}")
    kept = _of_two_sides(folder, sorted_, notes)
    if len(kept.images) == 1 and kept.masks == [None] and kept.images[0].suffix.lower() in (".tif", ".tiff", ".npy"):
        only = open_stack(kept.images[0])
        only.notes += notes
        return only
    return files_as_slices("folder", folder, kept, notes)


def _but(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError:  # the folder above may be closed to us
        return []


def _images_in(folder: Path) -> list[Path]:
    try:
        return walk(folder, SUFFIXES).found
    except OSError:
        return []


def _beside(folder: Path) -> list[Path]:
    """Label images in ``masks`` beside `folder`; in folders of other such names if `folder` is one of images alone."""
    here = folder.absolute()
    general = not bare(here.name) or side_of(here.name) is not None
    folders = [
        each
        for each in _listed(here.parent)
        if each != here and (each.name.lower() == "masks" or (general and is_label_folder(each.name))) and each.is_dir()
    ]
    return [path for each in folders for path in _images_in(each)]


def _of_two_sides(folder: Path, found: Sorted, notes: list[str]) -> Sorted:
    """Only what lies in ``train`` and ``test`` folders (or the like), if there are such; what is left out is noted.

    Raises
    ------
    InputError
        If it is not clear which folders belong together.
    """
    names = [path.relative_to(folder).as_posix() for path in found.images]
    tops: dict[str, tuple[str, str]] = {}
    for name in names:
        first, inside, _ = name.partition("/")
        side = side_of(first) if inside else None
        if side is not None:
            tops[first] = side
    rests = {which: {rest for side, rest in tops.values() if (side == "train") == which} for which in (True, False)}
    if rests[True] and rests[False] and (rests[True] != rests[False] or len(rests[True]) > 1):
        raise InputError(
            f"{folder}: holds {', '.join(f'{top}/' for top in tops)}, and it is not clear which are two sides of one set; put "
            "those that belong together into train/ and test/ of a folder of their own"
        )
    held = "test" if any(side == "test" for side, _ in tops.values()) else "val"
    if rests[True] and rests[False]:
        used = [top for top, (side, _) in tops.items() if side in ("train", held)]
        kept = [k for k, name in enumerate(names) if name.partition("/")[0] in used]
        kept.sort(key=lambda k: tops[names[k].partition("/")[0]][0] != "train")
        _note_left_out(names, used, kept, notes)
        return Sorted(
            [found.images[k] for k in kept],
            [found.masks[k] for k in kept],
            {new: found.doubts[k] for new, k in enumerate(kept) if k in found.doubts},
            found.notes,
        )
    sides = [next(filter(None, map(side_of, name.split("/")[:-1])), None) for name in names]
    pure = {side for side, rest in filter(None, sides) if not rest}
    if sides_of(names) is None and "train" in pure and len(pure) > 1 and None in sides:
        raise InputError(
            f"{folder}: {names[sides.index(None)]} lies neither in a folder for training nor in one for testing, as others do; "
            "move it"
        )
    return found


def _note_left_out(names: Sequence[str], used: Sequence[str], kept: Sequence[int], notes: list[str]) -> None:
    left = [names[k] for k in sorted({*range(len(names))} - {*kept})]
    folders = list(dict.fromkeys(f"{name.partition('/')[0]}/" for name in left if "/" in name))
    loose = sum("/" not in name for name in left)
    others = [*sorted(folders), *([f"{loose} images beside them"] if loose else [])]
    plain = sorted(used) == ["test", "train"]
    words = "train/ and test/" if plain else " and ".join(f"{top}/" for top in used)
    if others:
        notes.insert(0, f"only {words} are used, not {', '.join(others)}")
    if not plain:
        trained = [f"{top}/" for top in used if (side_of(top) or ("",))[0] == "train"]
        held = [f"{top}/" for top in used if f"{top}/" not in trained]
        notes.insert(
            0, f"{', '.join(trained)} is taken for the training images, {', '.join(held)} for the held-out ones"
        )


def files_as_slices(kind: str, folder: Path, found: Sorted, notes: list[str]) -> Slices:
    """Image files below `folder` and their label images as slices, named by their places there."""
    paths = found.images
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
    gone = tuple(dict.fromkeys(value for h in headers for value in h.missing))
    if gone:
        notes.append(f"pixels of {', '.join(f'{value:g}' for value in gone)} are missing, as the files say")
    shapes = [h.shape for h in headers]
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    if len(set(names)) < len(names):
        names = [p.relative_to(folder).as_posix() for p in paths]
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
        missing=gone,
        paths=paths,
        masked=[mask is not None for mask in found.masks],
        read_mask=LabelSet(found.masks, paths, shapes, doubts=found.doubts),
    )


def _is_series(names: Sequence[str], shapes: Sequence[tuple[int, int]]) -> bool:
    """Whether files are one evenly numbered series of equal size: most likely the slices of one volume."""
    matches = [m for m in (re.fullmatch(r"(.*?)(\d+)(\D*)", name) for name in names) if m]
    if len(names) < 2 or len(matches) < len(names) or len(set(shapes)) > 1 or len({(m[1], m[3]) for m in matches}) > 1:
        return False
    return len(set(np.diff([int(m[2]) for m in matches]).tolist())) == 1


def _read_listed(paths: Sequence[Path], index: int) -> np.ndarray:
    return read_image(paths[index])
