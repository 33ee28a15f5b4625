"""Run folders to start, to go on with, or to build a second stage on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veridical.conditions.table import DATA_SETTINGS
from veridical.core.errors import InputError
from veridical.core.files import is_temporary, read_json, remove_leftovers, write_json
from veridical.core.lock import LOCK, alone
from veridical.core.parse import listed
from veridical.recipes import table
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import FORMAT, RunInfo, digest

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".p")

# Settings that may be others when a run is resumed.
FREE = ("steps", "minutes", "device", "threads", "save_every", "preview_every", "patience", "tensorboard")


def look(out: Path, resume: bool) -> RunInfo | None:
    """What is known of a run to resume in `out`; None for a new run."""
    if (out / "run.json").is_file() and resume:
        return read_run(out)
    held = [p.name for p in out.iterdir()] if out.is_dir() else []
    # A first stage that was being trained, a file that was being written when the run was killed.
    leftovers = [name for name in held if name not in ("first", LOCK) and not is_temporary(name)]
    if leftovers and "run.json" in leftovers:
        raise InputError(f"{out} holds a run: add --resume to go on with it, or choose another --out.")
    if leftovers:
        raise InputError(f"{out} holds something that is not a run ({leftovers[0]}): choose another --out.")
    return None


def resumed(
    out: Path, started: RunInfo, given: dict[str, Any], config: TrainConfig, args: dict[str, Any]
) -> tuple[TrainConfig, dict[str, Any]]:
    """Settings and arguments of a run to go on with: what is asked for now may lengthen it, or change how it samples."""
    sampling, had = table.find(started.recipe).sampling, started.completed().args
    now, before = config.to_json() | args, started.config.to_json() | had
    asked = [name for name, value in given.items() if value is not None]
    for name in asked:
        if name not in (*FREE, *sampling) and listed(now[name]) != listed(before.get(name)):
            raise InputError(
                f"{out} was trained with {name}={before.get(name)}, not {now[name]}: leave it out, or choose another --out."
            )
    changes = {name: now[name] for name in asked if name in FREE}
    if {"steps", "minutes"} & set(changes):  # a new budget, not one more limit
        changes = {"steps": None, "minutes": None} | changes
    args = had | {name: now[name] for name in asked if name in sampling}
    return started.config.replace(**changes), args


@contextlib.contextmanager
def training_alone(out: Path) -> Iterator[None]:
    """Make a run folder and keep other trainings out of it, see `veridical.core.lock.alone`."""
    with alone(out, "training"):
        remove_leftovers(out / "samples")
        yield


def write_run(folder: Path, info: RunInfo) -> None:
    """Write ``run.json`` with its own SHA-256, which `read_run` looks at."""
    content = json.loads(json.dumps(info.to_json(), allow_nan=False))  # as it will be read
    write_json(folder / "run.json", content | {"sha256": digest(content)})


def changes(before: RunInfo, now: RunInfo) -> list[str]:
    """What a run goes on with that it did not have so far, and that its last bits depend on: a sentence or none."""
    then, other = (
        {"torch": run.torch} | {name: getattr(run.cost, name) for name in ("device", "threads", "processes")}
        for run in (before, now)
    )
    said = [f"{name}={other[name]} in place of {then[name]}" for name in then if then[name] != other[name]]
    return [f"goes on from step {now.cost.steps} with {', '.join(said)}"] if said else []


def is_finished(folder: Path) -> bool:
    """Whether `folder` holds a run with its budget spent."""
    return (folder / "run.json").is_file() and read_run(folder).finished


def share_budget(config: TrainConfig, shares: Mapping[str, float]) -> tuple[dict[str, dict[str, Any]], TrainConfig]:
    """Divide a budget: settings of each stage that is to be trained, and what is left for the run that holds them."""
    same = (*DATA_SETTINGS, "seed", "device", "threads", "save_every", "preview_every", "tensorboard")
    steps, minutes, theirs = config.steps, config.minutes, {}
    for name, share in shares.items():
        mine: dict[str, Any] = {k: getattr(config, k) for k in same}
        mine["steps"] = None if config.steps is None else max(1, round(config.steps * share))
        mine["minutes"] = None if config.minutes is None else config.minutes * share
        theirs[name] = mine
        steps = None if steps is None else max(1, steps - mine["steps"])
        minutes = None if minutes is None else minutes - mine["minutes"]
    return theirs, config.replace(steps=steps, minutes=minutes)


def read_run(folder: str | Path) -> RunInfo:
    """Read ``run.json`` of a run folder.

    Raises
    ------
    InputError
        If `folder` is no run, is a pickle, was written in a format that this version does not read, or lacks something.
    """
    folder = Path(folder)
    if folder.suffix in PICKLES or (folder.is_dir() and any(p.suffix in PICKLES for p in folder.iterdir())):
        raise InputError(
            f"{folder} is or holds a pickle, which may run code when loaded, so it is refused: give a run folder "
            "with run.json and model.safetensors."
        )
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder} is not a run: it has no run.json (train one with `veridical train`).")
    run = read_json(folder / "run.json")
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        version = str(run.get("version", "an unknown version"))[:40] if isinstance(run, dict) else "an unknown version"
        raise InputError(
            f"{folder} was written by veridical {version} in another format: use that version, or train again."
        )
    return RunInfo.from_json(run, folder / "run.json")
