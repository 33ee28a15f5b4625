"""Files that are whole or not there: written under a temporary name and renamed. JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError


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


def write_array(path: Path, array: np.ndarray) -> None:
    """Write NPY atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically (NaN is refused)."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; an `InputError` names a file that is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: it was damaged or is not what it should be.") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
