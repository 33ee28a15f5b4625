"""CSV tables with a row for each image: the split, labels, measured properties."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_bytes
from veridical.data.readers.imagefile import SUFFIXES

NAMES = ("file_name", "name", "filename", "file", "image")  # the columns that say which image a row is of
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_table(path: Path, needs: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table as spreadsheets save it: names of columns in its first line, one row an image.

    Text is UTF-8, or UTF-16 with a byte order mark. Fields are separated by commas, semicolons or tabs: by what makes a
    column ``name`` of the first line. A field in quotes may hold any of these, and ends of lines.

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
        If it cannot be read, a column is missing or there twice, a row has more fields than there are columns (such as numbers
        with a decimal comma that are not in quotes), or there is no row.
    """
    wanted = ", ".join(("name or file_name", *needs))
    text = _text(path, wanted)
    first, _, rest = text.partition("\n")
    told = first.rstrip("\r").lower()
    if told.startswith("sep=") and len(told) == 5:  # how spreadsheets say it
        text = rest
    tables: dict[str, list[list[str]]] = {}
    errors: list[csv.Error] = []
    for mark in DELIMITERS:
        try:
            tables[mark] = _fields(text, mark)
            if tables[mark]:
                known = {*NAMES, *needs}
                tables[mark][0] = [name.lower() if name.lower() in known else name for name in tables[mark][0]]
        except csv.Error as error:
            errors.append(error)
    # with a wrong mark the names of columns stick together
    fitting = [
        mark for mark, table in tables.items() if table and set(NAMES) & set(table[0]) and set(needs) <= set(table[0])
    ]
    if not fitting and errors:
        raise InputError(
            f"{path}: cannot be read as a CSV table ({errors[0]}); give a UTF-8 text file with the columns {wanted}"
        )
    if not fitting or len(tables[fitting[0]]) < 2:
        raise InputError(
            f"{path}: needs the columns {wanted}, separated by commas, semicolons or tabs, and a row for each image"
        )
    mark = max(fitting, key=lambda each: len(tables[each][0]))
    columns, *lines = tables[mark]
    if doubled := next((name for k, name in enumerate(columns) if name and name in columns[:k]), None):
        raise InputError(f"{path}: has two columns called {doubled}; rename one")
    for line in lines:
        if any(line[len(columns) :]):
            raise InputError(
                f"{path}: the row of {line[0] or line} has more values than the {len(columns)} columns; put values that hold "
                f"{DELIMITERS[mark]} (such as decimal commas) into quotes"
            )
    key = next(name for name in NAMES if name in columns)
    rows = [{name: line[k] if k < len(line) else "" for k, name in enumerate(columns) if name} for line in lines]
    return [row.pop(key) for row in rows], rows


def _text(path: Path, wanted: str) -> str:
    if not path.exists():
        raise InputError(
            f"{path}: cannot be read as a CSV table (No such file or directory); give a UTF-8 text file with the columns {wanted}"
        )
    content = read_bytes(path)
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: cannot be read as a CSV table ({error.reason} in line {content.count(bytes([10]), 0, error.start) + 1}); "
            f"give a UTF-8 text file with the columns {wanted}"
        ) from None
    if "\0" in text:
        raise InputError(f"{path}: is no text; give a UTF-8 text file with the columns {wanted}")
    return text


def _fields(text: str, mark: str) -> list[list[str]]:
    """Rows that are not empty, without white space around their fields."""
    read = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    return [row for row in ([field.strip() for field in row] for row in read) if any(row)]


def stem(name: str) -> str:
    """Name of an image without the suffix of its file, if it has one."""
    return name[: name.rfind(".")] if name.lower().endswith(SUFFIXES) else name
