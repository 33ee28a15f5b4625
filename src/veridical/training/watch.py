"""A training is watched: pictures now and then, their distance to validation tiles, and which state was the best.

No picture and no score is worth a training: one that fails is a note.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import Data, Feed, as_tensors, cycle
from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.models.contract import Generating, Large
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import Best
from veridical.scoring.score import gather, measure
from veridical.scoring.sets import Known, Sets
from veridical.scoring.table import HEADLINE
from veridical.stats.jackknife import jackknife
from veridical.training import course
from veridical.training.course import Point
from veridical.training.preview import FAILURES, show

SHOWN = 16  # samples of a preview, and the fewest of a score
SCORED = 64  # samples of a score, where they cost little
FEWEST = 8  # of them that are left where a focus is undone
TILES = 200  # validation tiles that they are compared with
COST = 0.05  # of the time, for previews and scores together


class Watch:
    """The previews of one training.

    Attributes
    ----------
    shown : images (N, C, H, W) in [0, 1]
        Real tiles with the conditions of the samples of every preview: validation tiles, or training tiles without such; of a
        first stage those that it encodes.
    points : list of Point
        Scores so far.
    said, waited : str, int
        The last score in words, and how many scores ago the lowest was.
    pause : float
        Seconds that the last preview took.

    A first stage is not for drawing: its previews are training tiles that were encoded and decoded, and these are scored.
    Validation tiles would be compared with themselves.
    """

    def __init__(
        self,
        out: Path,
        data: Feed,
        config: TrainConfig,
        device: torch.device,
        points: Sequence[Point],
        first_stage: bool = False,
    ) -> None:
        self.points, self.pause = list(points), 0.0
        self._judge()
        self._out, self._device = out, device
        self._room = COST * config.preview_every
        self._score: Score | None = None
        self._focus = data.target.focus if isinstance(data, Data) else None
        if isinstance(data, Data) and data.target.watched:
            self._score = Score(*_validation(data))
            self.shown, self._cond = self._score.tiles[:SHOWN], self._score.cond
        else:  # tiles of the first batch
            self.shown, self._cond = data.batch(SHOWN, 0, config.seed)
        self._encoded: Images | None = None
        if first_stage:
            self._encoded, _ = data.batch(SCORED, 0, config.seed)
            self.shown = self._encoded[:SHOWN]

    def look(self, model: nn.Module, step: int, seconds: float, scored: bool = True) -> Point | None:
        """Draw samples of the averaged weights, always with the same noise and conditions, show sixteen and score all of them.

        Parameters
        ----------
        model : Module
        step : int
        seconds : float
            Since the training began.
        scored : bool
            Whether there is time for a score.
        """
        began, self.pause = time.monotonic(), 0.0
        point = None
        if isinstance(model, Generating) and not isinstance(model, Large):  # which takes minutes an image
            try:
                images = self._draw(model, range(SHOWN))
                show(self.picture(step), images)
                if self._score is not None and scored:
                    point = self._point(model, images, began, step, seconds)
            except FAILURES as error:
                tell(self._out, f"no preview of step {step} ({' '.join(str(error).split())})")
            finally:  # also where it is stopped
                self.pause = time.monotonic() - began
        return point

    def picture(self, step: int) -> Path:
        """Where the preview of a step is."""
        return self._out / "samples" / f"step_{step:07d}.png"

    def _point(self, model: Generating, images: Images, began: float, step: int, seconds: float) -> Point | None:
        assert self._score is not None
        parts, done = [images], SHOWN
        most = min(SCORED, len(self._score.tiles))
        # More of them as long as previews do not become rarer by that.
        while done < most and (time.monotonic() - began) * (done + SHOWN) / done < self._room:
            numbers = range(done, min(most, done + SHOWN))
            parts.append(self._draw(model, numbers))
            done = numbers.stop
        drawn = np.concatenate(parts)
        if self._focus is not None:
            drawn = drawn[self._focus.natural(drawn)]
            if len(drawn) < FEWEST:
                return None  # by chance, or the model draws nothing but full tiles yet
        try:
            value, low, high, error = self._score.of(drawn)
        except InputError as reason:  # which holds for later previews, too
            tell(self._out, f"previews are not scored: {reason}")
            self._score = None
            return None
        point = Point(step, seconds, value, low, high, error, len(drawn))
        self.points.append(point)
        self._judge()
        return point

    def _judge(self) -> None:
        self.said, self.waited = course.told(self.points), course.since_lowest(self.points)

    def _draw(self, model: Generating, numbers: range) -> Images:
        cond = {name: rows[numbers.start : numbers.stop] for name, rows in self._cond.items()}
        with torch.no_grad():
            if self._encoded is None:
                noise = ImageNoise(0, numbers, self._device)
                sampled = model.sample(len(numbers), as_tensors(cond, self._device), noise)
            else:
                tiles = torch.from_numpy(self._encoded[numbers.start : numbers.stop]).to(self._device) * 2 - 1
                first: Any = model
                sampled = first.decode(first.encode(tiles))
        images: Images = ((sampled.clamp(-1, 1) + 1) / 2).float().cpu().numpy()
        return images

    def best(self) -> Best:
        """What ``run.json`` says of the state of the last score."""
        assert self._score is not None
        said = {name: value for name, value in dataclasses.asdict(self.points[-1]).items() if name != "seconds"}
        smoothed = course.smoothed(self.points)[0]
        return Best(metric=HEADLINE, smoothed=smoothed, tiles=len(self._score.tiles), **said)


class Score:
    """Distance of samples to validation tiles; what concerns the tiles is computed once.

    Parameters
    ----------
    tiles : images (N, C, H, W) in [0, 1]
    groups : list of str
        The image that each comes from.
    cond : arrays
        Their conditions, a row each; of fewer tiles than a preview shows in turn.
    """

    def __init__(self, tiles: Images, groups: Sequence[str], cond: Arrays) -> None:
        self.tiles, self.cond, self._groups = tiles, cond, list(groups)
        self._known: Known | None = None

    def of(self, images: Images) -> tuple[float, float | None, float | None, float]:
        """Distance to real of samples, its 95 % interval, and the standard error that the samples alone make.

        Raises
        ------
        InputError
            If these tiles give no scale.
        """
        about: dict[str, Any] = {"real_groups": self._groups}
        if self._known is None:
            self._known = gather(self.tiles, self.tiles, **about).to_keep()
        sets = dataclasses.replace(gather(self.tiles, images, **about), known=self._known)
        (row,) = measure(sets, [HEADLINE])
        if row["value"] is None:
            raise InputError(row["reason"])
        return row["value"], row["low"], row["high"], _error(sets) / row["settings"]["kid_random_phase"]


def _error(sets: Sets) -> float:
    """Standard error of the kernel distance that the samples make, for given real tiles."""
    from veridical.metrics.distribution import mmd2

    xx, yy, xy, _, _ = sets.kernels
    found = jackknife(lambda j: mmd2(xx, yy[np.ix_(j, j)], xy[:, j]), [np.arange(len(yy))], kind="distance").se
    return 0.0 if found is None else found


def _validation(data: Data) -> tuple[Images, list[str], Arrays]:
    """Validation tiles in an order in which the first few are of all images, the image of each, and their conditions."""
    tiles, groups = data.target.tiles("validation", TILES)
    order = np.random.default_rng(0).permutation(len(tiles))
    cond = cycle(data.conditions("validation", TILES, TILES), len(tiles))
    cond = {name: rows[order] for name, rows in cond.items()}
    return tiles[order], [groups[k] for k in order], cycle(cond, max(len(tiles), SHOWN))
