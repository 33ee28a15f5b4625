"""The folder that a studio works in: what is in it, and nothing outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.core.text import is_name, shown
from veridical.data.readers.imagefile import SUFFIXES
from veridical.data.readers.runs import is_run
from veridical.scoring.reviewed import is_review

DEEPEST, MOST = 4, 2000  # folders that are looked through
MADE = ("phantom:", "skimage:")  # images that are no files
REVIEWS, EDITS, SAMPLES, RUNS = "reviews", "edits", "samples", "runs"  # folders that the studio writes to


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
        """What the folder holds: reviews, runs, images."""
        if self.review_alone:
            return {"reviews": ["."], "runs": [], "images": []}
        reviews, runs, images = [], [], []
        for path, files in self._folders():
            name = path.relative_to(self.folder).as_posix()
            if is_review(path):
                reviews.append(name)
            elif is_run(path):
                runs.append({"name": name, "recipe": read_json(path / "run.json", dict[str, Any]).get("recipe")})
            elif any(file.lower().endswith(tuple(SUFFIXES)) for file in files):
                images.append(name)
        return {"reviews": sorted(reviews), "runs": sorted(runs, key=lambda run: run["name"]), "images": sorted(images)}

    def _folders(self) -> Iterator[tuple[Path, list[str]]]:
        """Folders to look at; of runs and reviews only themselves."""
        for looked, (where, folders, files) in enumerate(os.walk(self.folder)):
            path = Path(where)
            inside = is_review(path) or is_run(path)
            deep = len(path.relative_to(self.folder).parts) >= DEEPEST
            folders[:] = [] if inside or deep or looked > MOST else sorted(n for n in folders if n[0] not in "._")
            yield path, files
