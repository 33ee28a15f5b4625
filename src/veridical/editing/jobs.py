"""Which image is to become what: from files, texts and tables to one job an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.core.files import read_text
from veridical.data.masks import foreground, open_labels
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices
from veridical.editing.edit import Edit

COLUMNS = ("image", "prompt", "source_prompt", "negative_prompt", "mask")


@dataclass(frozen=True)
class Picked:
    """One image of a set, read when it is asked for."""

    spec: str
    slices: Slices = field(repr=False)
    index: int

    def __str__(self) -> str:
        return self.spec if len(self.slices) == 1 else f"{self.spec}: {self.slices.names[self.index]}"

    def region(self) -> NDArray[np.bool_]:
        """Where a label image is not 0."""
        return foreground(self.slices[self.index])


@dataclass(frozen=True)
class Job:
    """What is to become of one image.

    Attributes
    ----------
    number : int
        Of the image in its set, which its noise goes by.
    name : str
        Of the image.
    shape : (int, int)
    prompts : tuple of str
        A change each; none for edits without words.
    source_prompt, negative_prompt : str
    masks : tuple of Picked
        As many as `prompts`, or one, or none.
    second : Picked, optional
    """

    number: int
    name: str
    shape: tuple[int, int]
    prompts: tuple[str, ...] = ()
    source_prompt: str = ""
    negative_prompt: str = ""
    masks: tuple[Picked, ...] = ()
    second: Picked | None = None

    @property
    def turns(self) -> int:
        """How many changes are made."""
        return max(1, len(self.prompts), len(self.masks))

    @property
    def said(self) -> dict[str, Any]:
        """What the provenance says of it."""
        told = {
            "prompt": [*self.prompts],
            "source_prompt": [self.source_prompt] * bool(self.source_prompt),
            "negative_prompt": [self.negative_prompt] * bool(self.negative_prompt),
            "mask": [str(mask) for mask in self.masks],
            "second": [str(self.second)] * (self.second is not None),
        }
        said = {name: found[0] if len(found) == 1 else found for name, found in told.items() if found}
        return {"number": self.number, "image": self.name, **said}


def jobs_of(
    slices: Slices,
    edit: Edit,
    *,
    prompt: Sequence[str] = (),
    source_prompt: str = "",
    negative_prompt: str = "",
    mask: Sequence[str | Path] = (),
    second: str | Path | None = None,
    table: str | Path | None = None,
) -> list[Job]:
    """A job for each image, or for each that a table names; see `veridical.editing.folder.edit`.

    Raises
    ------
    InputError
        For what the edit has no use for, lacks, or what names no image.
    """
    given = {
        "prompt": tuple(prompt), "source_prompt": source_prompt, "negative_prompt": negative_prompt, "mask": tuple(mask),
        "second": second,
    }  # fmt: skip
    if table is None:
        found = [(k, given) for k in range(len(slices))]
    else:
        twice = [name for name in ("prompt", "source_prompt", "negative_prompt", "mask") if given[name]]
        if twice:
            raise InputError(f"{table} says what each image is to become: leave out --{twice[0].replace('_', '-')}.")
        found = [(k, given | row) for k, row in _rows(Path(table), slices)]
    opened: dict[str, Slices] = {}
    return [_job(slices, edit, k, said, opened) for k, said in found]


def _job(slices: Slices, edit: Edit, k: int, said: Mapping[str, Any], opened: dict[str, Slices]) -> Job:
    name = slices.names[k]
    for need in edit.needs:
        if not said[need]:
            raise InputError(
                f"{edit.name} needs a {need.replace('_', ' ')}, and {name} has none: give --{need.replace('_', '-')}."
            )
    for one, value in said.items():
        if value and one not in (*edit.needs, *edit.offers):
            raise InputError(f"{edit.name} takes no {one.replace('_', ' ')}: leave out --{one.replace('_', '-')}.")
    prompts, masks = said["prompt"], said["mask"]
    if len(masks) > 1 and len(masks) != len(prompts):
        raise InputError(
            f"{len(masks)} masks and {len(prompts)} prompts do not fit: give one mask, or one for each prompt."
        )
    regions = tuple(_picked(mask, slices, k, opened, labels=True) for mask in masks)
    for region in regions:
        marked = region.region()
        if not marked.any():
            raise InputError(f"the mask {region} of {name} marks no pixel: mark those that may change.")
        if marked.all() and "mask" in edit.needs:
            raise InputError(f"the mask {region} of {name} marks all pixels: {edit.name} goes by those that stay.")
    return Job(
        k, name, slices.shapes[k], prompts, said["source_prompt"], said["negative_prompt"], regions,
        None if said["second"] is None else _picked(said["second"], slices, k, opened, labels=False),
    )  # fmt: skip


def _picked(spec: str | Path, slices: Slices, k: int, opened: dict[str, Slices], labels: bool) -> Picked:
    """Of one image that image, of several the one with the name of image k."""
    key = str(spec)
    if key not in opened:
        opened[key] = open_labels(spec) if labels else open_slices(spec)
    others, name = opened[key], slices.names[k]
    index = 0 if len(others) == 1 else next((i for i, other in enumerate(others.names) if other == name), -1)
    if index < 0:
        raise InputError(f"{spec} holds no image of the name {name}: name them as the images, or give one for all.")
    if tuple(others.shapes[index]) != tuple(slices.shapes[k]):
        (height, width), (own, across) = others.shapes[index], slices.shapes[k]
        what = "mask" if labels else "second image"
        raise InputError(
            f"the {what} {Picked(key, others, index)} has {width} x {height} pixels but {name} {across} x {own}: "
            f"{'draw the mask on the image' if labels else 'cut them to one size'}."
        )
    return Picked(key, others, index)


def _rows(path: Path, slices: Slices) -> Iterable[tuple[int, dict[str, Any]]]:
    """Number of the image and what is said of it, of the rows of each image."""
    reader = csv.DictReader(io.StringIO(read_text(path)))
    names = reader.fieldnames or []
    strange = [name for name in names if name not in COLUMNS]
    if "image" not in names or strange:
        raise InputError(
            f"{path} needs the column image and has room for {', '.join(COLUMNS[1:])}, not {', '.join(strange) or 'none'}."
        )
    files = [path.name for path in slices.paths]
    known = {file: k for k, file in enumerate(files) if files.count(file) == 1}  # of two folders: by its name alone
    known |= {name: k for k, name in enumerate(slices.names)}
    rows = []
    for number, row in enumerate(reader, 2):
        if None in row or None in row.values():
            raise InputError(
                f"{path}: line {number} has not as many fields as the first line; put texts with commas in quotes."
            )
        if row["image"] not in known:
            raise InputError(
                f"{path}: line {number} names {row['image']!r}, which is none of the images, such as {slices.names[0]}."
            )
        rows.append((known[row["image"]], row))
    if not rows:
        raise InputError(f"{path} holds no row: write one an image.")
    for k, mine in groupby(sorted(rows, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        said = [row for _, row in mine]

        def of(column: str, said: list[dict[str, str]] = said) -> list[str]:
            return [row[column] for row in said if row.get(column)]

        masks = [str(path.parent / mask) if not Path(mask).is_absolute() else mask for mask in of("mask")]
        if len(said) > 1 and masks and len(masks) != len(said):
            raise InputError(
                f"{path}: {slices.names[k]} has {len(said)} rows but {len(masks)} masks: give each row its own, or none."
            )
        yield k, {
            "prompt": tuple(of("prompt")), "mask": tuple(masks),
            "source_prompt": next(iter(of("source_prompt")), ""), "negative_prompt": next(iter(of("negative_prompt")), ""),
        }  # fmt: skip
