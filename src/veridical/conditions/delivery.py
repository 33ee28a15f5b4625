"""Conditions on their way from data to models: opened as a recipe needs them, for training, previews and sampling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from veridical.conditions.condition import Arrays, Drawn, Supply
from veridical.conditions.table import CONDITIONS, DataSettings, needed
from veridical.core.errors import InputError
from veridical.core.files import replacing
from veridical.data.dataset import Dataset
from veridical.data.open import open_dataset


class Feed(Protocol):
    """What training reads of data."""

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """Random training tiles in [0, 1] and their conditions; those of a step are always the same."""
        ...

    def files(self) -> dict[str, str]:
        """What sampling needs in the run folder: name to content."""
        ...


@dataclass(frozen=True)
class Data:
    """What a recipe learns from.

    Conditions are arrays, one row an image; the files of the conditions say which.

    Attributes
    ----------
    target : Dataset
        Tiles to generate.
    supplies : dict
        Name of each condition that is needed to its `Supply`.
    """

    target: Dataset
    supplies: dict[str, Supply] = field(default_factory=dict)

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """Random training tiles in [0, 1] and their conditions, see `Dataset.batch`."""
        places, turns = self.target.drawn(n, step, seed, start, stop)
        drawn = Drawn(n, step, seed, start, stop, places, turns)
        cond = {name: rows for supply in self.supplies.values() for name, rows in supply.batch(drawn).items()}
        return self.target.images(places, turns), cond

    def conditions(self, which: str = "test", n: int | None = None, n_unpaired: int | None = None) -> Arrays:
        """Conditions of the tiles that ``target.tiles(which, n)`` gives, and at most `n_unpaired` of those not paired."""
        cond: Arrays = {}
        for name, supply in self.supplies.items():
            cond |= supply.tiles(which, n if CONDITIONS[name].paired else n_unpaired)
        return cond

    def sizes(self) -> dict[str, int]:
        """Values of the network arguments that follow from the data; of two conditions that say one, the later's."""
        return {name: size for supply in self.supplies.values() for name, size in supply.sizes.items()}

    def describe(self) -> dict[str, Any]:
        """What ``run.json`` says of the data."""
        about: dict[str, Any] = {"dataset": self.target.summary()}
        for supply in self.supplies.values():
            about |= supply.about
        return about

    def files(self) -> dict[str, str]:
        """What sampling needs in the run folder: name to content."""
        return {name: content for supply in self.supplies.values() for name, content in supply.files.items()}


def open_data(recipe: str, needs: Iterable[str], data: str | Path, settings: DataSettings) -> Data:
    """Open the data of a recipe with the conditions that it needs.

    Parameters
    ----------
    recipe : str
        Named in errors.
    needs : iterable of str
        Names of conditions.
    data : str or Path
    settings : DataSettings

    Raises
    ------
    InputError
        If a condition is not given or not in the data.
    """
    rows = needed(needs)
    target = open_target(recipe, needs, data, settings)
    return Data(target, {row.name: row.supply(str(data), target, settings) for row in rows})


def open_target(recipe: str, needs: Iterable[str], data: str | Path, settings: DataSettings) -> Dataset:
    """The images of `open_data` alone."""
    told = [row.name for row in needed(needs)]
    if told and settings.focus > 1:
        raise InputError(
            f"{recipe} is told of each image ({', '.join(told)}), and how often that is drawn cannot be undone in scores: leave "
            "out --focus, or choose a system that learns from images alone."
        )
    keywords = {name: value for row in needed(needs) for name, value in row.keywords(recipe, settings).items()}
    return open_dataset(
        data, settings.size, augment=settings.augment, scale=settings.scale, split=settings.split or None,
        hold_out=settings.hold_out, limit=settings.limit, validation=settings.validation, focus=settings.focus, **keywords,
    )  # fmt: skip


def as_tensors(cond: Mapping[str, np.ndarray], device: torch.device | str) -> dict[str, Tensor]:
    """What a model gets of conditions: tensors, as the row of each condition presents them."""
    presented = dict(cond)
    for row in CONDITIONS.values():
        if set(row.arrays) <= set(presented):
            presented |= row.present({name: presented[name] for name in row.arrays})
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in presented.items()}


def cycle(cond: Mapping[str, np.ndarray], n: int) -> Arrays:
    """Conditions of `n` images: the given ones in turn."""
    return {name: array[np.arange(n) % len(array)] for name, array in cond.items()}


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write conditions as NPZ, atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
