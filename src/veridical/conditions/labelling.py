"""The condition ``labelling``: the label images that a model learns to draw with the images; samples are never asked for one.

Arrays: ``labelling``, uint8 class numbers (N, H, W), 255 where nothing is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Condition, Request, Supply, TileSettings
from veridical.core.settings import setting
from veridical.data.dataset import Dataset
from veridical.data.masks import PartLabels


@dataclass(frozen=True)
class LabellingSettings(TileSettings):
    """Which of the tiles have labels."""

    label_tiles: int = setting(
        0,
        "For labelled: use the label images of so many training tiles only, those that --limit would pick; the others teach the "
        "images alone. 0: all there are.",
        low=0,
    )
    label_share: float = setting(
        0.5, "For labelled: share of the tiles of a batch that have labels, where not all have.", low=0, high=1
    )


def _keywords(recipe: str, settings: Any) -> dict[str, Any]:
    return {"part": PartLabels(settings.label_tiles, settings.label_share)}


def _supply(spec: str, target: Dataset, settings: TileSettings) -> Supply:
    def tiles(which: str, n: int | None) -> dict[str, np.ndarray]:
        places, _, turns = target.chosen(which, n)
        return {"labelling": target.masks_of(places, turns)}

    return Supply(
        batch=lambda drawn: {"labelling": target.masks_of(drawn.places, drawn.turns)},
        tiles=tiles,
        sizes={"classes": target.classes},
    )


def _ask(request: Request) -> Answer:
    return Answer({}, "labels", ("drawn with the image",))


LABELLING = Condition(
    name="labelling",
    setting="",
    options=(),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    sizes={"classes": "change their number by other masks"},
    kept=("dataset", "mask_values"),
)
