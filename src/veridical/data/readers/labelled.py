"""Which image files are label images, and of which images: by names, and where names say nothing by what is in the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.core.errors import InputError
from veridical.data.names import bare, is_label_folder, same, side_of, without_image_word, without_label_word
from veridical.data.readers.labelfile import read_labels

FEW_VALUES = 32  # a label image has no more different ones
LOOK = 3  # files of a kind that are looked into


class Sorted(NamedTuple):
    """Image files told apart.

    Attributes
    ----------
    images : list of Path
    masks : list of Path or None
        The label image of each image.
    doubts : dict
        Why it is not clear which label image that of an image is, by the number of the image.
    notes : list of str
        What was taken for label images, unless it lies in folders called ``masks``.
    """

    images: list[Path]
    masks: list[Path | None]
    doubts: dict[int, str]
    notes: list[str]


def tell_apart(folder: Path, files: Sequence[Path], beside: Sequence[Path] = ()) -> Sorted:
    """Find the label images among the image files below `folder`, and those of `beside` that go with them.

    A file is a label image if it lies in a folder called ``masks``, ``labels``, ``gt``, ``annotations``, ... or its name
    begins or ends so (``core_mask.png``), and there is an image of the name without that word; or if it holds few different
    values. A file of a name that says nothing is one if it holds few different values and an image that holds many has its
    name, but for folder and suffix.

    If only such names are there, none of them means anything, but ``masks``.
    """
    base = folder.absolute().parent

    def parts(path: Path) -> tuple[str, ...]:
        return Path(os.path.relpath(path.absolute(), base)).parts

    inside = {path: parts(path)[1:-1] for path in files}
    in_masks = {path for path in files if any(part.lower().startswith("masks") for part in inside[path])}
    named = {
        path
        for path in files
        if path not in in_masks
        and (any(map(is_label_folder, inside[path])) or without_label_word(path.stem) is not None)
    }
    notes = []
    if named and len(named) + len(in_masks) == len(files):
        some = _short(next(path for path in files if path in named), folder)
        notes.append(f"all images have names of label images, such as {some}, and are taken for images")
        named = set()
    plain = [path for path in files if path not in named and path not in in_masks]
    by_content = _by_content(plain)
    images = [path for path in plain if path not in by_content]
    masks, doubts, used = _matched(images, [*in_masks, *named, *beside], by_content, parts)
    odd = [path for path in files if path in named and path not in used]
    few = {path: _few_values(path) for path in odd[:LOOK]}
    if odd and not all(few.values()):  # grey levels: images with such a name
        images = sorted([*images, *odd], key=list(files).index)
        masks, doubts, _ = _matched(images, [*in_masks, *(named - set(odd)), *beside], by_content, parts)
        odd = []
    taken = [path for path in files if path in used and path not in in_masks]
    if taken:
        notes.append(
            f"{len(taken)} files, such as {_short(taken[0], folder)}, are taken for the label images of the images of their "
            "names"
        )
    if odd:
        notes.append(
            f"{len(odd)} files, such as {_short(odd[0], folder)}, look like label images of no image here and are left out"
        )
    lost = len([path for path in in_masks if path not in used])
    if lost:
        notes.append(f"{lost} of {len(in_masks)} label images in masks folders belong to no image here")
    return Sorted(images, masks, doubts, notes)


def _short(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _matched(
    images: Sequence[Path], labels: Iterable[Path], known: dict[Path, Path], parts: Callable[[Path], tuple[str, ...]]
) -> tuple[list[Path | None], dict[int, str], set[Path]]:
    """The label image of each image, that of its name in the folder that corresponds, first of all in ``masks``; doubts; all
    that may be one.
    """
    at: dict[tuple[tuple[str, ...], str], list[Path]] = {}
    for path in labels:
        where = parts(path)[:-1]
        folders = tuple(filter(None, map(bare, where)))
        for stem in dict.fromkeys((path.stem, without_label_word(path.stem))):
            if stem is not None:
                at.setdefault((folders, same(stem)), []).append(path)
    pairs = {image: [label] for label, image in known.items()}
    found: list[Path | None] = []
    doubts: dict[int, str] = {}
    users: dict[Path, list[int]] = {}
    candidates: set[Path] = set()
    for k, image in enumerate(images):
        where = parts(image)[:-1]
        folders = tuple(filter(None, map(bare, where)))
        # the folder of an image may stand for itself alone, as scans/ beside masks/
        places = dict.fromkeys((folders, tuple(filter(None, map(bare, where[:-1])))))
        stems = [same(stem) for stem in (image.stem, without_image_word(image.stem)) if stem is not None]
        hits = next((at[place, stem] for place in places for stem in stems if (place, stem) in at), [])
        hits = hits or pairs.get(image, [])
        for better in (lambda path: same(path.parent.name) == "masks", lambda path: path.stem == image.stem):  # noqa: B023
            hits = list(filter(better, hits)) or hits
        candidates.update(hits)
        found.append(hits[0] if hits else None)
        for path in hits[:1]:
            users.setdefault(path, []).append(k)
        if len(hits) > 1:
            doubts[k] = f"{hits[0]} and {hits[1]} may both be the label image of {image}; move one of them elsewhere"
    for path, several in users.items():
        spelt = [k for k in several if images[k].stem == path.stem]
        if len(spelt) == 1 < len(several):  # of A and a: the other one has none
            for k in {*several} - {*spelt}:
                found[k] = None
        elif len({images[k].parent for k in several}) > 1:
            for k in several:
                doubts[k] = (
                    f"{path} may be the label image of {images[several[0]]} and of {images[several[-1]]}; put label images "
                    "into folders like those of the images"
                )
    return found, doubts, candidates


def _by_content(files: Sequence[Path]) -> dict[Path, Path]:
    """Files of few values whose names are those of files of many values, in another folder or with another suffix."""
    kinds: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in files:
        kinds.setdefault((path.parent, path.suffix.lower()), {})[same(path.stem)] = path
    found: dict[Path, Path] = {}
    by_stem: dict[str, list[tuple[Path, str]]] = {}
    for kind, stems in kinds.items():
        for stem in stems:
            by_stem.setdefault(stem, []).append(kind)
    seen: dict[Path, bool] = {}

    def sides(kind: tuple[Path, str]) -> list[object]:
        return [side_of(part) for part in kind[0].parts if side_of(part)]

    def few(path: Path) -> bool:
        if path not in seen:
            seen[path] = _few_values(path)
        return seen[path]

    for kind, stems in kinds.items():
        others = {other for stem in stems for other in by_stem[stem] if other != kind and sides(other) == sides(kind)}
        for other in others:
            common = [stem for stem in stems if stem in kinds[other]]
            if 2 * len(common) <= len(stems):
                continue
            look = common[:: max(1, len(common) // LOOK)][:LOOK]
            if all(few(stems[s]) for s in look) and not any(few(kinds[other][s]) for s in look):
                found |= {stems[stem]: kinds[other][stem] for stem in common}
    return found


def _few_values(path: Path) -> bool:
    """Whether a file can be read as a label image of few different values."""
    try:
        pixels = read_labels(path).pixels
    except InputError:
        return False
    flat = pixels.reshape(-1, 3) @ np.array([65536, 256, 1]) if pixels.ndim == 3 else pixels.ravel()
    return len(np.unique(flat)) <= FEW_VALUES
