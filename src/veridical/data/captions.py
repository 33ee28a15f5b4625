"""Captions of images: JSON lines, a text file beside each image, or those that phantoms bring."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_bytes
from veridical.data.rows import key_of, places_of, root_of, rows_of
from veridical.data.slices import Slices
from veridical.data.tables import stem

TABLES = ("captions.jsonl", "metadata.jsonl")
AUTO = "auto"
EXAMPLE = '{"file_name": "0001.png", "text": "a sentence"}'

_COMMA = re.compile(r"(?<![\w.,])[0-9]+,[0-9]+(?![\w,]|\.[0-9])")  # not in a list of three, nor in a date
_BESIDE = re.compile(
    r"\b(?:to the|vertical|horizontal|upright|(?:left|right|upper|lower) (?:half|part|side))\b", re.IGNORECASE
)

Rows = dict[str, list[str]]


def read_captions(spec: str, slices: Slices, where: str = AUTO) -> tuple[list[tuple[str, ...]], list[str]]:
    """Captions of all images of a set.

    Parameters
    ----------
    spec : str
        What was opened: its folder tells where to look.
    slices : Slices
    where : str
        A file of JSON lines, each with ``file_name`` and ``text``; several lines may name one image. ``auto``: the captions
        that phantoms bring; else ``captions.jsonl`` or ``metadata.jsonl`` in the folder, its ``train/`` and ``test/`` or its
        parent; else ``NAME.txt`` beside the image, every line of which is a caption.

    Returns
    -------
    captions : list of tuple of str
        Those of each slice; an image without any has none.
    notes : list of str
        What a user should know.

    Raises
    ------
    InputError
        If a file cannot be read as such, with its line; if no image has a caption.
    """
    if where == AUTO and slices.captions is not None:
        return [tuple(map(_clean, texts)) for texts in slices.captions()], []
    tables = [(Path(where).expanduser(), "")]
    if where == AUTO:
        found = [(next((p / t for t in TABLES if (p / t).exists()), None), side) for p, side in places_of(spec)]
        tables = [(path, side) for path, side in found if path is not None]
    rows, told = _from_tables(tables) if tables else _from_text_files(spec, slices)
    keys = rows_of(spec, slices.names, list(rows))
    lists = [[text for key in of_image for text in rows[key] if text] for of_image in keys]
    captions = [tuple(dict.fromkeys(texts)) for texts in lists]
    if not any(captions):
        there = f"no line of {tables[0][0]} has the caption of an image that is here" if tables else "no image has one"
        raise InputError(
            f"{spec}: needs captions, but {there}; write captions.jsonl with a line {EXAMPLE} for each image."
        )
    used = {key for of_image in keys for key in of_image}
    strange = [key for key in rows if key not in used]
    with_comma = [match[0] for of_image in captions for text in of_image if (match := _COMMA.search(text))]
    notes = [f"{told[strange[0]]}: {strange[0]} is no image here; {len(strange)} such are left out"] if strange else []
    if twice := sum(map(len, lists)) - sum(map(len, captions)):
        notes.append(f"{twice} captions repeat another of the same image word by word, and count once")
    if with_comma:
        notes.append(
            f"{len(with_comma)} captions hold a number with a comma, such as {with_comma[0][:20]}: its digits are words, not a "
            "value; write a decimal point"
        )
    return captions, notes


def doubts(captions: Sequence[str], larger: int, augment: str) -> list[str]:
    """What makes captions false of the tiles that are trained on, as notes.

    Parameters
    ----------
    captions : sequence of str
        Of all images that are used.
    larger : int
        Images that are larger than a tile.
    augment : str
        How tiles are turned.
    """
    notes = []
    if larger:
        notes.append(
            f"{larger} images are larger than a tile, of which their captions may not be true: veridical caption --tiles writes "
            "tiles with captions of their own"
        )
    said = [match[0] for text in captions if (match := _BESIDE.search(text))] if augment != "none" else []
    if said:
        notes.append(
            f"{len(said)} captions say {said[0]!r}, which may not be true of tiles that are turned: give --augment none, or "
            "say places as 'in the upper left', 'at the top', which turn with the tiles"
        )
    return notes


def _clean(text: str) -> str:
    # JSON may hold halves of characters, which no file can.
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _from_tables(tables: list[tuple[Path, str]]) -> tuple[Rows, dict[str, str]]:
    """Captions of each name, and where the first of each was read; a table nearer to the images comes first."""
    rows: Rows = {}
    told: dict[str, str] = {}
    for path, side in tables:
        before = set(rows)
        for line, name, text in _lines(path):
            key = key_of(name, side)
            if key not in before:
                rows.setdefault(key, []).append(text)
                told.setdefault(key, f"{path} line {line}")
    return rows, told


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    text = _read(path)
    if not text.strip():
        raise InputError(f"{path} is empty: write a line {EXAMPLE} for each image.")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{path} line {number} is no JSON: write one object a line, {EXAMPLE}.") from None
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("file_name", "text")):
            raise InputError(f"{path} line {number} lacks the texts file_name and text: write {EXAMPLE}.")
        yield number, row["file_name"], _clean(row["text"])


def _from_text_files(spec: str, slices: Slices) -> tuple[Rows, dict[str, str]]:
    rows: Rows = {}
    if slices.kind in ("folder", "image"):
        root = root_of(spec)
        for name in slices.names:
            path = root / (stem(name.strip()) + ".txt")
            if path.is_file():
                rows[key_of(name)] = [_clean(line) for line in _read(path).splitlines()]
    return rows, {}


def _read(path: Path) -> str:
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} line {line} is not UTF-8: save the file with that encoding.") from None
