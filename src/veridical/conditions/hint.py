"""The condition ``hint``: maps that tell where things lie, made of each tile or of its label image.

Arrays: ``hint``, float32 in [0, 1] (N, K, H, W), see `veridical.data.hints`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Arrays, Condition, Request, Supply, TileSettings
from veridical.conditions.mask import MASK
from veridical.conditions.reopen import reopened
from veridical.conditions.source import SOURCE
from veridical.core.errors import InputError
from veridical.core.settings import setting
from veridical.data.dataset import Dataset
from veridical.data.hints import KINDS, OF_MASKS, channels_of, hints_of_images, hints_of_masks
from veridical.data.window import IntensityWindow


@dataclass(frozen=True)
class HintSettings(TileSettings):
    """What asks for hints."""

    hint: str = setting(
        "canny",
        "What tells a controlnet where things lie: edges (canny) or a coarse sketch of the image itself; or its label mask, or "
        "the distance of each pixel from the edges of the classes.",
        choices=KINDS,
    )


def _keywords(recipe: str, settings: HintSettings) -> dict[str, Any]:
    return {"masks": True} if settings.hint in OF_MASKS else {}


def _made(kind: str, tiles: np.ndarray, classes: int) -> Arrays:
    """Of images, or of label images, as the kind of hint wants."""
    return {"hint": hints_of_masks(kind, tiles, classes) if kind in OF_MASKS else hints_of_images(kind, tiles)}


def _supply(spec: str, target: Dataset, settings: HintSettings) -> Supply:
    kind, classes = settings.hint, len(target.mask_values or ())

    def of(places: np.ndarray, turns: np.ndarray) -> Arrays:
        return _made(kind, (target.masks_of if kind in OF_MASKS else target.images)(places, turns), classes)

    def tiles(which: str, n: int | None) -> Arrays:
        places, _, turns = target.chosen(which, n)
        return of(places, turns)

    return Supply(
        batch=lambda drawn: of(drawn.places, drawn.turns), tiles=tiles, sizes={"hints": channels_of(kind, classes)}
    )


def _ask(request: Request, masks: str | Path | None, source: str | Path | None) -> Answer:
    """Hints of label images or of images, as the run was trained with; by default of held-out tiles."""
    run, settings = request.run, request.settings
    kind, values = settings.hint, run["dataset"].get("mask_values") or ()
    if kind in OF_MASKS:
        if source:
            raise InputError(f"a run of hint={kind} is told label images: give --masks FOLDER in place of --source.")
        found = MASK.ask(request, masks)
        return replace(found, arrays=_made(kind, found.arrays["mask"], len(values)))
    if masks:
        raise InputError(f"a run of hint={kind} is told images: give --source DATA in place of --masks.")
    if source:
        found = SOURCE.ask(request, source)
        return replace(found, arrays=_made(kind, found.arrays["source"], 0))
    dataset = reopened(
        run["dataset"]["spec"], "--source DATA", settings.size, augment=settings.augment, scale=settings.scale,
        split=settings.split or None, hold_out=settings.hold_out, window=IntensityWindow.from_json(run["window"]),
    )  # fmt: skip
    tiles, names = dataset.tiles("test", request.n)
    return Answer(_made(kind, tiles, 0), "source", names)


HINT = Condition(
    name="hint",
    setting="hint",
    options=(*MASK.options, *SOURCE.options),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    sizes={"hints": "change their number with another --hint, or by other masks"},
    maps=True,
)
