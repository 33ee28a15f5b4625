"""What a row of the table of systems says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Stage:
    """A system that is trained before another, which holds it frozen or begins with it.

    Attributes
    ----------
    recipe : str
    share : float
        Share of the budget that goes to it.
    """

    recipe: str
    share: float = 0.5


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes
    ----------
    build : callable
        ``build(channels, size, **stages, **args)`` makes the model; of channels, size and stages it takes what it names.
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
    first : dict of str to Stage
        Stages that are trained before, by the names that `build` knows them by; with ``frozen`` the model says which of
        them it keeps (`veridical.models.contract.Staged`).
    own_source : bool
        The data are the source, too: training makes its own, sampling takes held-out tiles unless it is given others.
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
    first: dict[str, Stage] = field(default_factory=dict)
    own_source: bool = False

    def arguments(self) -> dict[str, Any]:
        """Names and default values of what can be set, the recipe's own values included."""
        return self.complete(self.args)

    def complete(self, args: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a run, which says all that there were, with the builder's defaults for what came later: as before."""
        parameters = inspect.signature(self.build).parameters.values()
        free = {p.name: p.default for p in parameters if p.name not in ("channels", "size", *self.first)}
        return {**free, **args}

    def begin(self, channels: int, size: int, stages: dict[str, nn.Module]) -> dict[str, Any]:
        """What `build` takes beside its arguments: of the images, and the stages."""
        known = inspect.signature(self.build).parameters
        return {k: v for k, v in {"channels": channels, "size": size}.items() if k in known} | stages
