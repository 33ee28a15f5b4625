"""The data of a run, opened again when it is sampled."""

from __future__ import annotations

from typing import Any

from veridical.core.errors import InputError
from veridical.data.dataset import Dataset
from veridical.data.open import open_dataset
from veridical.data.spec import parse_spec


def exists(spec: str) -> bool:
    """Whether what `spec` names is there: made or shipped images always are."""
    return spec.startswith(("phantom:", "skimage:")) or parse_spec(spec).path.exists()


def reopened(spec: str, instead: str, size: int, **keywords: Any) -> Dataset:
    """`open_dataset`; an `InputError` for data that are gone asks for the flag `instead`."""
    if not exists(spec):
        raise InputError(f"{spec}, which the run was trained with, is not there any more: give {instead}.")
    return open_dataset(spec, size, **keywords)
