"""The condition ``mask``: the label image of each tile, from ``masks/`` folders or of phantoms.

Arrays: ``mask``, uint8 class numbers (N, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Condition, Option, Request, Supply, TileSettings
from veridical.conditions.reopen import reopened
from veridical.core.errors import InputError
from veridical.data.dataset import Dataset
from veridical.data.masks import open_labels, rank, stored


def _keywords(recipe: str, settings: TileSettings) -> dict[str, Any]:
    return {"masks": True}


def _supply(spec: str, target: Dataset, settings: TileSettings) -> Supply:
    def tiles(which: str, n: int | None) -> dict[str, np.ndarray]:
        places, _, turns = target.chosen(which, n)
        return {"mask": target.masks_of(places, turns)}

    return Supply(
        batch=lambda drawn: {"mask": target.masks_of(drawn.places, drawn.turns)},
        tiles=tiles,
        sizes={"classes": len(target.mask_values or ())},
    )


def _ask(request: Request, given: str | Path | None) -> Answer:
    """Label images in the values and resolution of the data, larger ones cut into tiles; by default held-out ones."""
    values = request.run["dataset"]["mask_values"]
    if given:
        classes, names = read_masks(given, request.settings.size, values)
    else:
        classes, names = _held_out(request, values)
    return Answer({"mask": classes}, "mask", names, masks=stored(classes, values))


def _held_out(request: Request, values: Sequence[int]) -> tuple[np.ndarray, list[str]]:
    settings = request.settings
    dataset = reopened(
        request.run["dataset"]["spec"], "--masks FOLDER", settings.size,
        augment=settings.augment, scale=settings.scale, split=settings.split or None, hold_out=settings.hold_out, masks=True,
    )  # fmt: skip
    if dataset.mask_values != tuple(values):
        raise InputError(f"{dataset.spec} has other mask classes than in training: give --masks FOLDER.")
    return dataset.tile_conditions("test", request.n)["mask"], dataset.tiles("test", request.n)[1]


def read_masks(spec: str | Path, size: int, values: Sequence[int]) -> tuple[np.ndarray, list[str]]:
    """Cut label images into tiles.

    Parameters
    ----------
    spec : str or Path
        Label images in the values (or the colours) of the training data.
    size : int
    values : sequence of int
        The stored value of each class.

    Returns
    -------
    classes : ndarray of uint8, shape (N, size, size)
    names : list of str
        ``name``, or ``name_y0x64`` of a tile of a larger image.

    Raises
    ------
    InputError
        If an image is smaller than a tile, no label image, or holds a value of no class.
    """
    slices = open_labels(spec, values)
    cut, names = [], []
    for index, name in enumerate(slices.names):
        labels = slices[index]
        height, width = labels.shape
        if min(height, width) < size:
            raise InputError(f"{spec}: {name} has {width} x {height} pixels, less than a tile of {size} x {size}")
        classes = rank(labels[None], values, [name])[0]
        for y in range(0, height - size + 1, size):
            for x in range(0, width - size + 1, size):
                cut.append(classes[y : y + size, x : x + size])
                names.append(name if (height, width) == (size, size) else f"{name}_y{y}x{x}")
    return np.stack(cut), names


MASK = Condition(
    name="mask",
    setting="",
    options=(Option("masks", "Label images to draw from. Default: held-out ones.", metavar="FOLDER"),),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    sizes={"classes": "change their number with --bins, or by other masks"},
    kept=("dataset", "mask_values"),
    maps=True,
)
