"""A folder of images before and after an instruction -> the images after, with those before and the instructions."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import read_text
from veridical.data.readers.folders import files_as_slices
from veridical.data.readers.imagefile import read_header, read_image
from veridical.data.readers.labelled import Sorted
from veridical.data.slices import Slices

TABLE = "pairs.jsonl"
EXAMPLE = '{"before": "before/0001.png", "after": "after/0001.png", "instruction": "Add a crack."}'


def is_pairs(folder: Path) -> bool:
    """Whether `folder` holds pairs."""
    return (folder / TABLE).is_file()


def open_pairs(folder: Path) -> Slices:
    """Images after a change, of a folder whose ``pairs.jsonl`` has a line a pair.

    A line names the files ``before`` and ``after``, in the folder, and says the ``instruction``; ``instructions`` are sentences
    that say the same. Label images of the images after may stand in ``after_masks/`` under their names.

    Raises
    ------
    InputError
        Names the line that cannot be read as such, or the files that do not fit.
    """
    path = folder / TABLE
    rows = [
        _row(folder, f"{path} line {k}", line) for k, line in enumerate(read_text(path).split("\n"), 1) if line.strip()
    ]
    if not rows:
        raise InputError(f"{path} is empty: write a line {EXAMPLE} for each pair.")
    befores, afters = [row[0] for row in rows], [row[1] for row in rows]
    for before, after in zip(befores, afters, strict=True):
        one, other = read_header(before), read_header(after)
        if (one.shape, one.dtype, one.channels) != (other.shape, other.dtype, other.channels):
            raise InputError(f"{before} and {after} differ in size, bit depth or colour: save the two of a pair alike.")
    if (
        twice := [after for k, after in enumerate(afters) if after in afters[:k]]
        if len({*afters}) < len(afters)
        else []
    ):
        raise InputError(f"{path} names {twice[0]} as the image after of two pairs: give each a file of its own.")
    masks = [found if (found := folder / "after_masks" / after.name).is_file() else None for after in afters]
    slices = files_as_slices("folder", folder, Sorted(afters, masks, {}, []), [])
    said = [row[2] for row in rows]
    return replace(slices, stack=False, captions=lambda: said, read_before=partial(_read, befores))


def _read(paths: list[Path], index: int) -> np.ndarray:
    return read_image(paths[index])


def _row(folder: Path, where: str, line: str) -> tuple[Path, Path, tuple[str, ...]]:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is no JSON: write one object a line, {EXAMPLE}.") from None
    row = row if isinstance(row, dict) else {}
    others: Any = row.get("instructions", [])
    texts: list[Any] = [row.get("instruction"), *(others if isinstance(others, list) else [None])]
    named: list[Any] = [row.get(name) for name in ("before", "after")]
    if not all(isinstance(text, str) for text in (*named, *texts)):
        raise InputError(f"{where} lacks the texts before, after and instruction: write {EXAMPLE}.")
    before, after = (folder / name for name in named)
    for file in (before, after):
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{where} names {file}, which lies outside the folder: copy it there.")
        if not file.is_file():
            raise InputError(
                f"{where} names {file}, which is not there: wait if it is being written, else restore it or leave the line out."
            )
    return before, after, tuple(dict.fromkeys(texts))
