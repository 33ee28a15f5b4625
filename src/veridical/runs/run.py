"""A trained model and what its folder says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from veridical.core.arrays import Images
from veridical.core.device import move, pick_device
from veridical.core.errors import InputError, check_known
from veridical.core.files import file_hash
from veridical.core.parse import listed
from veridical.data.colour import chroma, luminance
from veridical.data.slices import Slices
from veridical.data.window import IntensityWindow
from veridical.models.contract import Model
from veridical.pretrained.folder import find, is_hub
from veridical.pretrained.kinds import ROWS
from veridical.pretrained.load import Opened, open_pipeline
from veridical.pretrained.settings import LOADING, SAMPLING, Loading
from veridical.pretrained.words import PipelineWords
from veridical.recipes import table
from veridical.recipes.adaptation import BASE, Adaptation
from veridical.recipes.info import RunInfo
from veridical.recipes.recipe import Recipe
from veridical.runs.adapted import put_into
from veridical.runs.folder import read_run
from veridical.runs.stages import BEST as BEST_WEIGHTS
from veridical.runs.stages import WEIGHTS, built_for, fill, find_stage, untrained


@dataclass(frozen=True)
class Run:
    """A trained model and what ``run.json`` says of it; or a pipeline of other people and what its folder says.

    Attributes
    ----------
    pipeline : Opened, optional
        What was loaded of a pipeline: its words and its files.
    best : bool
        Whether it is the best state of the training, not the last.
    """

    folder: Path
    info: RunInfo
    model: Model
    device: torch.device
    pipeline: Opened | None = None
    best: bool = False

    @property
    def row(self) -> Recipe:
        """Its row of the table of systems, or what stands in place of one for a pipeline."""
        return row_of(self.info.recipe)

    @property
    def needs(self) -> tuple[str, ...]:
        """Conditions that the model takes; a pipeline has words of its own in their place."""
        return self.row.needs

    @property
    def hears(self) -> bool:
        """Whether it is told texts."""
        return "text" in self.needs if self.pipeline is None else self.pipeline.found.kind.hears

    @property
    def takes_labels(self) -> bool:
        """Whether it is told classes or values."""
        return "label" in self.needs if self.pipeline is None else not self.pipeline.found.kind.hears

    @property
    def window(self) -> IntensityWindow:
        """The map between [0, 1] and the counts of the data."""
        return self.info.window

    def checkpoint(self) -> dict[str, Any]:
        """What provenance says of its weights."""
        adapted = self.info.adapted
        if self.pipeline is not None and adapted is None:
            found = self.pipeline.found
            return {
                "pipeline": found.spec,
                "class": found.index["_class_name"],
                "sha256": found.sha256(),
                "steps": None,
            }
        mine: dict[str, Any] = {"sha256": file_hash(self.folder / WEIGHTS), "steps": self.info.cost.steps}
        if self.best and self.info.best is not None:
            mine = {"sha256": file_hash(self.folder / BEST_WEIGHTS), "steps": self.info.best.step, "weights": "best"}
        return mine if adapted is None else mine | {"adapted": {"how": adapted.how, "base_sha256": adapted.sha256}}

    def drawing(self) -> Recipe:
        """Its row; an `InputError` for a system that draws no images."""
        return self.row if self.pipeline is not None else table.find_drawing(self.info.recipe)

    def together(self, batch: int) -> int:
        """How many images are worked on at a time, where a user asked for so many: fewer of the large ones of a pipeline."""
        return batch if self.pipeline is None else min(batch, self.pipeline.model.rows)

    def in_grey(self, images: Images) -> tuple[Images, list[float]]:
        """Images as the run's channels want them, and how much colour each of a pipeline lost by that."""
        if self.pipeline is None or self.info.channels == 3:
            return images, []
        return luminance(images), chroma(images).tolist()

    def seeing(self, slices: Slices, spec: str | Path) -> Run:
        """The same for images such as these: a pipeline takes over their channels and counts, a run has those of its data."""
        return self if self.pipeline is None else replace(self, info=self.pipeline.alike(self.info, slices, spec))


def load(folder: str | Path, device: str = "auto", settings: Mapping[str, Any] | None = None) -> Run:
    """Load the averaged weights of a run; no code of the checkpoint is executed.

    Parameters
    ----------
    folder : str or Path
        A run folder, or ``hub:FOLDER``, a pipeline of diffusers (`veridical.pretrained.load.open_pipeline`).
    device : str
    settings : mapping, optional
        Of sampling, in place of those that the run was trained with: ``truncation``, ``sampling_steps``, ``solver``, ...; of a
        pipeline how it is loaded, too. ``weights``: "last", the state at the end of training, which is the default, or "best",
        that of the best preview (``best`` in ``run.json``).

    Raises
    ------
    InputError
        If `folder` is no run, is damaged, is a pickle or comes from another version; if a frozen stage is not found; for an
        unknown setting.
    """
    if is_hub(folder):
        opened = open_pipeline(str(folder), device, settings)
        return Run(opened.found.folder, opened.info, cast(Model, opened.model), opened.device, opened)
    folder = Path(folder)
    info = read_run(folder)
    given = dict(settings or {})
    best = _wants_best(folder, info, given.pop("weights", "last"))
    if info.adapted is not None:
        return _load_adapted(folder, info, info.adapted, device, given)
    changed = table.sampling_arguments(info.recipe, given)
    info = info.completed()
    info = info.replace(args=info.args | changed)
    where = pick_device(device)
    with built_for(folder, info):
        model = untrained(info.recipe, info.channels, info.size, info.args, info.stages)
    fill(model, folder, BEST_WEIGHTS if best else WEIGHTS)
    model = move(model, where).eval().requires_grad_(False)
    return Run(folder, info, cast(Model, model), where, best=best)


def _wants_best(folder: Path, info: RunInfo, weights: str) -> bool:
    """Whether the best state is asked for; an `InputError` for a run that has none."""
    check_known("weights", weights, ("last", "best"))
    if weights == "best" and info.best is None:
        why = info.dataset.get("unwatched")
        raise InputError(
            f"{folder} has no best state, as its previews were not scored{f' ({why})' if why else ''}: leave out --best, which "
            "then is the last."
        )
    return weights == "best"


def _load_adapted(folder: Path, info: RunInfo, adapted: Adaptation, device: str, settings: dict[str, Any]) -> Run:
    """A run with what was put into it: its base is loaded from where it is, and has to be the same."""
    kept = (*SAMPLING, "config") if adapted.pipeline else table.find(info.recipe).sampling
    before = {name: info.args[name] for name in kept if name in info.args}
    base: str | Path = adapted.pipeline or find_stage(folder, BASE, info.stages[BASE], folder / BASE)
    run = load(base, device, before | settings)
    if run.pipeline is not None and run.pipeline.found.sha256() != adapted.sha256:
        raise InputError(
            f"{base} is not the pipeline that {folder} was adapted from (its weights are others): restore it."
        )
    model = cast(nn.Module, run.model)
    put_into(model, adapted.how, adapted.settings)
    fill(model, folder)
    if run.pipeline is not None:
        learn_word(cast(PipelineWords, run.pipeline.words), adapted)
    model = move(model, run.device) if run.pipeline is None else model
    args = {name: listed(value) for name, value in run.info.args.items()}
    now = run.info if settings.get("like") else info
    info = info.replace(args=args, channels=now.channels, window=now.window)
    return replace(run, folder=folder, info=info, model=cast(Model, model.eval().requires_grad_(False)))


def learn_word(words: PipelineWords, adapted: Adaptation) -> None:
    """Teach the tokenizer of a pipeline the word that was learned, if there is one."""
    if adapted.how == "textual_inversion":
        words.learn(adapted.settings["word"])


def settable(folder: str | Path) -> tuple[str, ...]:
    """Names of the settings that `load` takes for a run, or for a pipeline; an `InputError` if there is no run."""
    if is_hub(folder):
        return (*LOADING, *SAMPLING)
    info = read_run(folder)
    if info.adapted is not None:
        return (*LOADING, *SAMPLING) if info.adapted.pipeline else table.find(info.recipe).sampling
    return (*table.find(info.recipe).sampling, *(("weights",) if info.best is not None else ()))


def row_of(recipe: str) -> Recipe:
    """The row of a system, or of the kind of pipeline that ``hub:FOLDER`` is; an `InputError` if there is none."""
    if is_hub(recipe):
        return ROWS[find(recipe, Loading()).kind.recipe]
    return ROWS[recipe] if recipe in ROWS else table.find(recipe)


def load_stage(folder: Path, size: int) -> nn.Module:
    """Model of a trained stage, for a run on tiles of so many pixels."""
    stage = load(folder, device="cpu")
    if stage.info.size != size:
        raise InputError(f"{folder} was trained on tiles of {stage.info.size} pixels: give --size {stage.info.size}.")
    return cast(nn.Module, stage.model)
