"""A run that is served: what it can be asked for, and what requests make of it."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.conditions.condition import Arrays
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.version import __version__
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.table import EDITS
from veridical.editing.words import RunWords
from veridical.models.contract import Denoising, Varying
from veridical.pretrained.folder import is_hub
from veridical.recipes import table
from veridical.runs.draw import drawn
from veridical.runs.run import Run, load

INSTRUCTED = "instruct_pix2pix"
FOREIGN = " is a pipeline of other people, and only runs of veridical are served: leave it out."
# Edits of an image, a mask and words; outpaint makes images larger, which a size in the request would have to say.
HOWS = tuple(name for name, row in EDITS.items() if (row.task == "words" and name != "outpaint") or name == "inpaint")


@dataclass(frozen=True)
class Served:
    """A run under the name that clients know it by."""

    name: str
    run: Run

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """What the provenance of all its images says."""
        info = self.run.info
        return {
            "version": __version__,
            "recipe": info.recipe,
            "checkpoint": self.run.checkpoint(),
            "dataset": {"fingerprint": info.dataset.get("fingerprint")},
            "sampling": {name: info.args[name] for name in table.find(info.recipe).sampling},
        }

    @property
    def generates(self) -> bool:
        """Whether words and labels are all that its images are drawn from."""
        return table.find(self.run.info.recipe).draws and {*self.run.needs} <= {"text", "label"}

    @functools.cached_property
    def words(self) -> RunWords:
        """What makes conditions of prompts."""
        return RunWords(self.run)

    @functools.cached_property
    def hows(self) -> tuple[str, ...]:
        """Edits that it can be asked for."""
        recipe, model = self.run.info.recipe, self.run.model
        if recipe == INSTRUCTED:
            return (INSTRUCTED,)
        if not isinstance(model, Denoising) or not {*self.run.needs} <= {"text"}:
            return ()
        fitting = [name for name in HOWS if name not in (INSTRUCTED, "variation")]
        if not self.run.hears:
            fitting = [name for name in fitting if "prompt" not in EDITS[name].needs]
        return (*fitting, *(("variation",) if self.varies else ()))

    @property
    def varies(self) -> bool:
        """Whether it draws variations."""
        return isinstance(self.run.model, Varying)

    @property
    def routes(self) -> list[str]:
        """Of the images API."""
        able = {"generations": self.generates, "edits": bool(self.hows), "variations": self.varies}
        return [route for route, can in able.items() if can]

    def usual(self, masked: bool) -> str:
        """The edit where a request names none."""
        return INSTRUCTED if self.run.info.recipe == INSTRUCTED else "inpaint" if masked else "sdedit"

    def described(self, created: int) -> dict[str, Any]:
        """Its entry of ``/v1/models``."""
        info = self.run.info
        more = {
            "routes": self.routes, "how": list(self.hows), "size": f"{info.size}x{info.size}", "channels": info.channels,
            "dtype": self.run.window.dtype, "low": self.run.window.low, "high": self.run.window.high, "words": self.run.hears,
            "labels": "label" in self.run.needs, "fields": ["seed", "number", "negative_prompt", "how", "settings", "png16"],
        }  # fmt: skip
        return {
            "id": self.name, "object": "model", "created": created, "owned_by": "veridical", "veridical": {**self.about, **more},
        }  # fmt: skip


def load_all(runs: Sequence[str | Path], device: str, settings: Mapping[str, Any] | None) -> dict[str, Served]:
    """Runs by the names of their folders.

    Raises
    ------
    InputError
        If one cannot be loaded, does nothing that the API has, or two have one name.
    """
    found: dict[str, Served] = {}
    for folder in runs:
        if is_hub(folder):  # before any of it is loaded
            raise InputError(f"{folder}{FOREIGN}")
        path = Path(folder).resolve()  # in full: errors say the name in its place
        name = path.name
        if name in found:
            raise InputError(f"{folder} and {found[name].run.folder} have one name: rename one, clients ask by it.")
        served = Served(name, load(path, device, settings))
        if served.run.pipeline is not None:  # an adapted one
            raise InputError(f"{folder}{FOREIGN}")
        if not served.routes:
            raise InputError(
                f"{folder} is a run of {served.run.info.recipe}, which draws from more than words and edits nothing: "
                "leave it out."
            )
        found[name] = served
    return found


@dataclass(frozen=True)
class Drawing:
    """Images to draw of some conditions."""

    served: Served
    cond: Arrays
    seed: int
    numbers: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        """Equal for those that can be drawn together."""
        return "draw", self.served.name, self.seed, tuple(sorted(self.cond))

    @property
    def rows(self) -> int:
        """How many images."""
        return len(self.numbers)


@dataclass(frozen=True)
class Changing:
    """Images to edit, (N, C, H, W) in [0, 1], all with one mask (H, W) and the same texts."""

    served: Served
    how: str
    settings: tuple[tuple[str, Any], ...]
    images: Images
    mask: NDArray[np.bool_] | None
    prompt: str
    source_prompt: str
    negative_prompt: str
    seed: int
    numbers: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        """Equal for those that can be edited together."""
        told = self.mask is None, not self.prompt, not self.source_prompt, not self.negative_prompt
        return "edit", self.served.name, self.how, self.settings, self.images.shape[1:], told, self.seed

    @property
    def rows(self) -> int:
        """How many images."""
        return len(self.images)


@dataclass(frozen=True)
class Changed:
    """Images (N, C, H, W) in [0, 1], and where they may differ from those that came; None is everywhere."""

    images: Images
    mask: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def do(tasks: Sequence[Drawing] | Sequence[Changing], batch: int) -> list[Any]:
    """What becomes of tasks of one key: images of drawings, `Changed` of edits; at most `batch` images at a time."""
    counts = np.cumsum([task.rows for task in tasks])[:-1]
    numbers = [k for task in tasks for k in task.numbers]
    parts = [slice(start, start + batch) for start in range(0, len(numbers), batch)]
    first = tasks[0]
    if isinstance(first, Drawing):
        cond = {name: np.concatenate([task.cond[name] for task in tasks]) for name in first.cond}  # type: ignore[union-attr]
        made = [
            drawn(first.served.run, numbers[part], {name: rows[part] for name, rows in cond.items()}, first.seed)[0]
            for part in parts
        ]
        return np.split(np.concatenate(made), counts)
    return _edited(tasks, first, numbers, parts, counts)


def _edited(tasks: Any, first: Changing, numbers: list[int], parts: list[slice], counts: Any) -> list[Changed]:
    def each(value: Any) -> list[Any]:
        return [value(task) for task in tasks for _ in range(task.rows)]

    images = np.concatenate([task.images for task in tasks])
    mask = None if first.mask is None else np.stack(each(lambda task: task.mask))
    prompt = each(lambda task: (task.prompt,)) if first.prompt else None
    source = each(lambda task: task.source_prompt) if first.source_prompt else None
    against = each(lambda task: task.negative_prompt) if first.negative_prompt else None
    words = first.served.words if first.served.run.hears else None
    found = [
        edited(
            first.served.run, images[part], first.how, settings=dict(first.settings), seed=first.seed, numbers=numbers[part],
            given=Given(
                None if mask is None else mask[part], None, prompt and prompt[part], source and source[part],
                against and against[part], words,
            ),
        )
        for part in parts
    ]  # fmt: skip
    made = np.split(np.concatenate([one.images for one in found]), counts)
    masks: list[Any] = [None] * len(tasks)
    if found[0].mask is not None:
        masks = np.split(np.concatenate([one.mask for one in found if one.mask is not None]), counts)
    notes = tuple(dict.fromkeys(note for one in found for note in one.notes))
    return [Changed(images, mask, notes) for images, mask in zip(made, masks, strict=True)]
