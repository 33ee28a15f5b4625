"""A model tuned towards what an expert takes: pairs of its own images, one of which is preferred."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from veridical.adapting.judges import Judge, by_property, by_table, judge_of
from veridical.adapting.preference import Pairs, paired, preference_losses
from veridical.adapting.rounds import Looks
from veridical.adapting.ruler import gradient_losses, ruler_of
from veridical.adapting.told import Told
from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import Feed
from veridical.core.arrays import Images
from veridical.core.batch import mix
from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.data.dataset import Dataset
from veridical.data.images import channels_first
from veridical.data.readers.imagefile import read_image
from veridical.recipes.config import TrainConfig
from veridical.runs.draw import draw
from veridical.runs.run import Run, load
from veridical.training.loop import Losses

LOOKED_AT = 64  # images that are drawn after each round
TOO_FEW = 10  # real tiles that the audit's scores are scaled by


@dataclasses.dataclass(frozen=True)
class Course:
    """What rewards are given for, and how they are looked at.

    Attributes
    ----------
    feed : Feed
    losses : callable
        Of the model, once it has its low-rank changes.
    draws : callable
        See `veridical.adapting.rounds.train_in_rounds`.
    looks : callable
    found : dict
        For ``run.json``: which defects are rewarded and which are held out, how many pairs there are.
    """

    feed: Feed
    losses: Callable[[nn.Module], Losses]
    draws: Callable[[Path | None], Images]
    looks: Looks
    found: dict[str, Any]


def course_of(base: Run, target: Dataset, told: Told, config: TrainConfig, own: dict[str, Any]) -> Course:
    """Draw images of the base, or read rated ones, and pair them.

    Raises
    ------
    InputError
        If the ratings say nothing, or the real images are too few to hold anything against.
    """
    real, _ = target.tiles("train")
    if len(real) < TOO_FEW:
        raise InputError(f"{target.spec} has {len(real)} training tiles to judge by: give at least {TOO_FEW}.")
    seen = dataclasses.replace(base, info=base.info.replace(channels=target.channels))
    judge = judge_of(real)
    cond = _conditions(told, max(own["candidates"], LOOKED_AT))
    first = {name: rows[:LOOKED_AT] for name, rows in cond.items()}
    before = _draw(seen, first, LOOKED_AT, mix(config.seed, 7))
    if own["through"] == "gradient":
        ruler = ruler_of(own["property"], judge.segmentation)
        feed: Feed = told
    elif own["by"] == "table":
        if told.captions and not own["prompt"]:
            raise InputError("rated images go with the prompt that they were drawn with: give it as --prompt.")
        images, ratings = _rated(own["ratings"], seen, target.size)
        cond = _conditions(told, len(images))
    else:
        tell(base.folder, f"draws {own['candidates']} images first")
        cond = {name: rows[: own["candidates"]] for name, rows in cond.items()}
        images = _draw(seen, cond, own["candidates"], mix(config.seed, 8))
        judge = judge.halved(images) if own["by"] == "audit" else judge
        ratings = _ratings(images, judge, own)
    if own["through"] == "pairs":
        feed = Pairs(images, cond, *paired(ratings), told.files())

    def losses(model: nn.Module) -> Losses:
        if own["through"] == "pairs":
            return preference_losses(model, own["beta"], own["keep"])
        return gradient_losses(model, ruler, own["target"], own["keep"], target.channels == 1)

    def draws(folder: Path | None) -> Images:
        if folder is None:
            return before
        run = load(folder, config.device)
        now = dataclasses.replace(run, info=run.info.replace(channels=target.channels))
        return _draw(now, first, LOOKED_AT, mix(config.seed, 7))

    def looks(drawn: Images) -> tuple[float, float]:
        rewarded, held = judge.strange(drawn)
        passing = float((held <= 1).mean())
        if own["by"] == "audit":
            return float((rewarded <= 1).mean()), passing
        if own["by"] == "property":
            return float(np.nanmean(_ratings(drawn, judge, own))), passing
        return 0.0, passing  # nobody rates the new images

    found: dict[str, Any] = {"rewarded": list(judge.rewarded), "held_out": list(judge.held)}
    found |= {"pairs": len(feed.better)} if isinstance(feed, Pairs) else {}
    return Course(feed, losses, draws, looks, found)


def _ratings(images: Images, judge: Judge, own: dict[str, Any]) -> np.ndarray:
    if own["by"] == "property":
        return by_property(images, judge, own["property"], own["target"])
    return -judge.strange(images)[0]


def _conditions(told: Told, n: int) -> Arrays:
    """Of `n` images: what training images are told, in turn."""
    texts = [text for each in told.captions for text in each[:1]]
    return told.encode([texts[k % len(texts)] for k in range(n)]) if texts else {}


def _draw(run: Run, cond: Arrays, n: int, seed: int) -> Images:
    return draw(run, n, seed=seed, batch=16, cond=cond)


def _rated(path: str, run: Run, size: int) -> tuple[Images, np.ndarray]:
    """Rated images of a table, in [0, 1] by the window of the run that drew them."""
    rows = by_table(path)
    stored = [read_image(file) for file, _ in rows]
    for (file, _), each in zip(rows, stored, strict=True):
        if each.shape[:2] != (size, size) or each.dtype.name != run.window.dtype:
            raise InputError(
                f"{file} is no image that {run.folder} drew: give {size} x {size} pixels of {run.window.dtype}."
            )
    if not rows:
        raise InputError(f"{path} rates no image: give a row image,rating for each.")
    return channels_first(run.window.to_unit(np.stack(stored))), np.array([rating for _, rating in rows])
