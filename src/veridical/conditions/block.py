"""The condition ``block``: the part of a volume that a training tile lies in; samples are never asked for one.

Arrays: ``block``, float32 in [0, 1] (N, C, S, S, S); a model gets [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Arrays, Condition, Request, Supply, TileSettings
from veridical.core.errors import InputError
from veridical.data.dataset import Dataset


def _keywords(recipe: str, settings: TileSettings) -> dict[str, Any]:
    if settings.limit:
        raise InputError(f"{recipe} learns from blocks, which are more than so many tiles: leave out --limit.")
    return {}


def _supply(spec: str, target: Dataset, settings: TileSettings) -> Supply:
    target.blocks(np.zeros((0, 3), np.int64), np.zeros(0, np.int64))  # what has none is said now
    return Supply(
        batch=lambda drawn: {"block": target.blocks(drawn.places, drawn.turns)},
        tiles=lambda which, n: {},
    )


def _ask(request: Request) -> Answer:
    return Answer({}, "block", ("of a block of its own",))


def _present(arrays: Arrays) -> Arrays:
    return {"block": arrays["block"] * 2 - 1}


BLOCK = Condition(
    name="block",
    setting="",
    options=(),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    present=_present,
)
