"""What a user asks samples to be: classes or values, label images, images to translate from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.delivery import Arrays, cycle
from veridical.core.errors import InputError
from veridical.data.dataset import Dataset, open_dataset
from veridical.data.labels import Labels
from veridical.data.masks import rank, stored
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import RunInfo


@dataclass(frozen=True)
class Asked:
    """Conditions of the images to draw.

    Attributes
    ----------
    cond : dict
        What `veridical.runs.draw.draw` takes.
    said : list of dict
        The condition of each image in words, for its provenance.
    masks : ndarray of uint8, shape (n, H, W), or None
        The label image of each image in the values of the data, where its condition is or has one.
    """

    cond: Arrays
    said: list[dict[str, Any]]
    masks: np.ndarray | None = None


def ask(
    run: RunInfo,
    needs: Iterable[str],
    n: int,
    label: Sequence[str] = (),
    masks: str | Path | None = None,
    source: str | Path | None = None,
) -> Asked:
    """Gather the conditions of `n` images.

    Parameters
    ----------
    run : RunInfo
    needs : iterable of str
        Conditions that the recipe takes.
    n : int
    label : sequence of str
        Classes or numbers in the units of the data, in turn; by default all classes in turn, or values evenly over the
        range of the training images.
    masks : str or Path, optional
        Label images in the values and the resolution of the training data, in turn; larger ones are cut into tiles. By
        default those of held-out tiles of the training data.
    source : str or Path, optional
        Images to translate, cut into tiles, or to enlarge: then tiles are as much smaller than samples. By default held-out
        tiles of the training source (which an upsampler makes small itself).

    Raises
    ------
    InputError
        For conditions that the run does not take, or that cannot be read.
    """
    needs = set(needs)
    for name, given in (("label", label), ("mask", masks), ("source", source)):
        if given and name not in needs:
            flag = {"mask": "--masks"}.get(name, f"--{name}")
            raise InputError(f"{run.recipe} takes no {name}: leave out {flag}, or train a recipe that needs one.")
    cond: Arrays = {}
    said: list[dict[str, Any]] = [{} for _ in range(n)]
    beside = None
    if "mask" in needs:
        values = run.dataset["mask_values"]
        cond["mask"], names = _held_out_masks(run, n) if masks is None else read_masks(masks, run.size, values)
        cond["mask"] = cycle(cond, n)["mask"]
        beside = stored(cond["mask"], values)
        _say(said, "mask", names)
    if "source" in needs:
        tiles, names, found = _sources(run, n, source)
        cond["source"] = cycle({"source": tiles}, n)["source"]
        beside = cycle({"mask": found}, n)["mask"] if found is not None else beside
        _say(said, "source", names)
    if "label" in needs:
        labels = Labels.from_json(run.dataset["labels"])
        cond["label"] = cycle({"label": labels.encode(label)}, n)["label"] if label else labels.spread(n)
        _say(said, labels.column, labels.decode(cond["label"]))
    return Asked(cond, said, beside)


def _say(said: list[dict[str, Any]], what: str, values: Sequence[Any]) -> None:
    for k, row in enumerate(said):
        row[what] = values[k % len(values)]


def _held_out_masks(run: RunInfo, n: int) -> tuple[np.ndarray, list[str]]:
    config = run.config
    dataset = _opened(run.dataset["spec"], "--masks FOLDER", config, config.scale, config.split or None, True)
    if dataset.mask_values != tuple(run.dataset["mask_values"]):
        raise InputError(f"{dataset.spec} has other mask classes than in training: give --masks FOLDER.")
    return dataset.tile_conditions("test", n)["mask"], dataset.tiles("test", n)[1]


def _sources(run: RunInfo, n: int, source: str | Path | None) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """Tiles to translate, the images they are from, and their label images where all have one."""
    config = run.config
    spec, split = (str(source), "none") if source is not None else (config.source, None)
    masked = open_slices(spec).masked if source is not None or _exists(spec) else []
    window = IntensityWindow.from_json(run.conditions["source"]["window"])
    size, scale, labelled = config.size, config.source_scale, bool(masked) and all(masked)
    if source is not None and "factor" in run.args:  # to enlarge: as coarse as they are, and so are their masks
        size, scale, labelled = size // run.args["factor"], 1.0, False
    dataset = _opened(spec, "--source DATA", config, scale, split, labelled, window, size)
    if dataset.channels != run.channels:
        raise InputError(f"{spec} has {dataset.channels} channels and the run {run.channels}: convert the images.")
    tiles, names = dataset.tiles("test", n, oriented=source is None)
    masks = dataset.tile_conditions("test", n, oriented=source is None).get("mask")
    return tiles, names, None if masks is None else stored(masks, dataset.mask_values or ())


def _opened(
    spec: str,
    flag: str,
    config: TrainConfig,
    scale: float,
    split: str | None,
    masks: bool,
    window: IntensityWindow | None = None,
    size: int = 0,
) -> Dataset:
    if not _exists(spec):
        raise InputError(f"{spec}, which the run was trained with, is not there any more: give {flag}.")
    return open_dataset(
        spec, size or config.size, augment=config.augment, scale=scale, split=split, masks=masks, window=window
    )


def _exists(spec: str) -> bool:
    from veridical.data.readers.open import split_key

    return spec.startswith(("phantom:", "skimage:")) or split_key(spec)[0].exists()


def read_masks(spec: str | Path, size: int, values: Sequence[int]) -> tuple[np.ndarray, list[str]]:
    """Cut label images into tiles.

    Parameters
    ----------
    spec : str or Path
        Grey images whose pixels are the label values of the training data.
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
        If an image is in colour, smaller than a tile, or holds a value of no class.
    """
    slices = open_slices(spec)
    if slices.channels != 1 or slices.dtype.kind not in "bu":
        raise InputError(f"{spec}: label images are grey images of whole numbers; export them as 8-bit PNG")
    cut, names = [], []
    for index, name in enumerate(slices.names):
        image = slices[index]
        height, width = image.shape
        if min(height, width) < size:
            raise InputError(f"{spec}: {name} has {width} x {height} pixels, less than a tile of {size} x {size}")
        if image.max() > 255:
            raise InputError(f"{spec}: {name} holds values above 255; give label values, not grey levels")
        classes = rank(image.astype(np.uint8)[None], values, [name])[0]
        for y in range(0, height - size + 1, size):
            for x in range(0, width - size + 1, size):
                cut.append(classes[y : y + size, x : x + size])
                names.append(name if (height, width) == (size, size) else f"{name}_y{y}x{x}")
    return np.stack(cut), names
