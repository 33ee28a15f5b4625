"""Run folders and grids of samples hold pictures that are no images to read: they are told, and refused."""

from pathlib import Path

from veridical.core.errors import InputError

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
            "--out SAMPLES and give SAMPLES (as REAL, score and audit take a run)"
        )
    if path.name == "grid.png" and _sampled(path.parent):
        raise InputError(f"{path}: shows many samples in one picture; give their folder, {path.parent}")


def _sampled(folder: Path) -> bool:
    return (folder / "provenance.json").is_file()
