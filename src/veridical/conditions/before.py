"""The condition ``before``: of pairs the image that each tile was made of by an instruction.

Arrays: ``before``, float32 in [0, 1] (N, C, H, W), cut and turned as the tiles are; a model gets [-1, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Arrays, Condition, Option, Request, Supply, TileSettings
from veridical.conditions.reopen import reopened
from veridical.core.errors import InputError
from veridical.data.dataset import Dataset
from veridical.data.survey import fingerprint
from veridical.data.window import IntensityWindow


def _keywords(recipe: str, settings: TileSettings) -> dict[str, Any]:
    return {}


def _supply(spec: str, target: Dataset, settings: TileSettings) -> Supply:
    target.befores(np.zeros((0, 3), np.int64), np.zeros(0, np.int64))  # what has none is said now
    read = target.slices.read_before
    assert read is not None

    def tiles(which: str, n: int | None) -> Arrays:
        places, _, turns = target.chosen(which, n)
        return {"before": target.befores(places, turns)}

    return Supply(
        batch=lambda drawn: {"before": target.befores(drawn.places, drawn.turns)},
        tiles=tiles,
        about={"before": {"spec": spec, "fingerprint": fingerprint(target.slices, read, ("before",))}},
    )


def _ask(request: Request, given: str | Path | None) -> Answer:
    """Images to change, larger ones cut into tiles; of pairs those before; by default held-out ones of the training data."""
    run, settings = request.run, request.settings
    spec = str(given or run["dataset"]["spec"])
    dataset = reopened(
        spec, "--before DATA", settings.size, augment=settings.augment, scale=settings.scale,
        split="none" if given else settings.split or None, hold_out=0 if given else settings.hold_out,
        window=IntensityWindow.from_json(run["window"]),
    )  # fmt: skip
    if dataset.channels != run["channels"]:
        raise InputError(f"{spec} has {dataset.channels} channels and the run {run['channels']}: convert the images.")
    places, names, turns = dataset.chosen("test", request.n, oriented=not given)
    paired = dataset.slices.read_before is not None or not given
    tiles = dataset.befores(places, turns) if paired else dataset.images(places, turns)
    return Answer({"before": tiles}, "before", names)


def _present(arrays: Arrays) -> Arrays:
    return {"before": arrays["before"] * 2 - 1}


BEFORE = Condition(
    name="before",
    setting="",
    options=(
        Option("before", "Images to change as --prompt says. Default: held-out ones of the pairs.", metavar="DATA"),
    ),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    present=_present,
    maps=True,
)
