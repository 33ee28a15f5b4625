"""What a user asks samples to be: what each condition of a run makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Arrays, Request
from veridical.conditions.table import CONDITIONS, DATA_SETTINGS, DataSettings, needed, options
from veridical.core.errors import InputError


@dataclass(frozen=True)
class Asked:
    """Conditions of the images to draw: each image has those of its turn, so that few of them serve any number of images.

    Attributes
    ----------
    n : int
    answers : tuple of Answer
        One for each condition.
    """

    n: int
    answers: tuple[Answer, ...]

    @property
    def cond(self) -> Arrays:
        """Those of all `n` images: what `veridical.runs.draw.draw` takes."""
        return self.rows(range(self.n))

    @property
    def notes(self) -> list[str]:
        """What the user should know of what was asked."""
        return [note for answer in self.answers for note in answer.notes]

    def rows(self, numbers: range) -> Arrays:
        """Those of the images with these numbers, a row each."""
        k = np.arange(numbers.start, numbers.stop)
        return {name: array[k % len(array)] for answer in self.answers for name, array in answer.arrays.items()}

    def words(self, k: int) -> dict[str, Any]:
        """Those of image k in words, for its provenance."""
        said = {
            name: words
            for answer in self.answers
            for name, words in ({answer.what: answer.words} | answer.beside).items()
        }
        return {name: words[k % len(words)] for name, words in said.items()}

    def mask(self, k: int) -> np.ndarray | None:
        """Label image (H, W) of image k in the values of the data, where its condition is or has one."""
        masks = [answer.masks for answer in self.answers if answer.masks is not None]
        return masks[-1][k % len(masks[-1])] if masks else None


def ask(
    run: Mapping[str, Any],
    folder: str | Path,
    needs: Iterable[str],
    n: int,
    given: Mapping[str, Any] | None = None,
    shrink: int = 1,
    instead: Iterable[str] = (),
    shape: tuple[int, int] | None = None,
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
        What the user gave, by the names of the options of each condition (``label``, ``masks``, ``source``, ``prompt``,
        ``negative_prompt``); what is left out has the default that the file of the condition states, mostly what the held-out
        tiles have. With a true ``extrapolate``, labels and numbers of prompts may lie outside the range of the training images.
    shrink : int
        How many times smaller than an image a source is that the user gives.
    instead : iterable of str
        Conditions that take the place of `needs` where the user gives one of them; of these then only those that were given,
        too.
    shape : (int, int), optional
        Height and width of images that are larger than tiles: conditions that are maps are cut to it, and it is square then.

    Raises
    ------
    InputError
        For conditions that the run does not take, or that cannot be read.
    """
    rows, other, given = needed(needs), needed(instead), dict(given or {})
    extrapolate = bool(given.pop("extrapolate", False))
    known = options()
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{name} is nothing that samples can be asked to be: use one of {', '.join(known)}.")
        takers = [row for row in CONDITIONS.values() if known[name] in row.options]
        if value and not any(row in (*rows, *other) for row in takers):
            raise InputError(
                f"{run['recipe']} takes no {takers[0].name}: leave out {known[name].flag}, or train a recipe that needs one."
            )
    asked = [row for row in (*rows, *other) if any(given.get(option.name) for option in row.options)]
    if any(row in other for row in asked):
        rows = asked
    told = {name: value for name, value in run["config"].items() if name in DATA_SETTINGS}
    if shape and any(row.maps for row in rows) and not any(row in other for row in rows):
        if shape[0] != shape[1]:
            raise InputError(
                f"{run['recipe']} is told {rows[0].name}s, which are cut to squares: give a square size in place of "
                f"{shape[1]}x{shape[0]}."
            )
        told["size"] = shape[0]
    request = Request(run, Path(folder), DataSettings(**told), n, shrink, extrapolate, shape)
    return Asked(n, tuple(row.ask(request, *(given.get(option.name) for option in row.options)) for row in rows))
