"""Classes that a pipeline draws, by their numbers or by the names that its folder gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer
from veridical.conditions.request import Asked
from veridical.core.errors import InputError
from veridical.pretrained.words import said


class PipelineClasses:
    """What takes the place of words where a pipeline hears none.

    Parameters
    ----------
    count : int
        Classes are the numbers below it.
    names : mapping
        ``id2label`` of ``model_index.json``: numbers, as texts, to names with commas between.
    """

    def __init__(self, count: int, names: Mapping[str, str]) -> None:
        self._count = count
        self._names = {int(number): [name.strip() for name in text.split(",")] for number, text in names.items()}
        self._numbers = {name: number for number, each in self._names.items() for name in each}

    def number(self, label: str) -> int:
        """Of a class, which is given by name or number; an `InputError` if there is no such."""
        found = self._numbers.get(label, int(label) if label.isdecimal() else -1)
        if not 0 <= found < self._count:
            known = f", or a name such as {self._names[min(self._names)][0]}" if self._names else ""
            raise InputError(
                f"label={label} is no class of this pipeline: give a number from 0 to {self._count - 1}{known}."
            )
        return found

    def has(self, name: str) -> bool:
        """Whether a class is called so."""
        return name in self._numbers

    def ask(self, name: str, n: int, given: Mapping[str, Any]) -> Asked:
        """Conditions of `n` images that a user asked for: classes in turn.

        Raises
        ------
        InputError
            For what such a pipeline is not told, or where no class is given.
        """
        told = said(given)
        for key in told:
            if key != "label":
                raise InputError(
                    f"{name} draws classes and takes no {key.replace('_', ' ')}: leave out --{key.replace('_', '-')}.",
                    f"{name} draws classes and takes no {key.replace('_', ' ')}: leave it out.",
                )
        labels: str | Sequence[str] = told.get("label", "")
        parts = [part.strip() for text in ([labels] if isinstance(labels, str) else labels) for part in text.split(",")]
        wanted = [self.number(part) for part in parts if part]
        if not wanted:
            how = f"a number from 0 to {self._count - 1} or a name"
            raise InputError(
                f"{name} draws classes: give --label, {how}.", f"{name} draws classes: send a label, {how}."
            )
        called = [self._names.get(number, [str(number)])[0] for number in wanted]
        return Asked(n, (Answer({"label": np.array(wanted, np.int64)}, "label", called),))
