"""A folder of edited images: each with where it was to change and where it did, gone on with where it stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import read_json, write_json
from veridical.data.images import channels_first, save_png, suffix_of, to_grid, write_counts
from veridical.data.inside import inside_of
from veridical.data.readers.imagefile import read_image
from veridical.data.slices import Slices
from veridical.data.window import IntensityWindow
from veridical.editing.edit import Edited
from veridical.editing.grey import coding_errors, remarks
from veridical.editing.jobs import Job
from veridical.runs.run import Run
from veridical.runs.samples import is_new

PROVENANCE, GRID = "provenance.json", "grid.png"
FOLDERS = ("masks", "changed", "maps")  # of PNG files beside the images
SHOWN = 8  # images on the grid, each with what it was and where it changed


class Results:
    """Edited images in a folder.

    Parameters
    ----------
    path : Path
        New, empty, or with some of these images.
    about : dict
        What ``provenance.json`` says of all images, JSON-able: two calls that are equal here give equal images.
    jobs : sequence of Job
    slices : Slices
        The images as they came.
    window : IntensityWindow
        Whose width changes are told in.
    run : Run, optional
        What edited them, if it is here.

    Raises
    ------
    InputError
        If the folder holds something else, or an image has the name of what stands beside the images.
    """

    def __init__(
        self, path: Path, about: dict[str, Any], jobs: Sequence[Job], slices: Slices, window: IntensityWindow,
        run: Run | None = None,
    ) -> None:  # fmt: skip
        self._path, self._about, self._jobs, self._slices = path, about, jobs, slices
        self._window, self._run = window, run
        self._suffix = suffix_of(slices.dtype)
        self._there: dict[int, dict[str, Any]] = {}
        for job in jobs:
            file = f"{job.name}{self._suffix}"
            if file == GRID or (self._suffix == ".png" and job.name.split("/")[0] in FOLDERS and "/" in job.name):
                raise InputError(
                    f"the image {job.name} cannot be edited, as {path / file} is of another picture: rename it."
                )
        if (path / PROVENANCE).is_file():
            self._resume()
        elif not is_new(path):
            raise InputError(f"{path} is not empty: choose another --out.")

    def has(self, job: Job) -> bool:
        """Whether an image was edited before."""
        return job.number in self._there

    def add(
        self, jobs: Sequence[Job], before: NDArray[Any], after: NDArray[Any], edited: Edited, seconds: float,
        more: Sequence[dict[str, Any]] = (),
    ) -> None:  # fmt: skip
        """Write what became of some images, counts (N, C, H, W), which took some seconds; the record says `more` of each."""
        errors = None if self._run is None else coding_errors(self._run, before)
        for k, job in enumerate(jobs):
            if not self.has(job):
                said = self._written(job, before[k], after[k], edited, k)
                said |= {} if errors is None else {"coding_error": float(errors[k])}
                said |= {} if edited.chroma is None else {"chroma": float(edited.chroma[k])}
                said |= more[k] if more else {}
                self._there[job.number] = said | {"seconds": round(seconds / len(jobs), 3)}
        self._record()

    @property
    def notes(self) -> list[str]:
        """What the user should know of what was made."""
        still = [said["image"] for said in self._there.values() if said["changed_share"] == 0]
        found = [f"{len(still)} of {len(self._there)} images did not change, such as {still[0]}"] if still else []
        said = list(self._there.values())
        errors, colour = ([one[name] for one in said if name in one] for name in ("coding_error", "chroma"))
        found += remarks(errors, colour)
        return [*found, *dict.fromkeys(note for said in self._there.values() for note in said.get("notes", ()))]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """However the block ends: the record says which images there are, and the grid shows the first."""
        yield  # images are recorded as they are written
        self._show()

    def _resume(self) -> None:
        path = self._path / PROVENANCE
        held = read_json(path, dict[str, Any])
        for name, value in json.loads(json.dumps(self._about)).items():
            if held.get(name) != value:
                raise InputError(
                    f"{self._path} holds images that were edited with other {name}: choose another --out, or give the command "
                    "that they were edited with to go on."
                )
        known = {job.number: json.loads(json.dumps(job.said)) for job in self._jobs}
        images = held.get("images")
        for said in images if isinstance(images, list) else []:
            number = said.get("number") if isinstance(said, dict) else None
            job = known.get(number) if isinstance(number, int) else None
            if job is None or any(said.get(name) != value for name, value in job.items()):
                raise InputError(f"{path} is of other images, prompts or masks, or was damaged: choose another --out.")
            if (self._path / said["file"]).is_file():
                self._there[said["number"]] = said

    def _written(self, job: Job, before: NDArray[Any], after: NDArray[Any], edited: Edited, k: int) -> dict[str, Any]:
        """Write one image (C, H, W), row `k` of what was edited together; what is said of it."""
        picture, file = f"{job.name}.png", f"{job.name}{self._suffix}"
        there = edited.placed(np.ones(before.shape[1:], bool))  # the others are new
        before = edited.placed(before)
        same = (before == after) | (np.isnan(before) & np.isnan(after) if before.dtype.kind == "f" else False)
        changed = ~(same.all(0) & there)
        region = edited.mask[k] if edited.mask is not None else np.ones_like(changed)
        inside = inside_of(self._about, edited=not region.all())
        self._put(file, partial(write_counts, counts=after, pixel_size=self._slices.pixel_size, inside=inside))
        self._put(f"masks/{picture}", partial(save_png, array=_bytes(region)))
        self._put(f"changed/{picture}", partial(save_png, array=_bytes(changed)))
        for name, maps in edited.maps.items():
            if np.isnan(maps[k]).all():  # an image whose prompts do not say the word
                continue
            self._put(f"maps/{job.name}_{name}.png", partial(save_png, array=_bytes(maps[k])))
        measured = np.isfinite(before) & np.isfinite(after)
        change = np.abs(np.subtract(after, before, where=measured, out=np.zeros(before.shape), dtype=np.float64))
        return {
            "file": file,
            "synthetic": True,
            **job.said,
            "changed_share": float(changed.mean()),
            "mean_change": float(change[:, there].mean() / (self._window.high - self._window.low)),
            **({} if there.all() else {"origin": list(edited.origin)}),
            **({"notes": list(edited.notes)} if edited.notes else {}),
        }

    def _put(self, name: str, write: Callable[[Path], None]) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)

    def _record(self) -> None:
        images = [self._there[job.number] for job in self._jobs if job.number in self._there]
        write_json(self._path / PROVENANCE, self._about | {"images": images})

    def _show(self) -> None:
        """Write the grid: before, after and where they differ, of the first images of one size."""
        path = self._path / GRID
        shown = [job for job in self._jobs if self.has(job) and job.shape == self._jobs[0].shape][:SHOWN]
        if path.exists() or not shown:
            return
        rows: list[Images] = []
        for job in shown:
            said = self._there[job.number]
            after = self._unit(read_image(self._path / said["file"]))
            before = Edited(after, origin=said.get("origin", (0, 0))).placed(self._unit(self._slices[job.number]))
            changed = (read_image(self._path / "changed" / f"{job.name}.png") > 0).astype(np.float32)
            if not rows or after.shape == rows[0].shape:  # with other margins, others do not fit
                rows += [before, after, np.broadcast_to(changed, after.shape)]
        images = np.stack(rows)
        save_png(path, to_grid(images, columns=6 if len(rows) > 3 else 3, scale=max(1, 128 // images.shape[-1])))

    def _unit(self, counts: NDArray[Any]) -> Images:
        return np.asarray(channels_first(self._window.to_unit(counts[None]))[0])


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Of [0, 1], or of yes and no, to 8 bits."""
    return np.clip(np.rint(255.0 * values), 0, 255).astype(np.uint8)
