"""``PATH[:INSIDE][?NAME=VALUE&NAME=VALUE]``: where images are, which array of a file, and how it is to be read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from veridical.core.errors import InputError

HOLDERS = (".h5", ".hdf5", ".hdf", ".nxs", ".zarr")  # files and folders with arrays inside


class Spec(NamedTuple):
    """A file or folder, the path inside it (or None), and options such as ``{"channel": "DAPI"}``."""

    path: Path
    inside: str | None
    options: dict[str, str]


def parse_spec(spec: str | Path) -> Spec:
    """Take a specification of images apart; what exists under the whole text is a plain path.

    Parameters
    ----------
    spec : str or Path
        ``scan.h5:/exchange/data``, ``stack.ome.tif?channel=DAPI``, ``volume.npy?axes=zcyx&channel=1``.

    Raises
    ------
    InputError
        If an option has no value, or is given twice.
    """
    text = os.fspath(spec)
    whole = Path(text).expanduser()
    if _exists(whole):
        return Spec(whole, None, {})
    before, mark, query = text.rpartition("?")
    options: dict[str, str] = {}
    if mark:
        pairs = parse_qsl(query, keep_blank_values=True)
        for name, value in pairs:
            if name in options or not value:
                what = "is given twice" if name in options else "has no value"
                raise InputError(f"{text}: {name} {what}: write for example {before}?channel=0")
            options[name] = value
        if not pairs:
            raise InputError(f"{text}: nothing follows the question mark: write for example {before}?channel=0")
        text = before
    suffixes = "|".join(suffix[1:] for suffix in HOLDERS)
    match = re.fullmatch(rf"(.+?\.(?:{suffixes})):(.+)", text, re.IGNORECASE | re.DOTALL)
    if match and not _exists(Path(text).expanduser()):
        return Spec(Path(match[1]).expanduser(), match[2], options)
    return Spec(Path(text).expanduser(), None, options)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return False
