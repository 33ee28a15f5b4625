"""One system of a bench, as its specification names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One system of a bench.

    Attributes
    ----------
    recipe : str
        Its recipe; the name in the bench may be another one.
    args : dict
        Training settings and model arguments that differ from the recipe's own. Its own ``minutes`` or ``steps`` take the
        place of the bench's budget.
    datasets : list of str, or None
        Only these datasets; None is all.
    seeds : list of int, or None
        These seeds instead of the bench's.
    first : dict
        Name of a first stage to the stage or the recipe of the bench that it is taken from.
    """

    recipe: str
    args: dict[str, Any]
    datasets: list[str] | None = None
    seeds: list[int] | None = None
    first: dict[str, str] = field(default_factory=dict)

    def to_json(self, name: str) -> dict[str, Any]:
        """What ``spec.json`` says of the row called `name`."""
        content: dict[str, Any] = {"args": self.args}
        limits = {
            "recipe": None if self.recipe == name else self.recipe,
            "datasets": self.datasets,
            "seeds": self.seeds,
            "first": self.first or None,
        }
        return content | {k: v for k, v in limits.items() if v is not None}
