"""Result rows for a set of synthetic images against a set of real ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Groups, Images, ImageSet
from veridical.core.errors import InputError
from veridical.core.progress import reached
from veridical.data.alike import common_size, cut_images
from veridical.data.focus import undone
from veridical.data.images import ImageSet as Opened
from veridical.data.images import read_images
from veridical.data.names import group_of
from veridical.data.pixel_size import pixel_size_remarks
from veridical.metrics import features
from veridical.scoring.common import in_common
from veridical.scoring.nearest import Training
from veridical.scoring.result_rows import Row, joined, null
from veridical.scoring.sets import Sets, Words
from veridical.scoring.table import METRICS

__all__ = ["gather", "measure", "score"]

Spec = str | Path


def score(
    real: ImageSet,
    synth: ImageSet,
    *,
    real_groups: Groups | None = None,
    synth_groups: Groups | None = None,
    floor_real: ImageSet | None = None,
    floor_groups: Groups | None = None,
    train: ImageSet | None = None,
    phase: Images | None = None,
    extractor: str = "efficientnet_lite0",
    inception: str | Path | None = None,
    paired: bool = False,
    size: int | None = None,
    words: Words | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    recipe: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
) -> list[Row]:
    """Score synthetic images against real ones, by every row of `veridical.scoring.table.METRICS`.

    Parameters
    ----------
    real, synth : (N, C, H, W) arrays in [0, 1], or specs (a folder, a stack, `file.h5:/path` ...) as `open_slices`
        reads them. Files share the intensity window of the real ones, and with `paired` they are matched by name.
    real_groups, synth_groups : a label an image (its slice), for the intervals; by default the name of the file without
        the position of the tile, or every image by itself
    floor_real, floor_groups : other real images (the training tiles, say), disjoint from `real`; files if `real` is.
        The floor of a metric is its value between `real` and these; those that are among `real` are left out. By default
        the images of `train` if they are as large as `real`, else `real` is halved, by group, for the floor.
    train : the images that were trained on, (C, height, width) in [0, 1] each, to search them for copies; real images that
        are among them are compared with the others of them
    phase : phase-randomised real images, for `kid_over_random_phase`; by default made from `floor_real` or `real`
    extractor : row of `features.EXTRACTORS`
    inception : path of the Inception file, for `extractor="inception"`
    paired : image k of synth belongs to image k of real
    size : cut files to this size (large ones into tiles); by default the largest that fits if sizes differ
    words : how near the images are to their prompts, for `clipscore_domain`, see `veridical.runs.words.words_of`
    cache : folder for features, or None
    progress : function called with (done, total) images of a set whose features are computed
    recipe, dataset, seed : copied into the rows

    Returns
    -------
    list of rows {recipe, dataset, seed, metric, value, low, high, n, floor, reason, remark, settings}
        In the order of the table. A metric that cannot be computed has value None and a reason. Metrics that depend on n
        (Fréchet, recall, coverage) have value and floor at the same n, images chosen evenly over groups; the unbiased KID uses
        every image, the precision every synthetic one. `settings.interval` says what was resampled. A row with a value may have
        a remark: what has to be known to read it. The reason of `copied_share`, which always has a value, is what was found of
        the sets, such as images that are in two of them.

    Raises
    ------
    InputError
        if the sets differ in size, channels or bit depth, hold no images, or cannot be paired by name
    """
    sets = gather(
        real, synth, real_groups=real_groups, synth_groups=synth_groups, floor_real=floor_real, floor_groups=floor_groups,
        train=train, phase=phase, extractor=extractor, inception=inception, paired=paired, size=size, words=words,
        cache=cache, progress=progress,
    )  # fmt: skip
    return measure(sets, recipe=recipe, dataset=dataset, seed=seed)


def measure(
    sets: Sets,
    metrics: Collection[str] | None = None,
    *,
    recipe: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
) -> list[Row]:
    """Result rows of checked sets, in the order of the table.

    Parameters
    ----------
    sets : Sets
    metrics : keys of `veridical.scoring.table.METRICS`; by default all
    recipe, dataset, seed : copied into the rows
    """
    about = {"recipe": recipe, "dataset": dataset, "seed": seed}
    rows: list[Row] = []
    for key, metric in METRICS.items():
        if metrics is not None and key not in metrics:
            continue
        reached(len(rows) / len(METRICS), "score")
        reason = metric.lacks(sets)
        name = metric.named(sets.extractor)
        row = metric.measure(sets, metric) if reason is None else null(name, reason, len(sets.synth))
        if row["reason"] is None:
            of_floor = sets.floor_remarks if metric.floor == "real" else ()
            of_training = sets.training_remarks if "training images" in metric.needs else ()
            of_features = sets.feature_remarks if "features" in metric.needs else ()
            row["remark"] = joined(
                row["remark"], metric.above(row), *sets.remarks, *of_floor, *of_training, *of_features
            )
        rows.append(about | row)
    return rows


def gather(
    real: ImageSet,
    synth: ImageSet,
    *,
    real_groups: Groups | None = None,
    synth_groups: Groups | None = None,
    floor_real: ImageSet | None = None,
    floor_groups: Groups | None = None,
    train: ImageSet | None = None,
    phase: Images | None = None,
    extractor: str = "efficientnet_lite0",
    inception: str | Path | None = None,
    paired: bool = False,
    size: int | None = None,
    words: Words | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sets:
    """Read and check what `score` is given; arguments and errors are its own."""
    if len({isinstance(images, (str, Path)) for images in (real, synth, floor_real, train) if images is not None}) > 1:
        raise InputError("give all sets as files or all as arrays; they must share one intensity window")
    features.find(extractor)  # a typing error is the user's to mend, not a reason in a row
    if isinstance(real, (str, Path)):
        specs = cast("tuple[Spec, Spec | None, Spec | None]", (synth, floor_real, train))  # as `real` is
        read, sizes = _read(real, *specs, paired, size)
        (real, names), (synth, synth_names), (floor_real, floor_names), (train, train_names) = read
        real_groups = names if real_groups is None else real_groups
        synth_groups = synth_names if synth_groups is None else synth_groups
        floor_groups = floor_names if floor_groups is None else floor_groups
        remarks = pixel_size_remarks(sizes)
    else:
        train_names, remarks = None, []
    asked = floor_real is not None
    real, real_groups = _checked(real, real_groups, "real")
    synth, synth_groups = _checked(synth, synth_groups, "synth")
    _check_same_kind(real, synth, "synthetic")
    if train is not None:
        train = [features.check_images(image[None], "train")[0] for image in cast("Sequence[Images]", train)]
        if floor_real is None and len(train) and all(image.shape == real.shape[1:] for image in train):
            floor_real, floor_groups = np.stack(train), train_names
        if not len(train) or any(len(image) != real.shape[1] for image in train):
            raise InputError("there are no training images of as many channels as the real ones; open the same data")
    if floor_real is not None:
        floor_real, floor_groups = _checked(floor_real, floor_groups, "floor_real")
        _check_same_kind(real, floor_real, "further real")
    found = in_common(real, synth, cast("NDArray[Any] | None", floor_real), real_groups)
    if floor_real is not None:
        if asked and not found.floor.any():
            raise InputError("all further real images are among the real ones; the floor needs other images: give such")
        kept = found.floor if found.floor.any() else None  # without any, REAL is halved
        floor_groups = None if kept is None or floor_groups is None else np.asarray(floor_groups)[kept]
        floor_real = None if kept is None else floor_real[kept]
    if paired and len(real) != len(synth):
        raise InputError(f"paired scores need pairs, got {len(real)} real and {len(synth)} synthetic images")
    return Sets(
        real, synth, found.real_groups, synth_groups, floor_real, cast("NDArray[Any] | None", floor_groups), phase,
        pairs=len(real) if paired else 0, train=None if train is None else Training(train), extractor=extractor,
        inception=inception, words=words, cache=cache, progress=progress, remarks=tuple(remarks),
        floor_remarks=tuple(found.remarks),
    )  # fmt: skip


def _checked(images: ImageSet, groups: Groups | None, name: str) -> tuple[Images, NDArray[Any] | None]:
    images = features.check_images(images, name)
    if not len(images):
        raise InputError(f"{name} holds no images; nothing to score")
    if groups is not None and len(groups) != len(images):
        raise InputError(f"{name} has {len(images)} images but {len(groups)} group labels; give one label an image")
    return images, None if groups is None else np.asarray(groups)


def _check_same_kind(real: Images, other: Images, what: str) -> None:
    if real.shape[1] != other.shape[1]:
        kinds = {1: "grey", 3: "RGB"}
        raise InputError(
            f"the real images are {kinds[real.shape[1]]}, the {what} ones {kinds[other.shape[1]]}; convert one set"
        )
    if real.shape[2:] != other.shape[2:]:
        sizes = [f"{images.shape[3]} x {images.shape[2]}" for images in (real, other)]
        raise InputError(f"the real images are {sizes[0]} pixels, the {what} ones {sizes[1]}; cut them to one size")


def _cut(found: Opened, size: int | None, spec: Spec) -> Opened:
    """Images cut to one size, if there is any, named after their places."""
    if size is None:
        return found
    images, names = cut_images(found.images, found.names, size, str(spec))
    return found._replace(images=images, names=names)


def _read(
    real: Spec, synth: Spec, floor_real: Spec | None, train: Spec | None, pair: bool, size: int | None
) -> tuple[list[tuple[Any, list[str] | None]], dict[str, float | None]]:
    """Images and slice names of all sets, with the window of the real ones; matched by name if they are pairs. And the pixel
    sizes by name."""
    reals = read_images(real)
    synths = read_images(synth, window=reals.window)
    whole = reals.images.shape[2:]
    if pair and size is None and synths.images.shape[2:] != whole:
        raise InputError(f"{real} and {synth} differ in size, so no pixel has its pair; bring them to one size first")
    size = size or common_size({"real": whole, "synth": synths.images.shape[2:]})
    if not pair:
        synths = undone(synth, synths, size)
    reals, synths = (_cut(each, size, spec) for each, spec in ((reals, real), (synths, synth)))
    order = np.arange(len(synths.names))
    if pair:
        alone = [f"{name} in {real}" for name in reals.names if name not in set(synths.names)]
        alone += [f"{name} in {synth}" for name in synths.names if name not in set(reals.names)]
        if alone:
            more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
            raise InputError(f"pairs must have the same file name, but no partner has {', '.join(alone[:5])}{more}")
        position = {name: k for k, name in enumerate(synths.names)}
        order = np.array([position[name] for name in reals.names])
    found: list[tuple[Any, list[str] | None]] = [
        (reals.images, [group_of(name) for name in reals.names]),
        (synths.images[order], [group_of(synths.names[k]) for k in order]),
    ]
    sizes = {"REAL": reals.pixel_size, "SYNTH": synths.pixel_size}
    for called, spec in {"the further real images": floor_real, "the training data": train}.items():
        others = None if spec is None else read_images(spec, window=reals.window)
        # Copies are searched for in whole training images, unless these are tiles as the real ones were.
        if others is not None and (called != "the training data" or others.images.shape[2:] == whole):
            others = _cut(others, size, str(spec))
        found.append((None, None) if others is None else (others.images, [group_of(name) for name in others.names]))
        sizes[called] = None if others is None else others.pixel_size
    return found, sizes
