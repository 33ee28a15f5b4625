"""Files that a file refers to: they stay within its folder, are there, and are regular files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import check_regular

OUTSIDE = "outside"  # the option that lets files refer to any place


def allows_outside(name: object, options: Mapping[str, str]) -> bool:
    """Whether the option ``outside=yes`` is given; an InputError for another value."""
    if options.get(OUTSIDE, "no") not in ("yes", "no"):
        raise InputError(f"{name}: {OUTSIDE}={options[OUTSIDE]} is neither yes nor no")
    return options.get(OUTSIDE) == "yes"


def companion(of: Path, name: str, root: Path, outside: bool) -> Path:
    """A file that the file `of` refers to.

    Parameters
    ----------
    of : Path
        The name is relative to its folder.
    name : str
    root : Path
        Folder of the data, that nothing may lead out of.
    outside : bool
        Whether it may nevertheless.

    Returns
    -------
    Path
        Without links.

    Raises
    ------
    InputError
        If it lies elsewhere, is missing, or is no regular file: names it.
    """
    if "\0" in name:
        raise InputError(f"{of}: refers to a file whose name no file can have; it is damaged")
    found = Path(os.path.realpath(of.parent / name))
    if not outside and not found.is_relative_to(os.path.realpath(root)):
        raise InputError(
            f"{of}: refers to {name}, outside its folder; copy that file into it, or trust it with ?outside=yes"
        )
    if not found.exists():
        raise InputError(f"{of}: refers to {name}, which is not there; copy that file to its place beside it")
    check_regular(found)
    return found
