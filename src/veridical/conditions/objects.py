"""The condition ``objects``: label images of what training hides, where the data have some; samples are never asked for one.

Arrays: ``objects``, uint8 class numbers (N, H, W), 255 where nothing is labelled; none of data without label images.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Condition, Request, Supply, TileSettings
from veridical.data.dataset import Dataset
from veridical.data.masks import PartLabels


def _keywords(recipe: str, settings: TileSettings) -> dict[str, Any]:
    return {"part": PartLabels(optional=True)}


def _supply(spec: str, target: Dataset, settings: TileSettings) -> Supply:
    def of(places: np.ndarray, turns: np.ndarray) -> dict[str, np.ndarray]:
        return {"objects": target.masks_of(places, turns)} if target.mask_values else {}

    def tiles(which: str, n: int | None) -> dict[str, np.ndarray]:
        places, _, turns = target.chosen(which, n)
        return of(places, turns)

    return Supply(batch=lambda drawn: of(drawn.places, drawn.turns), tiles=tiles)


def _ask(request: Request) -> Answer:
    return Answer({}, "objects", ("of training alone",))


OBJECTS = Condition(name="objects", setting="", options=(), keywords=_keywords, supply=_supply, ask=_ask)
