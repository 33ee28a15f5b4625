"""A trained model and what its folder says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from veridical.core.device import move, pick_device
from veridical.core.errors import InputError
from veridical.data.window import IntensityWindow
from veridical.models.contract import Model
from veridical.recipes import table
from veridical.recipes.info import RunInfo
from veridical.runs.folder import read_run
from veridical.runs.stages import built_for, fill, untrained


@dataclass(frozen=True)
class Run:
    """A trained model and what ``run.json`` says of it."""

    folder: Path
    info: RunInfo
    model: Model
    device: torch.device

    @property
    def needs(self) -> tuple[str, ...]:
        """Conditions that the model takes."""
        return table.find(self.info.recipe).needs

    @property
    def window(self) -> IntensityWindow:
        """The map between [0, 1] and the counts of the data."""
        return self.info.window


def load(folder: str | Path, device: str = "auto", settings: Mapping[str, Any] | None = None) -> Run:
    """Load the averaged weights of a run; no code of the checkpoint is executed.

    Parameters
    ----------
    folder : str or Path
    device : str
    settings : mapping, optional
        Of sampling, in place of those that the run was trained with: ``truncation``, ``sampling_steps``, ``solver``, ...

    Raises
    ------
    InputError
        If `folder` is no run, is damaged, is a pickle or comes from another version; if a frozen stage is not found; for an
        unknown setting.
    """
    folder = Path(folder)
    info = read_run(folder)
    changed = table.sampling_arguments(info.recipe, dict(settings or {}))
    info = info.completed()
    info = info.replace(args=info.args | changed)
    where = pick_device(device)
    with built_for(folder, info):
        model = untrained(info.recipe, info.channels, info.size, info.args, info.stages)
    fill(model, folder)
    model = move(model, where).eval().requires_grad_(False)
    return Run(folder, info, cast(Model, model), where)


def load_stage(folder: Path, size: int) -> nn.Module:
    """Model of a trained stage, for a run on tiles of so many pixels."""
    stage = load(folder, device="cpu")
    if stage.info.size != size:
        raise InputError(f"{folder} was trained on tiles of {stage.info.size} pixels: give --size {stage.info.size}.")
    return cast(nn.Module, stage.model)
