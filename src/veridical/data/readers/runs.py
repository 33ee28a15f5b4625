"""Folders that veridical wrote: pictures of runs and grids are no images to read; samples are independent of each other."""

from __future__ import annotations

from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_json

_FILES = ("model.safetensors", "resume.safetensors", "log.jsonl")  # beside run.json


def is_run(folder: Path) -> bool:
    """Whether a folder is one that `veridical train` writes."""
    return (folder / "run.json").is_file() and any((folder / name).is_file() for name in _FILES)


def check_no_run(path: Path) -> None:
    """Refuse a run folder, its previews, and the grid of a folder of samples.

    Raises
    ------
    InputError
        Says what to give instead.
    """
    run = path if is_run(path) else path.parent
    if path.is_dir() and is_run(run) and (run == path or (path.name == "samples" and not _sampled(path))):
        raise InputError(
            f"{path}: is a run folder, and its pictures are previews of the training; draw images with veridical sample {run} "
            "--out SAMPLES and give SAMPLES (the commands score and audit take a run as REAL; in Python score_run and audit_run "
            "do)"
        )
    if path.name == "grid.png" and _sampled(path.parent):
        raise InputError(f"{path}: shows many samples in one picture; give their folder, {path.parent}")


def drawn_independently(spec: object) -> bool:
    """Whether `veridical sample` drew a folder without conditions: each image from noise of its own, and from nothing else."""
    if not isinstance(spec, (str, Path)) or not _sampled(Path(spec)):
        return False
    held = read_json(Path(spec) / "provenance.json")
    return isinstance(held, dict) and "checkpoint" in held and held.get("condition", "") is None


def _sampled(folder: Path) -> bool:
    return (folder / "provenance.json").is_file()
