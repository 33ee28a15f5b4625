"""Captions of real images from what was measured on them; what was measured stands beside each sentence."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from veridical.captioning.measure import Measured, key, labelled_share, measure_classes, measure_texture
from veridical.captioning.pieces import Piece, Pieces, tiles_of, whole_images
from veridical.core.errors import InputError
from veridical.core.files import check_folder, check_output, write_text
from veridical.core.limits import LARGEST_TILE
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.data.images import save_png, write_counts
from veridical.data.labels import FOLDER, read_column
from veridical.data.masks import OTHER, explain, fit_mask_values, paint
from veridical.data.numbers import numbers
from veridical.data.readers.labelset import BLACK
from veridical.wording import describe, state

CAPTIONS, PROPERTIES = "captions.jsonl", "properties.csv"
SUBJECT = "image"
MOST = 100  # captions of an image
# Share of a tile that has a label, at least: fractions are of what has one, and the tile shows the rest, too
LABELLED = 0.9

_NAME = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty")  # classes are 64 at most


def caption(
    data: str | Path,
    out: str | Path,
    *,
    names: Mapping[int, str] | None = None,
    columns: Sequence[str] = (),
    subject: str = SUBJECT,
    captions: int = 4,
    tiles: int = 0,
    split: str | Path | None = None,
    hold_out: int = 0,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Write captions of images that say what was measured on them, and beside each sentence what that was.

    Of label images: the share of each class, its connected parts and their mean size, and what is not there
    (`veridical.captioning.measure`). Of tables: columns. Of an image without a label image: its grey levels and their grain.
    The first caption of an image says everything; the others leave facts out and say them otherwise, by chance that depends on
    the seed and the name of the image alone.

    Parameters
    ----------
    data : str or Path
        What `veridical.open_dataset` opens.
    out : str or Path
        The file of JSON lines to write, each with ``file_name``, ``text``, ``facts`` (property, value, how, said) and
        ``measured``; with `tiles` a new folder.
    names : mapping, optional
        Name of each label value that is spoken of, ``{0: "pores", 2: "clay"}``: in the plural if one connected part is one thing.
        Without any, all classes are, as "class-zero", "class-one". The value 255 beside others is what has no label, unless it
        has a name.
    columns : sequence of str
        Columns of ``labels.csv`` or ``properties.csv`` beside the images that are said, too.
    subject : str
        What the images show, without an article, such as "microCT slice of sandstone".
    captions : int
        Of each image at most, 1 to 100.
    tiles : int
        Caption tiles of so many pixels instead of whole images: a training on such tiles needs that, as a caption of a whole
        slice is not true of a tile. All tiles of a grid without overlap are written into ``train/`` and ``test/`` of `out` in the
        counts and bit depth of the data, their label images into ``masks/`` there, captions and ``properties.csv`` into `out`.
        Tiles of which more than a tenth has no label are left out.
        Names keep the slice (``core_y0x64``), so that splits and intervals go by slice.
    split : str or Path, optional
    hold_out : int
        As in training; with `tiles` alone.
    seed : int
    quiet : bool
        Show no progress.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If the images cannot be read, a name is of no class that there is, or `out` holds something.
    """
    spec, out = str(data), Path(out)
    if not 1 <= captions <= MOST or seed < 0:
        raise InputError(f"captions={captions}, seed={seed}: give 1 to {MOST} captions and a seed of at least 0.")
    if tiles and not 8 <= tiles <= LARGEST_TILE:
        raise InputError(f"tiles={tiles}: give a side of 8 to {LARGEST_TILE} pixels, that of the tiles in training.")
    if (split or hold_out) and not tiles:
        raise InputError(
            f"{'split' if split else 'hold_out'} is for tiles alone: give a side of tiles, or leave it out."
        )
    if not subject.strip() or len(subject) > 200 or re.search(r"\d", subject):
        raise InputError(
            f"subject={subject[:40]!r}: give some words without numbers, such as 'microCT slice of sandstone'."
        )
    named = {value: _checked(value, name) for value, name in (names or {}).items()}
    _check_new(out, bool(tiles))
    pieces = tiles_of(spec, tiles, None if split is None else str(split), hold_out) if tiles else whole_images(spec)
    classes = _classes(spec, pieces, named)
    told = _columns(spec, pieces, columns)
    lines: list[str] = []
    rows: dict[str, Measured] = {}
    outside = 0
    with _written(out, bool(tiles)) as place, Progress("caption", quiet) as progress:
        for k, (piece, counts, labels) in enumerate(pieces):
            if tiles and labels is not None and labelled_share(labels, classes) < LABELLED:
                outside += 1
                continue
            found = measure_classes(labels, classes) if labels is not None else {}
            rows[piece.file] = found = (found or measure_texture(pieces.unit(counts))) | told.get(piece.index, {})
            lines += _lines(piece.file, subject.strip(), found, captions, seed)
            if tiles:
                _write_tile(place, piece, pieces, counts, labels)
            progress.update((k + 1) / len(pieces.each))
        if outside:
            tell(
                spec,
                f"{outside} of {len(pieces.each)} tiles are left out, less than 90 % of them has a label; name 255 to keep them",
            )
        if not rows:
            raise InputError(
                f"{spec}: no tile has labels on 90 % of it; give smaller tiles, or name the value 255, too."
            )
        write_text(place / CAPTIONS if tiles else place, "".join(lines))
        if tiles:
            write_text(place / PROPERTIES, _table(rows))
    return out


def _lines(file: str, subject: str, found: Measured, captions: int, seed: int) -> list[str]:
    """JSON lines of one image, no sentence twice."""
    rng = np.random.default_rng([seed, zlib.crc32(file.encode("utf-8", "surrogateescape"))])
    # that there is none of a class, its fraction says already
    sayable = {name: value for name, value in found.items() if not (name.startswith("n_") and value == 0)}
    said = dict([state(subject, sayable)] + [describe(subject, sayable, rng) for _ in range(captions - 1)])
    measured = {name: round(value, 6) if isinstance(value, float) else value for name, value in found.items()}
    return [
        json.dumps({"file_name": file, "text": text, "facts": [asdict(fact) for fact in facts], "measured": measured})
        + "\n"
        for text, facts in said.items()
    ]


# ------------------------------------------------------------------------------------------------- what there is to say


def _checked(value: int, name: str) -> str:
    if not _NAME.fullmatch(name.strip()) or len(name) > 60:
        raise InputError(
            f"the name {name[:60]!r} of class {_shown(value)} cannot be said: give words without numbers and signs, such as "
            "pores or dense minerals."
        )
    return name.strip().lower()


def _shown(value: int) -> str:
    return f"#{value - BLACK:06x}" if value >= BLACK else str(value)


def _classes(spec: str, pieces: Pieces, named: Mapping[int, str]) -> dict[int, str]:
    """Name of each label value that is a class, "" for those that are not spoken of."""
    masked = [index for index in pieces.used if pieces.masked(index)]
    bare = len(pieces.used) - len(masked)
    if bare and (masked or not named):
        tell(
            spec,
            f"{bare} of {len(pieces.used)} images have no label image: their captions say grey levels and their grain",
        )
    if not masked:
        if named:
            raise InputError(
                f"{spec}: no image has a label image, so there is no class to name; put them into masks/, or leave the names out."
            )
        return {}
    values = fit_mask_values(spec, pieces.slices, masked, pieces.slices.mask)
    strange = next((value for value in named if value not in values), None)
    if strange is not None:
        raise InputError(
            f"{spec}: class {_shown(strange)} ({named[strange]}) is in no label image; they hold "
            f"{', '.join(map(_shown, values))}."
        )
    if twice := next((name for name in named.values() if [*map(key, named.values())].count(key(name)) > 1), None):
        raise InputError(f"{spec}: two classes are called {twice}; give each a name of its own.")
    if not named and (note := explain(values)):
        tell(spec, note)
    there = [value for value in values if value != OTHER or len(values) == 2 or value in named]
    if named:
        return {value: named.get(value, "") for value in there}
    return {value: f"class {_in_words(k)}" for k, value in enumerate(there)}


def _in_words(k: int) -> str:
    """A number in words: in digits it would be a value, and belong to the word before it."""
    return _ONES[k] if k < 20 else f"{_TENS[k // 10]}-{_ONES[k % 10]}" if k % 10 else _TENS[k // 10]


def _columns(spec: str, pieces: Pieces, columns: Sequence[str]) -> dict[int, Measured]:
    """What columns say of each slice: numbers, or words."""
    found: dict[int, Measured] = {index: {} for index in pieces.used}
    for column in columns:
        values = read_column(spec, pieces.slices, column, pieces.used)
        name = column.rpartition(":")[2]
        try:
            read = numbers(values) if column != FOLDER else [None]
        except InputError as error:
            raise InputError(f"{spec}: {name}: {error}") from None
        as_said: Sequence[Any] = values if None in read else read
        for index, value in zip(pieces.used, as_said, strict=True):
            found[index][name] = value
    larger = [p for p in pieces.each if pieces.slices.shapes[p.index] != (p.height, p.width)]
    if columns and larger:
        tell(
            spec,
            f"{', '.join(columns)}: tiles have the value of their image; leave out what is not the same all over it",
        )
    return found


# -------------------------------------------------------------------------------------------------------- what is written


def _check_new(out: Path, folder: bool) -> None:
    if folder:
        check_folder(out)
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out} is not an empty folder: name a new one for the tiles.")
        return
    if out.is_dir():
        raise InputError(f"{out} is a folder: name a file, such as {out / CAPTIONS}.")
    if out.is_file():
        raise InputError(f"{out} is there already: move it away, or choose another name.")
    check_output(out)


@contextlib.contextmanager
def _written(out: Path, folder: bool) -> Iterator[Path]:
    """Where to write what `out` is to hold: a folder appears under its name when it is complete."""
    if not folder:
        yield out
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name[:50]}.", dir=out.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_tile(folder: Path, piece: Piece, pieces: Pieces, counts: np.ndarray, labels: np.ndarray | None) -> None:
    path = folder / piece.file
    (path.parent / "masks").mkdir(parents=True, exist_ok=True)
    write_counts(path, counts[None] if counts.ndim == 2 else counts.transpose(2, 0, 1), pieces.slices.pixel_size)
    if labels is not None:
        top = int(labels.max(initial=0))
        kind = np.uint8 if top <= OTHER else np.uint16 if top < BLACK else np.int32
        save_png(path.parent / "masks" / f"{path.stem}.png", paint(labels.astype(kind)))


def _table(rows: Mapping[str, Measured]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, ["file_name", *dict.fromkeys(name for row in rows.values() for name in row)])
    table.writeheader()
    table.writerows({"file_name": file, **row} for file, row in rows.items())
    return text.getvalue()
