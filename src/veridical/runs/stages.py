"""Frozen stages of a run: runs of their own, found again by where they were and by the hash of their weights."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from typing_extensions import TypedDict

from veridical.core.errors import InputError
from veridical.core.files import check_content, file_hash, read_bytes
from veridical.models.contract import Adapted, Staged
from veridical.recipes import table
from veridical.recipes.info import LARGEST, RunInfo, StageInfo
from veridical.recipes.recipe import Recipe
from veridical.runs.folder import read_run
from veridical.runs.tensors import load_weights, read_tensors

WEIGHTS = "model.safetensors"
BEST = "best.safetensors"


class Header(TypedDict, total=False):
    """The header of ``model.safetensors``; numbers are text there."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012

    step: Annotated[int, Field(ge=0, le=LARGEST)]
    sha256: str


def own_place(out: Path, name: str, row: Recipe) -> Path:
    """Where the stage `name` of a run in `out` is trained."""
    return out / "first" if len(row.first) == 1 else out / "first" / name


def given_places(recipe: str, first: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    """Run folders of stages that the user gives: one for the only stage, or some by name.

    Raises
    ------
    InputError
        For a stage that the recipe does not have, or where it is not said which is meant.
    """
    row = table.find(recipe)
    if first is None:
        return {}
    if not row.first:
        raise InputError(f"{recipe} has no first stage: leave out --first.")
    if isinstance(first, str | Path):
        if len(row.first) > 1:
            raise InputError(f"{recipe} has the stages {', '.join(row.first)}: say which, as --first NAME=RUN.")
        return {next(iter(row.first)): Path(first)}
    for name in first:
        if name not in row.first:
            raise InputError(f"{recipe} has no stage {name!r}: it has {', '.join(row.first)}.")
    return {name: Path(folder) for name, folder in first.items()}


def refer(out: Path, folder: Path, given: bool) -> StageInfo:
    """What the ``run.json`` in `out` says of its stage in `folder`."""
    info, here = read_run(folder), folder.resolve()
    if info.adapted is not None:
        raise InputError(
            f"{folder} is itself adapted from another run, which is no stage: give a run that was trained."
        )
    return StageInfo(
        info.recipe, info.args, info.config, info.dataset, info.cost,
        path=str(here), beside=os.path.relpath(here, out.resolve()), given=given, sha256=file_hash(folder / WEIGHTS),
        stages=info.stages,
    )  # fmt: skip


def find_stage(run: Path, name: str, stage: StageInfo, place: Path) -> Path:
    """Folder of the stage `name` of a run, also where both were moved.

    Parameters
    ----------
    run : Path
        Folder of the run that holds the stage.
    name : str
    stage : StageInfo
    place : Path
        Where it would be, had it been trained for that run.

    Raises
    ------
    InputError
        If it is nowhere, or another run is there.
    """
    tried = (run / stage.beside, Path(stage.path), place, run.resolve().parent / Path(stage.path).name)
    there = [folder for folder in tried if (folder / WEIGHTS).is_file()]
    for folder in there:
        if is_stage(folder, stage):
            return folder
    if there:
        raise InputError(
            f"{there[0]} is not the stage {name!r} that {run} was trained with (its weights are others): restore that "
            f"run of {stage.recipe}, or put it into {place}."
        )
    raise InputError(
        f"{run} needs its stage {name!r}, a run of {stage.recipe}, which is not at {stage.path} any more: put that run "
        f"there, or into {place}."
    )


def is_stage(folder: Path, stage: StageInfo) -> bool:
    """Whether `folder` holds the run that `stage` was; of runs of before this is seen when their weights are read."""
    weights = folder / WEIGHTS
    return not stage.sha256 or (weights.is_file() and file_hash(weights) == stage.sha256)


def words_of(places: Mapping[str, Path]) -> str:
    """The first of these runs that reads captions; "" if none does."""
    return next(
        (str(p.resolve()) for p in places.values() if "tokenizer" in read_run(p).conditions.get("text", {})), ""
    )


def check_words(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse the stage in `folder` if it reads captions otherwise than a run with these `files`."""
    from veridical.conditions.vocabulary import FILE, Vocabulary  # the library tokenizers

    if "tokenizer" not in read_run(folder).conditions.get("text", {}) or FILE not in files:
        return
    theirs = Vocabulary.from_json(read_bytes(folder / FILE), folder / FILE)
    if not theirs.reads_as(Vocabulary.from_json(files[FILE])):
        raise InputError(
            f"{folder} reads captions with other words (its tokenizer.json differs): give --tokenizer {folder}, train it on the "
            "same data, or leave it out of --first."
        )


@contextlib.contextmanager
def built_for(run: Path, info: RunInfo) -> Iterator[None]:
    """Refuse what ``run.json`` describes where it is no model, or one that is far larger than what its files hold."""
    most = 10**6 + 2 * _bytes_of(run, info.recipe, info.stages)  # files have 4 bytes a number, and 50 more a tensor
    built = 0

    def count(module: nn.Module, name: str, value: torch.Tensor | None) -> None:
        nonlocal built
        built += 0 if value is None else 100 + value.numel()
        if built > most:
            raise InputError(
                f"{run / WEIGHTS} does not fit this model: run.json describes a far larger one; restore both."
            )

    hooks = (register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count))
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError, AssertionError) as error:
        why = str(error).partition("\n")[0][:200]
        raise InputError(f"{run / 'run.json'} describes no model ({why}): restore it or train again.") from error
    finally:
        for hook in hooks:
            hook.remove()


def _bytes_of(run: Path, recipe: str, stages: Mapping[str, StageInfo]) -> int:
    """Size of the weights of a run and its stages; of a run of before, whose file holds those, they may be gone."""
    path, row = run / WEIGHTS, table.find(recipe)
    size = path.stat().st_size if path.is_file() else 0
    for name, stage in stages.items():
        with contextlib.suppress(InputError):
            size += _bytes_of(find_stage(run, name, stage, own_place(run, name, row)), stage.recipe, stage.stages)
    return size


def untrained(
    recipe: str, channels: int, size: int, args: dict[str, Any], stages: Mapping[str, StageInfo] | None = None
) -> nn.Module:
    """Build the model of a run with its stages, all of them untrained."""
    held = {
        name: untrained(stage.recipe, channels, size, table.find(stage.recipe).complete(stage.args), stage.stages)
        for name, stage in (stages or {}).items()
    }
    return table.build(recipe, channels, size, args, held)


def fill(model: nn.Module, folder: Path, weights: str = WEIGHTS) -> None:
    """Load averaged weights of the run in `folder` into `model`, and those of its frozen stages from where they are."""
    path = folder / weights
    tensors, notes = read_tensors(path)
    said: Header = check_content(notes, Header, f"{path}, header")
    info = read_run(folder)
    made = info.cost.steps if weights == WEIGHTS or info.best is None else info.best.step
    if said.get("step", LARGEST) < made:
        raise InputError(
            f"{path} is of step {said['step']}, but {made} steps were made: restore the file of the same time as run.json."
        )
    whole = load_weights(model, tensors, path)
    if whole or isinstance(model, Adapted) or not isinstance(model, Staged):
        return
    row = table.find(info.recipe)
    for name, module in model.frozen.items():
        fill(module, find_stage(folder, name, info.stages[name], own_place(folder, name, row)))
