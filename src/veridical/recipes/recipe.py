"""What a row of the table of systems says."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from veridical.core.settings import made_of


@dataclass(frozen=True)
class Stage:
    """A system that is trained before another, which holds it frozen or begins with it.

    Attributes
    ----------
    recipe : str
    share : float
        Share of the budget that goes to it.
    args : dict
        Settings that differ from those of its recipe.
    """

    recipe: str
    share: float = 0.5
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes
    ----------
    build : callable
        ``build(channels, size, **stages, ...)`` makes the model; of channels, size and stages it takes what it names. What else
        it takes are arguments with defaults, or dataclasses of settings (`veridical.core.settings`), whose fields then are
        arguments; one field name in two dataclasses is one argument for both.
    family, task, summary, citation : str
        For the table that users see.
    args : dict
        Arguments that differ from the defaults of `build` or of its dataclasses.
    offers : tuple of str
        Fields of the dataclasses that are arguments; by default all of them.
    train : dict
        Training settings that differ from those of `TrainConfig`.
    needs : tuple of str
        Conditions that the data must bring and samples are drawn from: label, text, mask, source.
    learns : tuple of str
        Conditions of training tiles that samples are not asked for: they are drawn with the image.
    instead : tuple of str
        Conditions that samples may be given in their place.
    idle : tuple of str
        Fields of the builder's `sampling` that cannot be changed on a trained model: its training has fixed them, or nothing
        hears them.
    drawn : tuple of str
        Arguments with defaults that act on sampling alone.
    first : dict of str to Stage
        Stages that are trained before, by the names that `build` knows them by; with ``frozen`` the model says which of
        them it keeps (`veridical.models.contract.Staged`).
    own_source : bool
        The data are the source, too: training makes its own, sampling takes held-out tiles unless it is given others.
    enlarges : str
        Argument of `build` that says how many times smaller than an image the source is that a user gives; "" where they
        are of one size.
    draws : bool
        Whether its models draw images (`veridical.models.contract.Generating`).
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
    offers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    learns: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    first: dict[str, Stage] = field(default_factory=dict)
    own_source: bool = False
    enlarges: str = ""
    of_data: tuple[str, ...] = ()
    draws: bool = True

    @property
    def sampling(self) -> tuple[str, ...]:
        """Arguments that act on sampling alone: they can be changed on a trained model."""
        fields = dataclasses.fields(self.kinds["sampling"]) if "sampling" in self.kinds else ()
        return (*(f.name for f in fields if self._offered(f.name) and f.name not in self.idle), *self.drawn)

    @property
    def kinds(self) -> dict[str, type]:
        """Dataclasses of settings that the builder takes, under the names of its parameters."""
        parameters = inspect.signature(self.build, eval_str=True).parameters.values()
        return {p.name: p.annotation for p in parameters if hasattr(p.annotation, "__dataclass_fields__")}

    def kind_of(self, name: str) -> type | None:
        """The dataclass that declares an argument; None for one with a default in the builder."""
        found = (kind for kind in self.kinds.values() if any(f.name == name for f in dataclasses.fields(kind)))
        return next(found, None)

    def arguments(self) -> dict[str, Any]:
        """Names and default values of what can be set, the recipe's own values included."""
        return self.complete(self.args)

    def complete(self, args: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a run, which says all that there were, with the defaults for what came later: as before."""
        parameters = inspect.signature(self.build).parameters.values()
        fixed = ("channels", "size", *self.first, *self.kinds)
        free = {p.name: p.default for p in parameters if p.name not in fixed}
        fields = [f for kind in self.kinds.values() for f in dataclasses.fields(kind) if self._offered(f.name)]
        return {**free, **{f.name: f.default for f in fields}, **args}

    def make(self, channels: int, size: int, stages: Mapping[str, nn.Module], args: dict[str, Any]) -> nn.Module:
        """The model, from arguments and trained stages."""
        named = inspect.signature(self.build).parameters
        images = {k: v for k, v in {"channels": channels, "size": size}.items() if k in named}
        made = {name: made_of(kind, args) for name, kind in self.kinds.items()}
        return self.build(**images, **stages, **made, **{k: v for k, v in args.items() if self.kind_of(k) is None})

    def _offered(self, name: str) -> bool:
        return not self.offers or name in self.offers
