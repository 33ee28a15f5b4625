"""Files that are whole or not there: written under a temporary name and renamed. Only regular files are read. JSON.

Longer than other files because all reading and writing of files goes through here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np

from veridical.core.errors import InputError

T = TypeVar("T")
DEEPEST = 64  # levels of lists and objects in a JSON file
LARGEST_TEXT = 512 * 2**20  # bytes of a file that is read whole: JSON, a table
# Names that `replacing` gives, and those of large files that earlier versions gave (eight characters).
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}|\.(?:run\.json|(?:model|resume)\.safetensors)\.[0-9a-z_]{8}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; what was written is at `path` only when it is whole.

    The temporary file lies beside `path`. It is made here, under a name that nobody can guess and that is no link, with the
    mode that any new file of the user gets. On success it is renamed to `path`, on failure it is removed. A link, or what is
    no file (``/dev/stdout``, a pipe, a device), is not replaced: what was written elsewhere is then written into it.

    Raises
    ------
    InputError
        If the disk is full or not writable; what stood at `path` is untouched.
    """
    if _is_written_into(path):
        with _explained(path, ELSEWHERE):
            if path.is_dir():
                raise _error(errno.EISDIR)
            with tempfile.TemporaryDirectory() as scratch:  # writers of pictures go back and forth, a pipe cannot
                temporary = Path(scratch, "written")
                yield temporary
                with temporary.open("rb") as made, _sink(path) as target:
                    shutil.copyfileobj(made, target)
        return
    temporary = _beside(path)
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


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write to; what was written is at `path` only when it is whole.

    Raises
    ------
    InputError
        If something is at `path` that is no empty folder, or nothing can be written there.
    """
    temporary = _beside(path)
    with _explained(path, "give the name of a new folder, where there is space and you may write"):
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir() or any(path.iterdir())):
            raise _error(errno.EEXIST)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            yield temporary
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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


def check_output(path: Path) -> None:
    """Refuse a file that `replacing` could not write, before the work is done whose result it is to hold.

    Raises
    ------
    InputError
        Where the folder is missing or not writable, or where `path` is a folder.
    """
    with _explained(path, ELSEWHERE):
        if path.is_dir():
            raise _error(errno.EISDIR)
        if not _is_written_into(path):
            temporary = _beside(path)
            temporary.touch(exist_ok=False)
            temporary.unlink()
        elif path.exists():
            if stat.S_ISSOCK(path.stat().st_mode) or not os.access(path, os.W_OK):
                raise _error(errno.EACCES)
        else:  # a link to what is to be made
            target = Path(os.path.realpath(path))
            if target.is_symlink() or not target.parent.is_dir():
                raise _error(errno.ENOENT)


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be made or written to, before the work is done whose results it is to hold.

    Raises
    ------
    InputError
        Where a file is in its way, or where nothing can be written.
    """
    with _explained(path, "give the name of a folder that you may write to"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # a name that is too long
        there = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
        if not there.is_dir():
            raise OSError(errno.ENOTDIR, f"{there} is no folder")
        temporary = _beside(there / "file")
        temporary.touch(exist_ok=False)
        temporary.unlink()


ELSEWHERE = "give the name of a file in a folder that exists and that you may write to"


def _is_written_into(path: Path) -> bool:
    return path.is_symlink() or (path.exists() and not path.is_file())


@contextlib.contextmanager
def _sink(path: Path) -> Iterator[BinaryIO]:
    """What to write into: where `path` is the output of this process, after what was printed, not over it."""
    for stream in (sys.stdout, sys.stderr):
        same = False
        with contextlib.suppress(OSError, ValueError):  # no file behind it, or not yet one at the path
            same = os.path.samestat(os.fstat(stream.fileno()), path.stat())
        if same:
            stream.flush()
            yield stream.buffer
            stream.flush()
            return
    with path.open("wb") as target:
        yield target


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}")


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@contextlib.contextmanager
def _explained(path: Path, remedy: str) -> Iterator[None]:
    try:
        if "\0" in str(path):
            raise _error(errno.EINVAL)
        yield
    except (OSError, UnicodeEncodeError) as error:  # the latter: a name that the file system cannot have
        raise InputError(
            f"{path} could not be written ({getattr(error, 'strerror', None) or error}): {remedy}."
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically, its line ends as they are; of a name that is not UTF-8 each such byte as an escape."""
    write_bytes(path, text.encode(errors="backslashreplace"))


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
        if _deep(content):
            raise ValueError
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not valid JSON: it was damaged or is not what it should be.") from None
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


def _deep(content: Any) -> bool:
    """Whether lists and objects are nested deeper than any file of ours: whoever walks through them would not end well."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(DEEPEST):
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
                 if isinstance(inner, dict | list)]  # fmt: skip
        if not level:
            return False
    return True


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
