"""One row of the table of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from veridical.scoring.result_rows import Row
from veridical.scoring.sets import Sets

EXTRACTOR = "{extractor}"

# What a metric may need, and why sets of images do not have it; None if they do.
NEEDS: dict[str, Callable[[Sets], str | None]] = {
    "pairs": lambda sets: None if sets.pairs else "needs pairs",
    "prompts": lambda sets: None if sets.words is not None else "needs prompts, and a CLIP of the domain (--clip)",
    "new images": lambda sets: sets.copied,
    "features": lambda sets: sets.without_features,
    "training images": lambda sets: None if sets.train is not None else "needs training images (--train)",
}
OF_KIND: dict[str, tuple[str, ...]] = {"paired": ("pairs",), "set": (), "text": ("prompts",)}


@dataclass(frozen=True)
class Metric:
    """One row.

    Attributes
    ----------
    name : str
        States the setting: ``fd_{extractor}`` where the features decide what the number is.
    kind : str
        "paired" (image k belongs to image k; refuses sets that are no pairs), "set", or "text" (image and prompt).
    measure : function of `Sets` and this row -> result row
        A function of `veridical.scoring.measures`, or one made there of arrays in and numbers out.
    explanation : str
        What it is; one sentence that begins small and has no full stop.
    better : str
        "higher", "lower" or "neither".
    floor : str
        "real": the same metric with other real images in place of the synthetic ones; "chance": what is expected of new
        real images; "zero"; "none".
    bounds : (float, float)
        Where values may lie.
    needs : tuple of str
        Keys of `NEEDS`, besides those of the kind.
    published : mapping
        Extractor to the name that the number has in print where its features are the published ones.
    title : str
        What people call it, if not by its name.
    remark : str
        What follows its direction in that sentence.
    caution : str
        What a table of few rows says of every value.
    beyond : str
        What a value that is higher than that of other real images is remarked with.
    ranked : bool
        A column of the report's ranking.
    decimals : int or None
        Of its floor in the ranking; None for as many as its size warrants.
    """

    name: str
    kind: Literal["paired", "set", "text"]
    measure: Callable[[Sets, Metric], Row]
    explanation: str
    better: Literal["higher", "lower", "neither"] = "neither"
    floor: Literal["real", "chance", "zero", "none"] = "none"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    needs: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    remark: str = ""
    caution: str = ""
    beyond: str = ""
    ranked: bool = False
    decimals: int | None = 2

    def named(self, extractor: str) -> str:
        """Name of the result row with features of `extractor`."""
        return self.published.get(extractor) or self.name.replace(EXTRACTOR, extractor)

    def is_named(self, name: str) -> bool:
        """Is `name` that of a result row of this metric?"""
        if EXTRACTOR not in self.name:
            return name == self.name
        return name in self.published.values() or name.startswith(self.name.replace(EXTRACTOR, ""))

    def lacks(self, sets: Sets) -> str | None:
        """Why the metric does not apply to `sets`; None if it does."""
        needs = (*OF_KIND[self.kind], *self.needs)
        return next((reason for need in needs if (reason := NEEDS[need](sets)) is not None), None)

    def above(self, row: Row) -> str | None:
        """What there is to say of a value that is higher than that of other real images, with its whole interval; or None."""
        lowest = row["value"] if row["low"] is None else row["low"]
        return self.beyond or None if None not in (lowest, row["floor"]) and lowest > row["floor"] else None

    def explained(self) -> str:
        """Explanation, direction and remark, in sentences."""
        text = self.explanation if self.explanation.endswith("?") else f"{self.explanation}."
        return text if self.better == "neither" else f"{text} {self.better.capitalize()} is better{self.remark}."
