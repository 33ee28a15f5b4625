"""Conditions on their way from data to models: opened as a recipe needs them, for training, previews and sampling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veridical.core.batch import mix
from veridical.core.errors import InputError
from veridical.core.files import replacing
from veridical.data.dataset import Dataset, open_dataset
from veridical.recipes.config import TrainConfig

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """What a recipe learns from.

    Conditions are arrays, one row an image: ``"label"`` int64 class numbers or float32 standardised values (N,), ``"mask"``
    uint8 class numbers (N, H, W), ``"source"`` float32 in [0, 1] (N, C, H, W).

    Attributes
    ----------
    target : Dataset
        Tiles to generate, with their labels and masks.
    source : Dataset or None
        Tiles to translate from; they are not paired with those of `target`.
    """

    target: Dataset
    source: Dataset | None = None

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """Random training tiles in [0, 1] and their conditions, see `Dataset.batch`."""
        cond = self.target.batch(n, step, seed, start, stop)
        image = cond.pop("image")
        if self.source is not None:
            # From seeds of its own: tile k of the source has nothing to do with tile k of the target.
            cond["source"] = self.source.batch(n, step, mix(seed, 1), start, stop)["image"]
        return image, cond

    def conditions(self, which: str = "test", n: int | None = None, n_source: int | None = None) -> Arrays:
        """Conditions of the tiles that ``target.tiles(which, n)`` gives, and at most `n_source` tiles of the source."""
        cond = self.target.tile_conditions(which, n)
        if self.source is not None:
            cond["source"], _ = self.source.tiles(which, n_source)
        return cond

    def describe(self) -> dict[str, Any]:
        """What ``run.json`` says of the data."""
        about: dict[str, Any] = {"dataset": self.target.summary()}
        if self.source is not None:
            about["source"] = self.source.summary()
        return about


def open_data(recipe: str, needs: Iterable[str], data: str | Path, config: TrainConfig) -> Data:
    """Open the data of a recipe with the conditions that it needs.

    Parameters
    ----------
    recipe : str
        Named in errors.
    needs : iterable of str
        "label", "mask", "source".
    data : str or Path
    config : TrainConfig

    Raises
    ------
    InputError
        If a condition is not given or not in the data.
    """
    needs = set(needs)
    if "label" in needs and not config.label:
        raise InputError(
            f"{recipe} needs a label: give --label COLUMN, a column of labels.csv or properties.csv beside the images, "
            "or --label folder if there is a folder a class."
        )
    if "source" in needs and not config.source:
        raise InputError(f"{recipe} needs images to translate from: give --source DATA.")
    target = open_dataset(
        data,
        config.size,
        augment=config.augment,
        scale=config.scale,
        split=config.split or None,
        masks="mask" in needs,
        label=config.label if "label" in needs else "",
        bins=config.bins,
        limit=config.limit,
    )
    source = None
    if "source" in needs:
        source = open_dataset(config.source, config.size, augment=config.augment, scale=config.source_scale)
        if source.channels != target.channels:
            words = {1: "grey", 3: "RGB"}
            raise InputError(
                f"{config.source} is {words[source.channels]} but {data} is {words[target.channels]}; convert one of them"
            )
    return Data(target, source)


def as_tensors(cond: Mapping[str, np.ndarray], device: torch.device | str) -> dict[str, Tensor]:
    """What a model gets of conditions: tensors, sources in [-1, 1]."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in cond.items()}
    if "source" in tensors:
        tensors["source"] = tensors["source"] * 2 - 1
    return tensors


def cycle(cond: Mapping[str, np.ndarray], n: int) -> Arrays:
    """Conditions of `n` images: the given ones in turn."""
    return {name: array[np.arange(n) % len(array)] for name, array in cond.items()}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write conditions as NPZ, atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
