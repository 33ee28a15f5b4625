"""Edits of one image with a painted mask: what `veridical edit` writes, in a thread of its own."""

from __future__ import annotations

import csv
import io
import itertools
import shlex
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.core.files import read_json, write_text
from veridical.core.progress import hearing
from veridical.data.images import channels_first, save_png
from veridical.data.readers.imagefile import read_image
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow, fit_window
from veridical.editing.folder import edit
from veridical.recipes import table
from veridical.runs.folder import read_run
from veridical.server.pictures import read_mask
from veridical.server.worker import Worker
from veridical.studio.place import EDITS, Place

INSTRUCTED = "instruct_pix2pix"
HOWS = ("inpaint", "sdedit")  # with a mask, of any other diffusion system
LEAST, MARGIN = 192, 32  # pixels that are shown of a result along each side, and around its mask
KEPT = 64  # edits that can be looked at


@dataclass(frozen=True)
class Asked:
    """An edit: specs of run and images as the commands take them, the name of the image, what to do with it."""

    run: str
    images: str
    image: str
    how: str
    prompt: str
    strength: float | None
    seed: int


@dataclass
class Job:
    """An edit that waits, runs or is done; `folder` holds its mask and, in ``edited``, its results."""

    asked: Asked
    folder: Path
    device: str
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    rows: int = 1
    share: float = 0.0
    stopping: bool = False

    @property
    def key(self) -> int:
        """Edits are not done together."""
        return id(self)

    @property
    def out(self) -> Path:
        """What the command would be given as ``--out``."""
        return self.folder / "edited"

    @property
    def settings(self) -> dict[str, Any]:
        """Of the edit."""
        return {} if self.asked.strength is None else {"strength": self.asked.strength}

    def command(self) -> str:
        """The same in a terminal."""
        asked = self.asked
        words = [
            "veridical",
            "edit",
            asked.run,
            asked.images,
            "--how",
            asked.how,
            "--table",
            str(self.folder / "edit.csv"),
        ]
        words += [
            *(["--strength", str(asked.strength)] if asked.strength is not None else ()),
            "--seed",
            str(asked.seed),
        ]
        return shlex.join([*words, "--out", str(self.out)])

    def do(self) -> dict[str, Any]:
        """Edit; what the provenance says of the image."""
        try:
            with hearing(self._reached):
                edit(
                    self.asked.run, self.asked.images, self.out, self.asked.how, table=self.folder / "edit.csv",
                    settings=self.settings, seed=self.asked.seed, device=self.device, quiet=True,
                )  # fmt: skip
        finally:
            self.ended = time.monotonic()
        said: dict[str, Any] = read_json(self.out / "provenance.json", dict[str, Any])
        one: dict[str, Any] = said["images"][0]
        return one | {"notes": [*said.get("notes", []), *one.get("notes", [])]}

    def _reached(self, share: float, note: str) -> None:
        self.share = share
        if self.stopping:
            raise _Stopped


class _Stopped(Exception):
    """Somebody asked for that."""


class Painting:
    """The edits of a studio.

    Parameters
    ----------
    place : Place
    device : str
    """

    def __init__(self, place: Place, device: str = "auto") -> None:
        self._place, self._device = place, device
        self._jobs: dict[str, tuple[Job, Future[Any]]] = {}
        self._lock = threading.Lock()
        self.worker = Worker(_do, 1, lambda images, seconds: None)

    def names(self, images: str) -> list[str]:
        """Of the images of a set."""
        return list(open_slices(self._place.spec(images)).names)

    def able(self, run: str) -> dict[str, Any]:
        """What a run can be asked for.

        Raises
        ------
        InputError
            If it is no run.
        """
        info = read_run(self._place.path(run))
        needs = {*table.find(info.recipe).needs}
        hows = (INSTRUCTED,) if info.recipe == INSTRUCTED else HOWS if needs <= {"text"} else ()
        return {"recipe": info.recipe, "size": info.size, "hears": "text" in needs, "hows": hows}

    def picture(self, images: str, image: str, run: str | None) -> bytes:
        """An image in the intensity window of a run, or where there is none in its own, as PNG of 8 bits for looking at."""
        counts = _counts(self._place.spec(images), image)
        return _png(counts, None if run is None else _window(self._place.path(run), counts))

    def start(self, asked: Asked, mask: bytes, most: int) -> str:
        """Write the mask and begin; the name of the job.

        Raises
        ------
        InputError
            If the mask is no PNG whose alpha is 0 where the image may change, of the size of the image.
        """
        spec = Asked(
            self._place.spec(asked.run), self._place.spec(asked.images), asked.image, asked.how, asked.prompt.strip(),
            asked.strength if asked.how == "sdedit" else None, asked.seed,
        )  # fmt: skip
        height, width = _counts(spec.images, asked.image).shape[:2]
        marked = read_mask(mask, f"{width}x{height}", most)
        with self._lock:
            folder = self._new()
            folder.mkdir(parents=True)
        save_png(folder / "mask.png", np.where(marked, np.uint8(255), np.uint8(0)))
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerows([["image", "mask", "prompt"], [asked.image, "mask.png", spec.prompt]])
        write_text(folder / "edit.csv", text.getvalue())
        job = Job(spec, folder, self._device)
        self._jobs[folder.name] = job, self.worker.submit(job)
        while len(self._jobs) > KEPT:
            self._jobs.pop(next(iter(self._jobs)))
        return folder.name

    def state(self, name: str) -> dict[str, Any]:
        """How far a job is, and what came of it."""
        job, future = self._found(name)
        seconds = round((job.ended or time.monotonic()) - job.began, 1)
        about = {"seconds": seconds, "share": job.share, "folder": str(job.out), "command": job.command()}
        if not future.done():
            return {"state": "running" if future.running() else "waiting", **about}
        if future.cancelled() or isinstance(error := future.exception(), _Stopped):
            shutil.rmtree(job.folder, ignore_errors=True)
            return {"state": "stopped", **about}
        if error is None:
            return {"state": "done", **about, "said": future.result()}
        if not job.out.exists():  # nothing to go on with
            shutil.rmtree(job.folder, ignore_errors=True)
        if not isinstance(error, InputError):
            raise error
        return {"state": "failed", "error": str(error), **about}

    def stop(self, name: str) -> dict[str, Any]:
        """End a job after the evaluation that it is at, or before its turn; its state."""
        job, future = self._found(name)
        job.stopping = True
        future.cancel()
        return self.state(name)

    def result(self, name: str, which: str) -> bytes:
        """``before``, ``after``, ``masks`` or ``changed`` of a job that is done, around its mask, as PNG of 8 bits."""
        job, future = self._found(name)
        if self.state(name)["state"] != "done":
            raise InputError(f"the edit {name} has no result: wait for it.")
        place = _around(read_image(job.out / "masks" / f"{job.asked.image}.png") > 0)
        if which in ("masks", "changed"):
            counts = read_image(job.out / which / f"{job.asked.image}.png")
            return _png(counts[place], IntensityWindow(0.0, 255.0, "uint8"))
        before = which == "before"
        counts = _counts(job.asked.images, job.asked.image) if before else read_image(job.out / future.result()["file"])
        window = _window(Path(job.asked.run), counts) or fit_window([counts[None]], counts.dtype, ())
        return _png(counts[place], window)

    def _found(self, name: str) -> tuple[Job, Future[Any]]:
        if name not in self._jobs:
            raise InputError(f"there is no edit {name} of this studio since it was started: look into {EDITS}/.")
        return self._jobs[name]

    def _new(self) -> Path:
        names = (f"{k:04d}" for k in itertools.count(1))
        return next(path for path in map((self._place.folder / EDITS).joinpath, names) if not path.exists())


def _counts(spec: str, image: str) -> NDArray[Any]:
    slices = open_slices(spec)
    if image not in slices.names:
        raise InputError(f"{spec} has no image {image!r}: choose another.")
    return np.asarray(slices[slices.names.index(image)])


def _window(run: Path, counts: NDArray[Any]) -> IntensityWindow | None:
    """That of a run, if it is for such counts."""
    window = read_run(run).window
    return window if window.dtype == counts.dtype.name else None


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of what a mask marks, and of some of what stands around it."""
    places = []
    for axis, side in enumerate(mask.shape):
        marked = np.flatnonzero(mask.any(1 - axis))
        low, high = (int(marked[0]), int(marked[-1]) + 1) if len(marked) else (0, side)
        wide = min(side, max(LEAST, high - low + 2 * MARGIN))
        start = min(max(0, (low + high - wide) // 2), side - wide)
        places.append(slice(start, start + wide))
    return places[0], places[1]


def _do(jobs: Sequence[Job]) -> list[Any]:
    return [job.do() for job in jobs]


def _png(counts: NDArray[Any], window: IntensityWindow | None) -> bytes:
    """Counts (H, W) or (H, W, 3) for a screen; without a window in one of their own."""
    window = window or fit_window([counts[None]], counts.dtype, ())
    unit = channels_first(window.to_unit(counts[None]))[0]
    pixels = np.rint(np.clip(np.nan_to_num(unit), 0, 1) * 255).astype(np.uint8)
    return bytes(
        imagecodecs.png_encode(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    )
