"""Which of a model's images an expert would take: by half of the audit's defects, by a measured property, or by a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veridical.auditing.case import alone, nearness
from veridical.auditing.defects import scores
from veridical.auditing.measure import PROPERTIES, SHAPES, TONE, Measured, Segmentation, fit_segmentation, measure
from veridical.auditing.scored import Scored, score_images
from veridical.core.arrays import Images
from veridical.core.errors import InputError

FOLDS = 5
MEASURED = (*PROPERTIES, *SHAPES, *TONE)  # properties that can be asked for


@dataclass(frozen=True)
class Judge:
    """The audit's scores of single images beside real ones, in two halves: what is rewarded, and what is held out.

    Attributes
    ----------
    real : Measured
    segmentation : Segmentation
    rewarded, held : tuple of str
        Names of defects.
    """

    real: Measured
    segmentation: Segmentation
    rewarded: tuple[str, ...]
    held: tuple[str, ...]

    def strange(self, images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Worst score of each image (N,) among the rewarded defects, and among those held out.

        1 is the 95th percentile of the worst scores of real images, up to which an image passes.

        Without any rewarded defects the first is 0.
        """
        scored, columns, worst = self._scored(images), list(scores()), []
        for names in (self.rewarded, self.held):
            of = [columns.index(name) for name in names]
            usual = np.quantile(scored.real[:, of].max(1), 0.95) if names else 1.0
            worst.append(scored.mean[:, of].max(1) / usual if names else np.zeros(len(images)))
        return worst[0], worst[1]

    def halved(self, images: Images) -> Judge:
        """The same with the defects in two halves, both of which have what images of the base suffer from.

        By how many images are beyond the 95th percentile of real ones the defects are ranked, and the first, fourth, fifth,
        eighth and so on are rewarded. If one half had what is wrong with the images, there would be nothing to gain by the other.
        """
        beyond = (self._scored(images).mean > 1).mean(0)
        ranked = [list(scores())[k] for k in np.argsort(-beyond, kind="stable")]
        rewarded = tuple(name for k, name in enumerate(ranked) if k % 4 in (0, 3))
        return replace(self, rewarded=rewarded, held=tuple(name for name in ranked if name not in rewarded))

    def _scored(self, images: Images) -> Scored:
        found = measure(images, self.segmentation)
        own = alone(nearness(self.real, self.real))
        fold = np.arange(len(self.real)) % FOLDS
        return score_images(found, self.real, fold, nearness(found, self.real), own)


def judge_of(real: Images) -> Judge:
    """A judge by real images (N, C, H, W) in [0, 1], that holds out all defects; `Judge.halved` rewards half of them."""
    segmentation = fit_segmentation(real)
    return Judge(measure(real, segmentation), segmentation, (), tuple(scores()))


def by_property(images: Images, judge: Judge, name: str, target: float) -> NDArray[np.float64]:
    """Ratings (N,): the nearer a measured property is to a target, the higher; NaN where it is not defined.

    Raises
    ------
    InputError
        If there is no such property.
    """
    if name not in MEASURED:
        raise InputError(f"property={name} is not measured: use one of {', '.join(MEASURED)}.")
    return -np.abs(measure(images, judge.segmentation).values[name] - target)


def by_table(path: str | Path) -> list[tuple[Path, float]]:
    """Images and their ratings from a CSV file with the columns ``image,rating``; images lie beside it.

    Raises
    ------
    InputError
        With its line, if a row names no image or no number.
    """
    path, found = Path(path).expanduser(), []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read: give a CSV file with the columns image,rating.") from error
    reader = csv.DictReader(text.splitlines())
    if not {"image", "rating"} <= set(reader.fieldnames or ()):
        raise InputError(f"{path} has no columns image and rating: give it a first line image,rating.")
    for number, row in enumerate(reader, 2):
        image = path.parent / (row["image"] or "")
        try:
            rating = float(row["rating"])
        except (TypeError, ValueError):
            rating = float("nan")
        if not np.isfinite(rating) or not image.is_file():
            raise InputError(f"{path}, line {number}: give an image that is there and a number, such as 0001.png,3.")
        found.append((image, rating))
    return found
