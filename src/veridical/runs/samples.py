"""A folder of samples: written image by image as they are drawn, its provenance too, and gone on with where it stopped."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.request import Asked
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import read_bytes, read_json, replacing
from veridical.data.images import channels_first, save_png, suffix_of, to_grid, write_counts
from veridical.data.inside import inside_of
from veridical.data.masks import paint, stored
from veridical.data.readers.imagefile import read_image
from veridical.data.window import IntensityWindow
from veridical.recipes.info import RunInfo

PROVENANCE, GRID, CAPTIONS = "provenance.json", "grid.png", "captions.jsonl"
PARTS = ".drawn-{}.json"  # what a process beside the first has drawn so far; gone when all is drawn
RESPONSES = "responses"  # folder of the answers of a hosted generator, there before the first image
SHOWN = 64  # images on the grid, and of large ones fewer: no more pixels than
SHOWN_PIXELS = 2**22
EVERY = 10.0  # seconds between records of what was drawn; they never take more than 5 % of the time


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than samples.

    Raises
    ------
    InputError
        Names the folder.
    """
    if not is_new(folder) and not (folder / PROVENANCE).is_file():
        raise InputError(f"{folder} is not empty: choose another --out.")


def is_new(folder: Path) -> bool:
    """Whether a folder is not there, or holds nothing but answers of a hosted generator."""
    return not folder.exists() or (folder.is_dir() and {path.name for path in folder.iterdir()} <= {RESPONSES})


def few_of(info: RunInfo) -> dict[str, Any]:
    """Which tiles a run was trained on, where it was told: how many, how many had labels, the focus they were drawn by."""
    few = {"limit": info.config.limit, "label_tiles": info.config.label_tiles, "focus": info.dataset.get("focus")}
    return {name: said for name, said in few.items() if said}


class Samples:
    """The images of one request in a folder; image k is in the same file whatever was drawn before.

    Parameters
    ----------
    folder : Path
        New, empty, or with some of these images.
    about : dict
        What ``provenance.json`` says of all images, JSON-able: two requests that are equal here give equal images.
    window : IntensityWindow
    asked : Asked
        Conditions of the images.
    pixel_size : float or None
        Micrometres.
    mask_values : sequence of int, optional
        The stored value of each class of label images that are drawn with the images.
    rank : int
        Of the processes that draw into one folder: the first writes what is of the whole folder, each other its images and a
        record of its own (see `veridical.runs.sharing`).

    Raises
    ------
    InputError
        If the folder holds images of another request.
    """

    def __init__(
        self,
        folder: Path,
        about: dict[str, Any],
        window: IntensityWindow,
        asked: Asked,
        pixel_size: float | None,
        mask_values: Sequence[int] | None = None,
        rank: int = 0,
    ) -> None:
        self._folder, self._about, self._window, self._asked = folder, about, window, asked
        self._rank = rank
        self._pixel_size, self._mask_values = pixel_size, mask_values
        self._suffix, self._inside = suffix_of(window.dtype), inside_of(about)
        self.there = bytearray(asked.n)
        self.measured: dict[str, float] = {}  # what else the record says of all images that were drawn by this call
        self.seconds = 0.0  # that drawing the images of the record took
        self._saved, self._pause = time.monotonic(), 0.0
        self._changed = False
        if (folder / PROVENANCE).is_file():
            for path in (folder / PROVENANCE, *self._parts()):
                self._resume(path)
        self._mine = self.there if rank == 0 else bytearray(asked.n)
        if rank:
            self.seconds = 0.0

    def lacks(self, numbers: range) -> bool:
        """Whether one of these images is yet to be drawn."""
        return not all(self.there[numbers.start : numbers.stop])

    def add(self, numbers: range, images: Images, seconds: float, drawn: np.ndarray | None = None) -> None:
        """Write those of images (N, C, H, W) in [0, 1] that are not there; drawing them took some seconds.

        `drawn` are the class numbers (N, H, W) of label images that were drawn with them.

        Raises
        ------
        InputError
            If another file has the name of one, or if the disk is full.
        """
        self.begin()
        self.seconds += seconds
        for row, (k, image) in enumerate(zip(numbers, images, strict=True)):
            if not self.there[k]:
                mask = self._asked.mask(k) if drawn is None else stored(drawn[row], self._mask_values or ())
                if mask is not None:
                    (self._folder / "masks").mkdir(exist_ok=True)
                    self._write(self._mask_file(k), partial(save_png, array=paint(mask)))
                counts = self._window.from_unit(image)
                write = partial(write_counts, counts=counts, pixel_size=self._pixel_size, inside=self._inside)
                self._write(self._file(k), write)
                self.there[k] = self._mine[k] = 1
        self._show()
        if time.monotonic() - self._saved > max(EVERY, 20 * self._pause):
            self.record()

    def begin(self) -> None:
        """From now on the folder is of this request; its record has what other processes recorded."""
        if not self._changed:
            self._changed = True
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write_whole()

    def told(self, there: Sequence[float], seconds: float) -> None:
        """Hear which images all processes have drawn, in how many seconds in all."""
        if self._rank == 0:
            self.there[:] = bytes(map(bool, there))
            self.seconds, self._changed = seconds, True

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """However the block ends: the record says which images there are."""
        try:
            yield
        except BaseException:
            if self._changed:
                with contextlib.suppress(InputError, OSError):  # a full disk was said already
                    self.record()
            raise
        if self._rank == 0 and (self._changed or not (self._folder / GRID).exists() or self._parts()):
            self._show()
            self._write_whole()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob(PARTS.format("*")))

    def _write_whole(self) -> None:
        """Record what was drawn; the first process has read what others recorded, and removes it."""
        self.record()
        if self._rank == 0:
            for path in self._parts():
                path.unlink(missing_ok=True)

    def _resume(self, path: Path) -> None:
        held = read_json(path, dict[str, Any])
        for name, value in json.loads(json.dumps(self._about)).items():
            if name not in held:
                raise InputError(f"{path} does not say {name!r}: it is of another version; choose another --out.")
            if held[name] != value:
                raise InputError(
                    f"{self._folder} holds samples that were drawn with another {name}: choose another --out, or give the "
                    "command that they were drawn with to go on."
                )
        images, before = held.get("images"), sum(self.there)
        for image in images if isinstance(images, list) else []:
            k = image.get("number") if isinstance(image, dict) else None
            if not isinstance(k, int) or not 0 <= k < len(self.there) or image != self._said(k):
                raise InputError(f"{path} was damaged, or is of other conditions: choose another --out.")
            bare = self._asked.mask(k) is None and self._mask_values is None
            masked = bare or self._mask_file(k).is_file()
            self.there[k] |= masked and self._file(k).is_file()
        rate = held.get("seconds_per_image")
        self.seconds += rate * (sum(self.there) - before) if isinstance(rate, int | float) else 0.0

    def _name(self, k: int) -> str:
        return f"{self._about['recipe']}_{k:05d}"

    def _file(self, k: int) -> Path:
        return self._folder / f"{self._name(k)}{self._suffix}"

    def _mask_file(self, k: int) -> Path:
        return self._folder / "masks" / f"{self._name(k)}.png"

    def _said(self, k: int) -> dict[str, Any]:
        """What the provenance says of image k, as it comes back from JSON."""
        words = self._asked.words(k)
        said = {"file": self._file(k).name, "number": k, "synthetic": True} | ({"condition": words} if words else {})
        return dict(json.loads(json.dumps(said)))

    def _tell_prompts(self) -> None:
        """Write the prompts as captions, so that the folder is a captioned set."""
        if "text" not in self._said(0).get("condition", {}):
            return
        with replacing(self._folder / CAPTIONS) as temporary, temporary.open("w", encoding="utf-8") as file:
            for k in (k for k in range(len(self._mine)) if self._mine[k]):
                said = self._said(k)
                row = {"file_name": said["file"], "text": said["condition"]["text"]}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _write(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write a file, unless it is there; then it has to be the same."""
        if not path.exists():
            write(path)
            return
        with tempfile.TemporaryDirectory() as scratch:  # drawn after the last record, before a sudden end
            again = Path(scratch) / path.name
            write(again)
            if read_bytes(again) != read_bytes(path):
                raise InputError(
                    f"{path} is there and is no image of this command: move it away, or choose another --out."
                )

    def record(self) -> None:
        """Write the provenance, an image at a time: of many there is not room for all."""
        began, count = time.monotonic(), sum(self._mine)
        path = self._folder / (PARTS.format(self._rank) if self._rank else PROVENANCE)
        about = self._about | {"seconds_per_image": self.seconds / count if count else None} | self.measured
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(about, indent=1, allow_nan=False).removesuffix("\n}") + ',\n "images": [')
            between = "\n"
            for k in range(len(self._mine)):
                if self._mine[k]:
                    file.write(f"{between}  {json.dumps(self._said(k), allow_nan=False)}")
                    between = ",\n"
            file.write("\n ]\n}\n")
        if self._rank == 0:
            self._tell_prompts()
        self._saved = time.monotonic()
        self._pause = self._saved - began

    def _show(self) -> None:
        """Write the grid, once, as soon as its images are there: from their files, so that it is the same after a stop."""
        path = self._folder / GRID
        if self._rank or path.exists() or not self.there[0]:
            return
        pixels = math.prod(read_image(self._file(0)).shape[:2])
        first = min(SHOWN, max(1, SHOWN_PIXELS // pixels), len(self.there))
        if not all(self.there[:first]):
            return
        counts = np.stack([read_image(self._file(k)) for k in range(first)])
        images = channels_first(self._window.to_unit(counts))
        save_png(path, to_grid(images, scale=1 if images.shape[-1] > SHOWN else 2))
