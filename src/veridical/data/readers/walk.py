"""Which files lie below a folder: each once, whatever links lead to it, and a count of what is left aside."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.core.limits import check_cost
from veridical.data.readers.runs import is_run

# Files that the package itself reads or writes beside images.
_OWN = {
    "labels.csv", "properties.csv", "split.csv", "captions.jsonl", "metadata.jsonl", "provenance.json",
    "run.json", "sources.md", "readme.md", "readme.txt", "license", "license.txt",
}  # fmt: skip


class Files(NamedTuple):
    """Files below a folder in natural order (img2 before img10), and how many of what kind were left aside."""

    found: list[Path]
    aside: Counter[str]


def walk(folder: Path, suffixes: Sequence[str], outside: bool = False) -> Files:
    """Regular files with one of the suffixes below `folder`; hidden ones, folders called ``known_bad`` and run
    folders are left out.

    A file or folder to which several paths lead is found once, under a path without links if there is one. A link to a
    folder that holds `folder` is not followed, and none that leads out of it unless `outside`: somebody else's data could
    show files of the user's.

    Parameters
    ----------
    folder : Path
    suffixes : sequence of str
        In lower case.
    outside : bool
        Whether links may lead out of the folder.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    root = Path(os.path.realpath(folder))
    holding = {str(path) for path in (root, *root.parents)}
    visited: set[str] = set()
    found: list[Path] = []
    others: list[Path] = []
    links: deque[Path] = deque()
    aside: Counter[str] = Counter()

    def take(path: Path, real: str) -> None:
        if real in visited:
            aside["link to a file that is here anyway"] += 1
        elif not os.path.isfile(path):  # a pipe or a device
            aside["what is no regular file"] += 1
        elif path.name.lower().endswith(tuple(suffixes)):
            visited.add(real)
            found.append(path)
        else:
            others.append(path)

    queue = [folder]
    while queue or links:
        linked = not queue  # what links lead to comes last: all else has been seen under its own path by then
        here = queue.pop() if queue else links.popleft()
        real = os.path.realpath(here)
        leads_out = linked and not Path(real).is_relative_to(root) and real not in holding
        if leads_out and not outside and (os.path.isfile(real) or os.path.isdir(real)):
            aside["link out of the folder (?outside=yes follows it)"] += 1
            continue
        if linked and not os.path.isdir(here):
            if os.path.exists(here):
                take(here, real)
            else:
                aside["broken link"] += 1
            continue
        if real in visited or (linked and real in holding):
            aside["link to a folder that is here anyway"] += linked
            continue
        visited.add(real)
        names = sorted(os.listdir(here))
        own = {"grid.png"} if "provenance.json" in names else set()  # `veridical sample` writes a picture of its images
        for name in names:
            path = here / name
            if name.startswith(".") or name == "Thumbs.db":
                aside["hidden"] += 1
            elif path.is_symlink():
                links.append(path)
            elif path.is_dir():
                if name == "known_bad" or name.lower().endswith(".zarr") or is_run(path):
                    aside[f"{name}/"] += 1
                else:
                    queue.append(path)
            elif name not in own:
                take(path, os.path.join(real, name))
        check_cost(folder, images=len(visited) + len(others) + len(links))
    captioned = {path.with_suffix(".txt") for path in found}
    for path in others:
        if path.name.lower() not in _OWN and path not in captioned:
            suffix = path.suffix.lower()
            aside[suffix if suffix.isprintable() and 0 < len(suffix) <= 12 else "of no known kind"] += 1
    found.sort(key=lambda path: natural(os.path.relpath(path, folder).replace(os.sep, "/")))
    return Files(found, +aside)


def said(aside: Mapping[str, int]) -> list[str]:
    """The note on what was left aside, if anything was."""
    kinds = [kind if kind.endswith("/") else f"{count} {kind}" for kind, count in sorted(aside.items())]
    return [f"left aside: {', '.join(kinds)}"] if kinds else []


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers in text by their value."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text)]
