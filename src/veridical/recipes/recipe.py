"""What a row of the table of systems says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes
    ----------
    build : callable
        ``build(channels, size, **args)`` (``build(first, ...)`` for a second stage) makes the model.
    family, task, summary, citation : str
        For the table that users see.
    args : dict
        Arguments of `build` that differ from its defaults.
    train : dict
        Training settings that differ from those of `TrainConfig`.
    needs : tuple of str
        Conditions that the data must bring: label, text, mask, source.
    sampling : tuple of str
        Arguments of `build` that act on sampling alone: they can be changed on a trained model.
    first : str or None
        Recipe of the first stage, trained before and frozen.
    first_share : float
        Share of a time budget that goes to the first stage.
    own_source : bool
        The data are the source, too: training makes its own, sampling takes held-out tiles unless it is given others.
    enlarges : str
        Argument of `build` that says how many times smaller than an image the source is that a user gives; "" where they
        are of one size.
    of_data : tuple of str
        Arguments of `build` whose values follow from the data, see `veridical.conditions.table.SIZES`.
    """

    build: Callable[..., nn.Module]
    family: str
    task: str
    summary: str
    citation: str
    args: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    sampling: tuple[str, ...] = ()
    first: str | None = None
    first_share: float = 0.5
    own_source: bool = False
    enlarges: str = ""
    of_data: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Names and default values of what can be set, the recipe's own values included."""
        return self.complete(self.args)

    def complete(self, args: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a run, which says all that there were, with the builder's defaults for what came later: as before."""
        parameters = inspect.signature(self.build).parameters.values()
        free = {p.name: p.default for p in parameters if p.name not in ("channels", "size", "first")}
        return {**free, **args}
