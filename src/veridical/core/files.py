"""Files that are whole or not there: written under a temporary name and renamed. Only regular files are read. JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from veridical.core.errors import InputError

T = TypeVar("T")
LARGEST_TEXT = 512 * 2**20  # bytes of a file that is read whole: JSON, a table
DEEPEST = 100  # JSON within JSON
# Names that `replacing` gives, and those of large files that earlier versions gave (eight characters).
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}|\.(?:run\.json|(?:model|resume)\.safetensors)\.[0-9a-z_]{8}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; what was written is at `path` only when it is whole.

    The temporary file lies beside `path`. It is made here, under a name that nobody can guess and that is no link, with the
    mode that any new file of the user gets. On success it is renamed to `path`, on failure it is removed. A link, or what is
    no file (``/dev/stdout``, a pipe), is not replaced: it is itself what is yielded.

    Raises
    ------
    InputError
        If the disk is full or not writable; what stood at `path` is untouched.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        with _explained(path, "give the name of a file in a folder that you may write to"):
            yield path
        return
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}")
    with _explained(path, "free some space or choose another folder; what was there before is kept"):
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file name is one that `replacing` gives while it writes."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing to `folder`: only where none can be writing now, under a lock."""
    if folder.is_dir():
        for path in folder.iterdir():
            if is_temporary(path.name) and path.is_file():
                with contextlib.suppress(OSError):
                    path.unlink()


@contextlib.contextmanager
def _explained(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} could not be written ({error.strerror or error}): {remedy}.") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, its line ends as they are."""
    write_bytes(path, text.encode())


def write_kept(path: Path, content: bytes) -> None:
    """Write what a cache keeps: behind the content stands its SHA-256, which `read_kept` looks at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content + hashlib.sha256(content).digest())


def read_kept(path: Path) -> bytes | None:
    """What `write_kept` wrote; None where there is nothing, or any other byte: it has to be made anew."""
    try:
        with open_regular(path) as file:
            whole = file.read()
    except InputError:
        return None
    size = len(whole) - hashlib.sha256().digest_size
    return whole[:size] if size >= 0 and hashlib.sha256(whole[:size]).digest() == whole[size:] else None


def write_array(path: Path, array: np.ndarray) -> None:
    """Write NPY atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically (NaN is refused)."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Raises
    ------
    InputError
        For what is no regular file (a pipe or a device would never end), is missing or may not be read.
    """
    try:
        # without blocking, a pipe that nobody writes to opens at once
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except PermissionError:
        raise InputError(f"{path}: you may not read this; change its permissions.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}): check the path.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: is not a regular file; give a file that is on a disk.")
    return os.fdopen(descriptor, "rb")


def check_regular(path: Path) -> None:
    """Refuse what is no regular file, as `open_regular` does: before a library is given its name."""
    open_regular(path).close()


def read_bytes(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """Content of a regular file of at most so many bytes; an `InputError` where it is larger, or as `open_regular`."""
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: has more than {most:,} bytes, too many for what it should be; check what it is.")
    return content


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """UTF-8 text, with or without a byte order mark, of a regular file; see `read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8.") from None


@overload
def read_json(path: Path) -> Any: ...
@overload
def read_json(path: Path, kind: type[T]) -> T: ...
def read_json(path: Path, kind: Any = Any) -> Any:
    """Read JSON and check it.

    Parameters
    ----------
    path : Path
    kind : type
        What it must hold: a dataclass, a `TypedDict`, ``list[...]`` or another type; anything by default. Values are
        converted only where nothing is lost: lists become tuples, objects dataclasses.

    Raises
    ------
    InputError
        Names a file that is missing, broken, nested too deep, or holds something else, and says what.
    """
    return parse_json(read_bytes(path), kind, path)


def parse_json(text: str | bytes, kind: Any, name: object) -> Any:
    """Read JSON that `name` holds as `kind`; see `read_json`."""
    try:
        # not pydantic's own reader: names of files that are not UTF-8 are half surrogates, which it refuses
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not valid JSON: it was damaged or is not what it should be.") from None
    level = [content]
    for _ in range(DEEPEST):
        lists = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        ]
        level = [value for values in lists for value in values]
    if level:
        raise InputError(f"{name} is nested deeper than {DEEPEST} levels: it was damaged or is not what it should be.")
    return check_content(content, kind, name)


def check_content(content: Any, kind: Any, name: object) -> Any:
    """What JSON (or a header) that `name` holds says, as `kind`; see `read_json`."""
    import pydantic

    try:
        return _adapter(kind).validate_python(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        what = " ".join(first["msg"].split())
        raise InputError(
            f"{name}: its {where} cannot be read ({what}): it was damaged or is not what it should be."
        ) from None


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
