"""Sets of phantoms and of pairs as folders."""

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import check_folder, replacing, write_text
from veridical.phantoms.pairing import Pairs
from veridical.wording import Fact


@dataclass(frozen=True)
class Phantoms:
    """A set of phantoms.

    Attributes
    ----------
    images : (N, C, S, S) float32 in [0, 1]; C is 1 for cmc and rocks, 3 for roots.
    masks : (N, S, S) uint8 labels; their meaning is in `LABELS` of the kind's module.
    properties : N rows of numbers measured from the truth, of what lies inside the image.
    captions : several sentences of each; the first says everything in numbers, the others some of it in other words.
    facts : what each of those sentences says.
    """

    images: np.ndarray
    masks: np.ndarray
    properties: list[dict[str, float]]
    captions: list[tuple[str, ...]]
    facts: list[tuple[list[Fact], ...]]


def check_output(folder: str | Path, bits: int) -> Path:
    """The folder that `write_phantoms` may write to; before they are drawn, which takes long.

    Raises
    ------
    InputError : the folder exists and is not empty, a file is in its way, or `bits` is neither 8 nor 16.
    """
    folder = Path(folder)
    if bits not in (8, 16):
        raise InputError(f"phantoms of {bits} bits cannot be written; use 8 or 16")
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not an empty folder: name a new one for the phantoms")
    return folder


def write_phantoms(folder: str | Path, phantoms: Phantoms, bits: int = 16) -> list[Path]:
    """Write a set as ``images/NNNN.png``, ``masks/NNNN.png``, ``properties.csv`` and ``captions.jsonl``.

    One-channel images are PNG of `bits` 8 or 16, colour images 8-bit PNG; the file of a mask has its image's name. Lines of
    the two tables name their image in `file_name`.

    Returns
    -------
    Paths of the images.

    Raises
    ------
    InputError : as `check_output` says.
    """
    folder = check_output(folder, bits)
    names = _names(len(phantoms.images))
    with _whole(folder, ("images", "masks"), ("properties.csv", "captions.jsonl")):
        _write_images(folder / "images", names, phantoms.images, bits)
        _write_masks(folder / "masks", names, phantoms.masks)
        text = io.StringIO()
        table = csv.DictWriter(text, ["file_name", *phantoms.properties[0]])
        table.writeheader()
        table.writerows({"file_name": name, **row} for name, row in zip(names, phantoms.properties))
        write_text(folder / "properties.csv", text.getvalue())
        lines = [
            {"file_name": name, "text": text, "facts": [asdict(fact) for fact in facts]}
            for name, texts, told in zip(names, phantoms.captions, phantoms.facts)
            for text, facts in zip(texts, told)
        ]
        _write_lines(folder / "captions.jsonl", lines)
    return [folder / "images" / name for name in names]


def write_pairs(folder: str | Path, pairs: Pairs, bits: int = 16) -> list[Path]:
    """Write pairs as ``before/NNNN.png``, ``after/``, ``changed/`` (0 or 255), masks of both and ``pairs.jsonl``.

    Images, ``before_masks/`` and ``after_masks/`` are as those of `write_phantoms`. A line of ``pairs.jsonl`` has the files
    ``before``, ``after`` and ``changed``, the ``instruction``, all sentences that say the same (``instructions``), the properties
    ``before_properties`` and ``after_properties``, those that are others now (``changes``: property, before, after), and
    ``phantom``, the number of the image in the set of its seed.

    Returns
    -------
    Paths of the images before.

    Raises
    ------
    InputError : as `check_output` says.
    """
    folder = check_output(folder, bits)
    names = _names(len(pairs.before))
    with _whole(folder, ("before", "after", "changed", "before_masks", "after_masks"), ("pairs.jsonl",)):
        lines = [
            {
                **{place: f"{place}/{name}" for place in ("before", "after", "changed")},
                "instruction": pairs.instructions[k],
                "instructions": pairs.paraphrases[k],
                "changes": [
                    {"property": key, "before": value, "after": pairs.after_properties[k][key]}
                    for key, value in pairs.before_properties[k].items()
                    if value != pairs.after_properties[k][key]
                ],
                "before_properties": pairs.before_properties[k],
                "after_properties": pairs.after_properties[k],
                "phantom": pairs.numbers[k],
            }
            for k, name in enumerate(names)
        ]
        # First what says that this is a folder of pairs, last what each line names: who reads too early is told what lacks.
        _write_lines(folder / "pairs.jsonl", lines)
        _write_masks(folder / "before_masks", names, pairs.before_masks)
        _write_masks(folder / "after_masks", names, pairs.after_masks)
        _write_masks(folder / "changed", names, np.where(pairs.changed, 255, 0).astype(np.uint8))
        _write_images(folder / "before", names, pairs.before, bits)
        _write_images(folder / "after", names, pairs.after, bits)
    return [folder / "before" / name for name in names]


def _names(n: int) -> list[str]:
    return [f"{k:04d}.png" for k in range(n)]


@contextlib.contextmanager
def _whole(folder: Path, folders: Sequence[str], files: Sequence[str]) -> Iterator[None]:
    """Take back what was written when the rest fails (a full disk, Ctrl-C): the same command must find what it found before."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for name in folders:
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in files:
            (folder / name).unlink(missing_ok=True)
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def _write_images(folder: Path, names: Sequence[str], images: np.ndarray, bits: int) -> None:
    """One-channel images as PNG of `bits`, colour images as 8-bit PNG."""
    grey = images.shape[1] == 1
    levels = 65535 if grey and bits == 16 else 255
    stored = [np.round(image * levels).astype(np.uint16 if levels == 65535 else np.uint8) for image in images]
    _write_masks(folder, names, [image[0] if grey else image.transpose(1, 2, 0) for image in stored])


def _write_masks(folder: Path, names: Sequence[str], masks: Sequence[np.ndarray] | np.ndarray) -> None:
    from PIL import Image

    folder.mkdir()
    for name, mask in zip(names, masks):
        with replacing(folder / name) as temporary:
            Image.fromarray(mask).save(temporary, format="png")


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
