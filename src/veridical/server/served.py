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
from veridical.editing.words import TextWords, words_of
from veridical.models.contract import Attending, Denoising, Varying
from veridical.pretrained.folder import HUB, is_hub
from veridical.pretrained.kinds import VARYING
from veridical.pretrained.settings import SAMPLING
from veridical.recipes.info import PIPELINE
from veridical.runs.draw import drawn
from veridical.runs.run import Run, load

INSTRUCTED = "instruct_pix2pix"
# Edits of an image, a mask and words; outpaint makes images larger, which a size in the request would have to say.
HOWS = tuple(name for name, row in EDITS.items() if (row.task == "words" and name != "outpaint") or name == "inpaint")
BY_ATTENTION = ("ledits", "prompt_to_prompt")


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
            "checkpoint": self._checkpoint(),
            "dataset": {"fingerprint": info.dataset.get("fingerprint")},
            "sampling": {name: info.args[name] for name in self._sampling if name in info.args},
        }

    @property
    def _sampling(self) -> tuple[str, ...]:
        """Names of settings of sampling, without places on this machine."""
        return self.run.row.sampling if self.run.pipeline is None else SAMPLING

    def _checkpoint(self) -> dict[str, Any]:
        found = self.run.checkpoint()
        return found | {"pipeline": self.name} if "pipeline" in found else found

    @property
    def generates(self) -> bool:
        """Whether words and labels are all that its images are drawn from."""
        if self.run.pipeline is not None:
            kind = self.run.pipeline.found.kind
            return not kind.sees and kind is not VARYING and getattr(self.run.model, "control", None) is None
        return self.run.row.draws and {*self.run.needs} <= {"text", "label"}

    @functools.cached_property
    def words(self) -> TextWords:
        """What makes conditions of prompts."""
        return words_of(self.run)

    @functools.cached_property
    def hows(self) -> tuple[str, ...]:
        """Edits that it can be asked for."""
        model = self.run.model
        if self.instructed:
            return (INSTRUCTED,)
        if self.run.pipeline is not None:
            kind = self.run.pipeline.found.kind
            if kind.sees or kind is VARYING:
                return ("inpaint",) if kind.sees else ("variation",)
        if not isinstance(model, Denoising) or not {*self.run.needs} <= {"text"}:
            return ()
        fitting = [name for name in HOWS if name not in (INSTRUCTED, "variation")]
        if not isinstance(model, Attending):
            fitting = [name for name in fitting if name not in BY_ATTENTION]
        if not self.run.hears:
            fitting = [name for name in fitting if "prompt" not in EDITS[name].needs]
        return (*fitting, *(("variation",) if self.varies else ()))

    @property
    def instructed(self) -> bool:
        """Whether it follows instructions, and does nothing else."""
        return self.run.info.recipe.removeprefix(PIPELINE) == INSTRUCTED

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
        return INSTRUCTED if self.instructed else "inpaint" if masked else "sdedit"

    def described(self, created: int) -> dict[str, Any]:
        """Its entry of ``/v1/models``."""
        info = self.run.info
        more = {
            "routes": self.routes, "how": list(self.hows), "size": f"{info.size}x{info.size}", "channels": info.channels,
            "dtype": self.run.window.dtype, "low": self.run.window.low, "high": self.run.window.high, "words": self.run.hears,
            "labels": self.run.takes_labels,
            "fields": ["seed", "number", "negative_prompt", "how", "settings", "extrapolate", "png16"],
        }  # fmt: skip
        return {
            "id": self.name, "object": "model", "created": created, "owned_by": "veridical", "veridical": {**self.about, **more},
        }  # fmt: skip


def load_all(runs: Sequence[str | Path], device: str, settings: Mapping[str, Any] | None) -> dict[str, Served]:
    """Runs, and pipelines of other people (``hub:FOLDER``), by the names of their folders.

    Raises
    ------
    InputError
        If one cannot be loaded, does nothing that the API has, or two have one name.
    """
    found: dict[str, Served] = {}
    for folder in runs:
        # In full: errors say the name in its place.
        path = str(folder) if is_hub(folder) else Path(folder).resolve()
        name = Path(str(folder).removeprefix(HUB)).resolve().name
        if name in found:
            raise InputError(f"{folder} and {found[name].run.folder} have one name: rename one, clients ask by it.")
        served = Served(name, load(path, device, settings))
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
class Made:
    """Images (N, C, H, W) in [0, 1], and the colour (N,) that grey ones of a pipeline had; None of others."""

    images: Images
    chroma: NDArray[np.float64] | None


@dataclass(frozen=True)
class Changed(Made):
    """Images after an edit, and where they may differ from those that came; None is everywhere."""

    mask: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def do(tasks: Sequence[Drawing] | Sequence[Changing], batch: int) -> list[Any]:
    """What becomes of tasks of one key: `Made` of drawings, `Changed` of edits; at most `batch` images at a time."""
    batch = tasks[0].served.run.together(batch)
    counts = np.cumsum([task.rows for task in tasks])[:-1]
    numbers = [k for task in tasks for k in task.numbers]
    parts = [slice(start, start + batch) for start in range(0, len(numbers), batch)]
    first = tasks[0]
    if isinstance(first, Drawing):
        cond = {name: np.concatenate([task.cond[name] for task in tasks]) for name in first.cond}  # type: ignore[union-attr]
        run = first.served.run
        drawings = [
            run.in_grey(drawn(run, numbers[part], {name: rows[part] for name, rows in cond.items()}, first.seed)[0])
            for part in parts
        ]
        images = np.split(np.concatenate([made for made, _ in drawings]), counts)
        return [Made(*one) for one in zip(images, _split([colour for _, colour in drawings], counts), strict=True)]
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
    colour = _split([() if one.chroma is None else one.chroma for one in found], counts)
    return [Changed(*each, notes) for each in zip(made, colour, masks, strict=True)]


def _split(parts: Sequence[Any], counts: NDArray[np.int_]) -> list[Any]:
    """Numbers of parts, a list for each task; None for each where there are none."""
    whole = np.concatenate([np.asarray(part, np.float64) for part in parts])
    return list(np.split(whole, counts)) if len(whole) else [None] * (len(counts) + 1)
