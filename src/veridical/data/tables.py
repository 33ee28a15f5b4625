"""CSV tables with a row for each image: the split, labels, measured properties."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from veridical.core.errors import InputError
from veridical.data.readers.imagefile import SUFFIXES

NAMES = ("file_name", "name")  # the columns that say which image a row is of


def read_table(path: Path, needs: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV file: UTF-8 with or without byte order mark, fields separated by commas, names of columns in its first line.

    Parameters
    ----------
    path : Path
    needs : sequence of str
        Columns that it must have beside ``name`` (or ``file_name``, as in ``properties.csv``).

    Returns
    -------
    images : list of str
        The image that each row is of, as written there.
    rows : list of dict
        Its other columns; white space around a value is dropped, a value that is left out is empty.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing, or there is no row.
    """
    wanted = ", ".join(("name or file_name", *needs))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            read = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read as a CSV table ({getattr(error, 'strerror', None) or error}); "
            f"give a UTF-8 text file with the columns {wanted}"
        ) from None
    key = next((name for name in NAMES if read and name in read[0]), None)
    if key is None or not set(needs) <= set(read[0]):
        raise InputError(f"{path}: needs the columns {wanted}, separated by commas, and a row for each image")
    rows = [{column: (row[column] or "").strip() for column in row if column is not None} for row in read]
    return [row.pop(key) for row in rows], rows


def stem(name: str) -> str:
    """Name of an image without the suffix of its file, if it has one."""
    return name[: name.rfind(".")] if name.lower().endswith(SUFFIXES) else name
