"""What a user asks samples to be: what each condition of a run makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Arrays, Request
from veridical.conditions.delivery import cycle
from veridical.conditions.table import CONDITIONS, DATA_SETTINGS, DataSettings, needed
from veridical.core.errors import InputError


@dataclass(frozen=True)
class Asked:
    """Conditions of the images to draw.

    Attributes
    ----------
    cond : dict
        What `veridical.runs.draw.draw` takes.
    said : list of dict
        The condition of each image in words, for its provenance.
    masks : ndarray of int, shape (n, H, W), or None
        The label image of each image in the values of the data, where its condition is or has one.
    notes : list of str
        What the user should know of what was asked.
    """

    cond: Arrays
    said: list[dict[str, Any]]
    masks: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def ask(
    run: Mapping[str, Any],
    folder: str | Path,
    needs: Iterable[str],
    n: int,
    given: Mapping[str, Any] | None = None,
    shrink: int = 1,
) -> Asked:
    """Gather the conditions of `n` images.

    Parameters
    ----------
    run : mapping
        What ``run.json`` says.
    folder : str or Path
        The run folder.
    needs : iterable of str
        Conditions that the recipe takes.
    n : int
    given : mapping, optional
        What the user gave, by the name of the option of each condition (``label``, ``masks``, ``source``, ``prompt``); what
        is left out has the default that the file of the condition states, mostly what the held-out tiles have. With a true
        ``extrapolate``, labels may lie outside the range of the training images.
    shrink : int
        How many times smaller than an image a source is that the user gives.

    Raises
    ------
    InputError
        For conditions that the run does not take, or that cannot be read.
    """
    rows, given = needed(needs), dict(given or {})
    extrapolate = bool(given.pop("extrapolate", False))
    known = {row.option.name: row for row in CONDITIONS.values()}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{name} is nothing that samples can be asked to be: use one of {', '.join(known)}.")
        if value and known[name] not in rows:
            row = known[name]
            raise InputError(
                f"{run['recipe']} takes no {row.name}: leave out {row.option.flag}, or train a recipe that needs one."
            )
    settings = DataSettings(**{name: value for name, value in run["config"].items() if name in DATA_SETTINGS})
    request = Request(run, Path(folder), settings, n, shrink, extrapolate)
    asked = Asked({}, [{} for _ in range(n)])
    masks = None
    for row in rows:
        answer = row.ask(request, given.get(row.option.name))
        asked.cond.update(cycle(answer.arrays, n))
        for k, said in enumerate(asked.said):
            said[answer.what] = answer.words[k % len(answer.words)]
        asked.notes.extend(answer.notes)
        if answer.masks is not None:
            masks = answer.masks[np.arange(n) % len(answer.masks)]
    return Asked(asked.cond, asked.said, masks, asked.notes)
