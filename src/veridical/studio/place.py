"""The folder that a studio works in: what is in it, and nothing outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.core.files import open_regular, read_json
from veridical.core.lock import LOCK, is_held
from veridical.core.text import is_name, shown
from veridical.data.readers.imagefile import SUFFIXES
from veridical.data.readers.runs import is_run
from veridical.recipes.table import RECIPES
from veridical.scoring.reviewed import is_review

DEEPEST, MOST = 4, 2000  # folders that are looked through
GENERATOR = '<meta name="generator" content="veridical '
MADE = ("phantom:", "skimage:")  # images that are no files
REVIEWS, EDITS, SAMPLES, RUNS, AUDITS = (
    "reviews",
    "edits",
    "samples",
    "runs",
    "audits",
)  # folders that the studio writes to


class Place:
    """A folder; names in it are relative, with slashes.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If it is no folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give one that holds your images and runs.")
        self.folder = folder

    @property
    def review_alone(self) -> bool:
        """Whether the folder is itself a review: then that is all there is."""
        return is_review(self.folder)

    def spec(self, name: str) -> str:
        """Images by their name, as the commands take them.

        Raises
        ------
        InputError
            For what lies elsewhere.
        """
        if name.startswith(MADE):
            return name
        path = os.path.normpath(os.path.join(os.path.abspath(self.folder), name))
        if not name.strip() or "\0" in name or not Path(path).is_relative_to(os.path.abspath(self.folder)):
            raise InputError(f"{shown(name)} is not in the folder of this studio: give what lies in {self.folder}.")
        return os.path.normpath(os.path.join(self.folder, name))

    def path(self, name: str) -> Path:
        """A file or folder by its name; see `spec`."""
        return Path(self.spec(name))

    def name(self, path: Path) -> str:
        """The name of what lies in the folder."""
        return os.path.relpath(path, self.folder).replace(os.sep, "/")

    def new(self, kind: str, name: str) -> Path:
        """The path of a folder that the studio is to write.

        Raises
        ------
        InputError
            If the name is none, or is there.
        """
        if not is_name(name):
            raise InputError(f"{shown(name)!r} is no name of a folder: use letters, digits and '-'.")
        path = self.folder / kind / name
        if os.path.lexists(path):
            raise InputError(f"{path} is there: choose another name.")
        return path

    def found(self) -> dict[str, Any]:
        """What the folder holds: reviews, runs, images, those of them that were drawn, pages of audits and benches."""
        held: dict[str, list[Any]] = {
            "reviews": [],
            "runs": [],
            "images": [],
            "samples": [],
            "audits": [],
            "reports": [],
        }
        if self.review_alone:
            return held | {"reviews": ["."]}
        for path, files in self._folders():
            name = self.name(path)
            for file in sorted(files):
                if file.endswith(".html") and (kind := _kind_of(path / file)):
                    held[kind].append(self.name(path / file))
            if is_review(path):
                held["reviews"].append(name)
            elif is_begun(path):
                held["runs"].append({"name": name, **_of_run(path)})
            elif any(file.lower().endswith(tuple(SUFFIXES)) for file in files):
                held["images"].append(name)
                if {"provenance.json", "grid.png"} <= {*files}:
                    held["samples"].append(name)
        held["runs"].sort(key=lambda run: run["name"])
        for kind in held.keys() - {"runs"}:
            held[kind].sort()
        return held

    def _folders(self) -> Iterator[tuple[Path, list[str]]]:
        """Folders to look at; of runs and reviews only themselves."""
        for looked, (where, folders, files) in enumerate(os.walk(self.folder)):
            path = Path(where)
            inside = is_review(path) or is_begun(path)
            deep = len(path.relative_to(self.folder).parts) >= DEEPEST
            folders[:] = [] if inside or deep or looked > MOST else sorted(n for n in folders if n[0] not in "._")
            yield path, files


def is_begun(folder: Path) -> bool:
    """Whether a folder is a run, or will be one after its first stage."""
    return is_run(folder) or ((folder / LOCK).is_file() and (folder / "first").is_dir())


def _of_run(folder: Path) -> dict[str, Any]:
    """What the page has to know of a run."""
    info = read_json(folder / "run.json", dict[str, Any]) if is_run(folder) else {}
    recipe, finished = info.get("recipe"), info.get("finished") is True
    row = RECIPES.get(recipe) if isinstance(recipe, str) else None
    return {
        "recipe": recipe, "finished": finished, "at_work": not finished and is_held(folder),
        "needs": list(row.needs) if row else [], "draws": row is None or row.draws,
    }  # fmt: skip


def _kind_of(page: Path) -> str:
    """``audits`` or ``reports`` of a page that veridical wrote; an empty text of any other."""
    try:
        with open_regular(page) as file:
            head = file.read(1000).decode("utf-8", "replace")
    except InputError:
        return ""
    title = head.partition("<title>")[2]
    return "" if GENERATOR not in head else "audits" if title.startswith("Audit:") else "reports"
