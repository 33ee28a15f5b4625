"""The data of a run, opened again when it is sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.data.dataset import Dataset
from veridical.data.open import open_dataset
from veridical.data.readers.runs import is_run
from veridical.data.spec import parse_spec


def exists(spec: str) -> bool:
    """Whether what `spec` names is there: made or shipped images always are."""
    return spec.startswith(("phantom:", "skimage:")) or parse_spec(spec).path.exists()


def seen_from(spec: str, run: str | Path) -> str:
    """The data of a run by a path that leads to them from here, also where the run was trained in another folder.

    A relative path is looked for in this folder, then in those above the run. Where nothing is found it stays what it is.
    """
    if exists(spec):
        return spec
    above = (str(folder / spec) for folder in Path(run).absolute().parents)
    return next((path for path in above if exists(path) and not is_run(Path(path))), spec)


def reopened(spec: str, instead: str, size: int, **keywords: Any) -> Dataset:
    """`open_dataset`; an `InputError` for data that are gone asks for the flag `instead`."""
    if not exists(spec):
        raise InputError(f"{spec}, which the run was trained with, is not there any more: give {instead}.")
    return open_dataset(spec, size, **keywords)
