"""The condition ``source``: images to translate or to enlarge, not paired with those of the target.

Arrays: ``source``, float32 in [0, 1] (N, C, H, W); a model gets [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical.conditions.condition import Answer, Arrays, Condition, Drawn, Option, Request, Supply, TileSettings
from veridical.conditions.reopen import exists, reopened
from veridical.core.errors import InputError
from veridical.core.settings import setting
from veridical.data.dataset import Dataset
from veridical.data.masks import stored
from veridical.data.open import open_dataset
from veridical.data.pixel_size import pixel_size_remarks
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow


@dataclass(frozen=True)
class SourceSettings(TileSettings):
    """What asks for images to translate."""

    source: str = setting("", "Images to translate from, for recipes that need them; no pairs.")
    source_scale: float = setting(1.0, "Resize images of the source by this factor before cutting tiles.", low=1e-3)


def _keywords(recipe: str, settings: SourceSettings) -> dict[str, Any]:
    if not settings.source:
        raise InputError(f"{recipe} needs images to translate from: give --source DATA.")
    return {}


def _supply(spec: str, target: Dataset, settings: SourceSettings) -> Supply:
    source = open_dataset(
        settings.source, settings.size, augment=settings.augment, scale=settings.source_scale,
        validation=settings.validation if target.watched else 0.0,
    )  # fmt: skip
    if source.channels != target.channels:
        words = {1: "grey", 3: "RGB"}
        raise InputError(
            f"{settings.source} is {words[source.channels]} but {spec} is {words[target.channels]}; convert one of them"
        )
    target.notes += pixel_size_remarks({spec: target.pixel_size, settings.source: source.pixel_size})

    def batch(drawn: Drawn) -> Arrays:
        from veridical.core.batch import mix  # imports torch, which the help of the command line does without

        # From seeds of its own: tile k of the source has nothing to do with tile k of the target.
        tiles = source.batch(drawn.n, drawn.step, mix(drawn.seed, 1), drawn.start, drawn.stop)
        return {"source": tiles["image"]}

    def tiles(which: str, n: int | None) -> Arrays:
        side = "train" if which == "validation" and not source.watched else which  # any will do to watch by
        return {"source": source.tiles(side, n)[0]}

    return Supply(batch, tiles, about={"source": source.summary()})


def _ask(request: Request, given: str | Path | None) -> Answer:
    """Images cut into tiles, or to enlarge: then tiles are as much smaller; by default held-out tiles of the training source.

    Where all images have a label image, these come along. A run without a source of its own takes images like those that it was
    trained on.
    """
    run, settings = request.run, request.settings
    known = (
        run["source"]
        if run.get("source")
        else {"window": run["window"], "pixel_size": run["dataset"].get("pixel_size")}
    )
    spec, split = (str(given), "none") if given else (settings.source, None)
    masked = open_slices(spec).masked if given or exists(spec) else []
    size, scale, labelled = settings.size, settings.source_scale, bool(masked) and all(masked)
    coarse = bool(given) and request.shrink > 1
    if coarse:  # to enlarge: as coarse as they are, and so are their masks
        size, scale, labelled = size // request.shrink, 1.0, False
    dataset = reopened(
        spec, "--source DATA", size, augment=settings.augment, scale=scale, split=split, masks=labelled,
        window=IntensityWindow.from_json(known["window"]),
    )  # fmt: skip
    if dataset.channels != run["channels"]:
        raise InputError(f"{spec} has {dataset.channels} channels and the run {run['channels']}: convert the images.")
    sizes = {spec: dataset.pixel_size, "the source of the training": known.get("pixel_size")}
    tiles, names = dataset.tiles("test", request.n, oriented=not given)
    masks = dataset.tile_conditions("test", request.n, oriented=not given).get("mask")
    return Answer(
        {"source": tiles}, "source", names, None if masks is None else stored(masks, dataset.mask_values or ()),
        () if coarse else tuple(pixel_size_remarks(sizes)),
    )  # fmt: skip


def _present(arrays: Arrays) -> Arrays:
    return {"source": arrays["source"] * 2 - 1}


def _located(given: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    return {"source": find(str(given["source"]))} if "source" in given else {}


SOURCE = Condition(
    name="source",
    setting="source",
    options=(
        Option("source", "Images to translate or enlarge. Default: held-out ones of the source.", metavar="DATA"),
    ),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    present=_present,
    located=_located,
    paired=False,
    kept=("source", "window"),
    maps=True,
)
