"""A trained run as the real side of a score or an audit: its held-out tiles, its window, its training images for copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from veridical.auditing.verdict import audit
from veridical.conditions.delivery import open_target
from veridical.conditions.reopen import exists, seen_from
from veridical.core.arrays import Groups, Images
from veridical.core.errors import InputError
from veridical.core.orientation import ORIENTATIONS
from veridical.data.alike import MOST, cut_images
from veridical.data.dataset import Dataset
from veridical.data.focus import undone
from veridical.data.images import ImageSet, read_images
from veridical.data.names import group_of
from veridical.data.pixel_size import pixel_size_remarks
from veridical.data.readers.runs import drawn_independently
from veridical.metrics.novelty import nearest_crop
from veridical.recipes import table
from veridical.runs.folder import read_run
from veridical.scoring.nearest import Training
from veridical.scoring.result_rows import Row
from veridical.scoring.score import gather, measure


class Real(NamedTuple):
    """The data that a run was trained on.

    Attributes
    ----------
    held_out : ImageSet
        At most `MOST` tiles that were not trained on, spread evenly, in the window of the run; called by their numbers.
    groups : list of str
        The slice or image that each comes from.
    train, train_groups : the same of training tiles, images (N, C, S, S)
    regions : training images (C, height, width) to search for copies, `searched` of all of them
    orientations : flips and quarter turns that training makes
    """

    held_out: ImageSet
    groups: list[str]
    train: Images
    train_groups: list[str]
    regions: Sequence[np.ndarray]
    searched: float
    orientations: int


def real_side(run: str | Path) -> Real:
    """Open the data of a run again, as it was trained on them.

    Raises
    ------
    InputError
        If `run` is no run, or its data are gone or are others now.
    """
    data = _opened(run)
    opened, groups = _held_out(data)
    train, train_groups = data.tiles("train", MOST)
    regions, _, searched = data.regions("train")
    turns = ORIENTATIONS[data.augment]
    return Real(opened, groups, train, list(train_groups), regions, searched, turns)


def held_out(run: str | Path) -> tuple[ImageSet, list[str]]:
    """The held-out tiles of `real_side` and the slice of each alone: no training image is cut."""
    return _held_out(_opened(run))


def _held_out(data: Dataset) -> tuple[ImageSet, list[str]]:
    test, groups = data.tiles("test", MOST)
    return ImageSet(test, [str(k) for k in range(len(test))], data.window, data.pixel_size), list(groups)


def _opened(run: str | Path) -> Dataset:
    info = read_run(run)
    spec, row = seen_from(str(info.dataset["spec"]), run), table.find(info.recipe)
    instead = "give real images that it was not trained on as REAL, in place of the run"
    if not exists(spec):
        raise InputError(f"{spec}, which {run} was trained on, is not there (seen from this folder): {instead}.")
    data = open_target(info.recipe, (*row.needs, *row.learns), spec, info.config)
    if data.fingerprint != info.dataset["fingerprint"]:
        raise InputError(
            f"{spec} is not the data that {run} was trained on (images or split are others now): {instead}."
        )
    return data


def audit_run(
    run: str | Path,
    synth: str | Path,
    source: str | Path | None = None,
    alpha: float = 0.05,
    *,
    synth_groups: Groups | None = None,
    size: int | None = None,
    power: bool = True,
    pictures: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """`veridical.audit` of images against what a run was trained on.

    Real images are its held-out tiles; copies are searched for in its training images, as training turned them. Other arguments
    and errors are those of `veridical.audit`; `size` is usually that of the tiles.
    """
    real = real_side(run)
    held_out, groups, made = cut_alike(real.held_out, real.groups, synth, size, drawn=source is None)
    if synth_groups is None and drawn_independently(synth):
        synth_groups = [group_of(name) for name in made.names]
    edited = None if source is None else cut_alike(real.held_out, real.groups, source, size, drawn=False)[2]
    channels = held_out.images.shape[1]
    sets = (x if x.shape[1] == channels else x.mean(1, keepdims=True) for x in (held_out.images, made.images))
    first, second = (nearest_crop(x, real.regions, orientations=real.orientations).distance for x in sets)
    return audit(
        held_out, made, None, edited, alpha, real_groups=groups, synth_groups=synth_groups, power=power,
        copies=(first, second), pictures=pictures, progress=progress,
    )  # fmt: skip


def score_run(
    run: str | Path,
    synth: str | Path,
    *,
    size: int | None = None,
    extractor: str = "efficientnet_lite0",
    inception: str | Path | None = None,
) -> list[Row]:
    """`veridical.score` of images against the held-out tiles of a run; the floor is that of its training tiles."""
    real = real_side(run)
    held_out, groups, made = cut_alike(real.held_out, real.groups, synth, size)
    as_trained = held_out.images.shape[2:] == real.train.shape[2:]
    sets = gather(
        held_out.images, made.images, real_groups=groups, synth_groups=[group_of(name) for name in made.names],
        floor_real=real.train if as_trained else None, floor_groups=real.train_groups if as_trained else None,
        extractor=extractor, inception=inception,
    )  # fmt: skip
    remarks = pixel_size_remarks({"REAL": held_out.pixel_size, "SYNTH": made.pixel_size})
    training = Training(real.regions, real.orientations, real.searched)
    return measure(replace(sets, train=training, remarks=(*sets.remarks, *remarks)))


def cut_alike(
    real: ImageSet, real_groups: list[str], spec: str | Path, size: int | None, drawn: bool = True
) -> tuple[ImageSet, list[str], ImageSet]:
    """Held-out tiles, the slice of each, and images of `spec`, in one window and of one size: that of the tiles by default.

    Of images that a run drew a focus is undone.
    """
    size = size or real.images.shape[2]
    made = read_images(spec, window=real.window)
    found = []
    for called, each in (("REAL", real), (str(spec), undone(spec, made, size) if drawn else made)):
        images, names = cut_images(each.images, each.names, size, called)
        found.append(each._replace(images=images, names=names))
    groups = [real_groups[int(name.partition("_")[0])] for name in found[0].names]
    return found[0], groups, found[1]
