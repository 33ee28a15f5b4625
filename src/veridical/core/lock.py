"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from veridical.core.errors import InputError
from veridical.core.files import remove_leftovers

LOCK = ".lock"
PATIENCE = 0.2  # seconds in which `is_held` of another process has long let go


@contextlib.contextmanager
def alone(folder: Path, work: str, patience: float = PATIENCE) -> Iterator[None]:
    """Make a folder, keep others out of it, and remove what a killed process was writing there.

    The system ends the lock with the process, however that ends; its file stays. Of processes that torchrun started the first
    holds it for all.

    Parameters
    ----------
    folder : Path
    work : str
        What is done there, for the error.
    patience : float
        Seconds to wait for somebody who is at work there.

    Raises
    ------
    InputError
        If the folder cannot be made or written, or somebody is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}): choose another --out.") from error
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    # A file of its own: others are replaced, and a lock stays with the old file.
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another {work} is at work there: wait for it, or choose another --out.") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be locked ({error.strerror or error}): choose another --out.") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process, on this machine or another that sees the disk, is at work in a folder.

    The lock is tried: who asks at that very moment has to wait a little, see `alone`.
    """
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that may not be written to: nobody here works in it
        return False
