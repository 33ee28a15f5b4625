"""Result rows for a set of synthetic images against a set of real ones."""

from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.metrics import features, novelty
from veridical.scoring.result_rows import (
    COPIES,
    PAIRED,
    copies_row,
    digests,
    equal_n_rows,
    format_rows,
    interval_row,
    kid_rows,
    null,
    paired_rows,
)
from veridical.stats.groups import halves, spread_evenly
from veridical.stats.jackknife import jackknife

__all__ = ["format_rows", "score", "score_novelty"]


def score(
    real,
    synth,
    *,
    real_groups=None,
    synth_groups=None,
    floor_real=None,
    floor_groups=None,
    phase=None,
    extractor: str = "efficientnet_lite0",
    inception: str | Path | None = None,
    paired: bool = False,
    cache: str | Path | None = None,
    progress=None,
    recipe: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
) -> list[dict]:
    """Score synthetic images against real ones.

    Parameters
    ----------
    real, synth : (N, C, H, W) arrays in [0, 1], or specs (a folder, a stack, `file.h5:/path` ...) as `open_slices`
        reads them. Files share the intensity window of the real ones, and with `paired` they are matched by name.
    real_groups, synth_groups : a label an image (its slice), for the intervals; by default the name of the file without
        the position of the tile, or every image by itself
    floor_real, floor_groups : other real images (the training tiles, say), disjoint from `real`; files if `real` is.
        The floor of a metric is its value between `real` and these. Without them `real` is halved, by group, for the
        floor.
    phase : phase-randomised real images, for `kid_over_random_phase`; by default made from `floor_real` or `real`
    extractor : row of `features.EXTRACTORS`
    inception : path of the Inception file, for `extractor="inception"`
    paired : image k of synth belongs to image k of real
    cache : folder for features, or None
    progress : function called with (done, total) images of a set whose features are computed
    recipe, dataset, seed : copied into the rows

    Returns
    -------
    list of rows {recipe, dataset, seed, metric, value, low, high, n, floor, reason, settings}
        A metric that cannot be computed has value None and a reason. Metrics that depend on n (Fréchet, precision,
        recall, density, coverage) have value and floor at the same n, images chosen evenly over groups; the unbiased
        KID uses every image. `settings.interval` says what was resampled.

    Raises
    ------
    InputError
        if the sets differ in size, channels or bit depth, hold no images, or cannot be paired by name
    """
    if len({isinstance(images, (str, Path)) for images in (real, synth, floor_real) if images is not None}) > 1:
        raise InputError("give all sets as files or all as arrays; they must share one intensity window")
    features.find(extractor)  # a typing error is the user's to mend, not a reason in a row
    if isinstance(real, (str, Path)):
        (real, names), (synth, synth_names), (floor_real, floor_names) = _read(real, synth, floor_real, paired)
        real_groups = names if real_groups is None else real_groups
        synth_groups = synth_names if synth_groups is None else synth_groups
        floor_groups = floor_names if floor_groups is None else floor_groups
    real, real_groups = _checked(real, real_groups, "real")
    synth, synth_groups = _checked(synth, synth_groups, "synth")
    _check_same_kind(real, synth, "synthetic")
    if floor_real is not None:
        floor_real, floor_groups = _checked(floor_real, floor_groups, "floor_real")
        _check_same_kind(real, floor_real, "further real")
        if set(digests(real)) <= set(digests(floor_real)):
            raise InputError(
                "all real images are among the further real ones too; the floor needs other images: leave them out"
            )

    rows = [copies_row(real, synth)]
    if paired:
        rows += paired_rows(real, synth, np.arange(len(real)) if real_groups is None else real_groups)
    else:
        rows += [null(name, "needs pairs", len(synth)) for name in PAIRED]

    fd, kid = ("fid", "kid") if extractor == "inception" else (f"fd_{extractor}", f"kid_{extractor}")
    names = [kid, "kid_over_random_phase", fd, "precision", "recall", "density", "coverage"]
    reason = COPIES if sorted(digests(real)) == sorted(digests(synth)) else None
    if reason is None:
        try:
            features.check_available(extractor, inception)
        except InputError as error:
            reason = str(error)
    if reason is None:

        def embed(images):
            return features.extract(images, extractor, path=inception, cache=cache, progress=progress)

        real, real_groups = _in_canonical_order(real, real_groups)
        synth, synth_groups = _in_canonical_order(synth, synth_groups)
        if floor_real is not None:
            floor_real, floor_groups = _in_canonical_order(floor_real, floor_groups)
        if phase is None:
            source, source_groups = (real, real_groups) if floor_real is None else (floor_real, floor_groups)
            phase = _random_phase(source, source_groups, len(synth))
        phase, _ = _in_canonical_order(features.check_images(phase, "phase"), None)
        x, y, p = embed(real), embed(synth), embed(phase)
        if floor_real is None:
            half, other = halves(real_groups)
            z, z_groups = x[other], real_groups[other]
        else:
            half, z, z_groups = np.arange(len(real)), embed(floor_real), floor_groups
        settings = features.settings(extractor, *real.shape[2:])
        rows += kid_rows(kid, x, y, p, x[half], z, real_groups, synth_groups, settings)
        rows += equal_n_rows(fd, x[half], y, z, real_groups[half], synth_groups, z_groups, settings)
    else:
        rows += [null(name, reason, len(synth)) for name in names]
    return [{"recipe": recipe, "dataset": dataset, "seed": seed} | row for row in rows]


def score_novelty(
    synth,
    images,
    test,
    *,
    orientations: int = 8,
    searched: float = 1.0,
    test_distance=None,
    synth_groups=None,
    recipe=None,
    dataset=None,
    seed=None,
) -> tuple[dict, dict[str, list], np.ndarray]:
    """Row `memorised`, and the nearest training crop of every synthetic tile.

    Parameters
    ----------
    synth, test : (N, C, H, W) arrays in [0, 1]; `test` real tiles that were not trained on
    images : sequence of (C, height, width) arrays in [0, 1]: the whole images that were trained on crops of
    orientations : flips and quarter turns that training makes, see `novelty.nearest_crop`
    searched : share of the training data that `images` are, for the settings
    test_distance : distances of `test` to `images`, if they are known
    synth_groups : a label an image of `synth`, for the interval

    Returns
    -------
    row : its floor is the share expected of new real images, its value that of `synth` (see `novelty.memorised_share`)
    nearest : {"sample", "train", "top", "left", "orientation", "distance", "test_distance"}, lists: numbers of the
        synthetic image and of the training image, where its nearest crop lies in that and how it is turned, their
        distance; and the distance of each test tile from its nearest crop
    crops : these crops, turned like the synthetic images, of their shape
    """
    synth, groups = _checked(synth, synth_groups, "synth")
    test, _ = _checked(test, None, "test")
    _check_same_kind(test, synth, "synthetic")
    if not len(images) or any(image.shape[0] != synth.shape[1] for image in images):
        raise InputError("there are no training images of as many channels as the synthetic ones; open the same data")
    try:
        crops = novelty.nearest_crop(synth, images, orientations=orientations)
        if test_distance is None:
            test_distance = novelty.nearest_crop(test, images, orientations=orientations).distance
    except ValueError as error:
        raise InputError(str(error)) from None
    settings = {
        "distance": f"1 - normalised cross-correlation of whitened pixels, nearest of all training crops in {orientations} "
        "orientations",
        "n_train_images": len(images),
        "train_megapixels": round(sum(image[0].size for image in images) / 1e6, 3),
        "share_searched": searched,
        "n_test": len(test),
    }
    try:
        threshold, chance = novelty.memorised_threshold(test_distance)
    except ValueError as error:
        row = null("memorised", str(error), len(synth), settings)
    else:
        near = crops.distance < threshold
        labels = np.arange(len(synth)) if groups is None else groups
        interval = jackknife(lambda i: float(near[i].mean()), [labels], bounds=(0, 1))
        row = interval_row("memorised", interval, len(synth), chance, settings | {"threshold": threshold})
        row["settings"]["interval"] += "; threshold taken as known"
    found = {
        "sample": list(range(len(synth))),
        "train": crops.image.tolist(),
        "top": crops.top.tolist(),
        "left": crops.left.tolist(),
        "orientation": crops.orientation.tolist(),
        "distance": crops.distance.tolist(),
        "test_distance": np.asarray(test_distance).tolist(),
    }
    pictures = novelty.cut_crops(images, crops, synth.shape[2:])
    return {"recipe": recipe, "dataset": dataset, "seed": seed} | row, found, pictures


def _random_phase(tiles, groups, n):
    """Surrogates of as many real tiles as there are synthetic images, or of all."""
    from veridical.metrics.surrogates import surrogates

    rows = spread_evenly(groups, min(len(tiles), n))
    return np.clip(surrogates(tiles[rows], np.random.default_rng(0)), 0, 1)


def _checked(images, groups, name):
    images = features.check_images(images, name)
    if not len(images):
        raise InputError(f"{name} holds no images; nothing to score")
    if groups is not None and len(groups) != len(images):
        raise InputError(f"{name} has {len(images)} images but {len(groups)} group labels; give one label an image")
    return images, None if groups is None else np.asarray(groups)


def _in_canonical_order(images, groups):
    """Sorted by content, with a label an image: which images are drawn must not depend on the order they came in."""
    order = np.argsort(np.array(digests(images)), kind="stable")
    return images[order], np.arange(len(order)) if groups is None else groups[order]


def _check_same_kind(real, other, what) -> None:
    if real.shape[1] != other.shape[1]:
        kinds = {1: "grey", 3: "RGB"}
        raise InputError(
            f"the real images are {kinds[real.shape[1]]}, the {what} ones {kinds[other.shape[1]]}; convert one set"
        )
    if real.shape[2:] != other.shape[2:]:
        sizes = [f"{images.shape[3]} x {images.shape[2]}" for images in (real, other)]
        raise InputError(f"the real images are {sizes[0]} pixels, the {what} ones {sizes[1]}; cut them to one size")


def _read(real, synth, floor_real, pair):
    """Images and slice names of all sets, with the window of the real ones; matched by name if they are pairs."""
    from veridical.data.dataset import group_of
    from veridical.data.images import read_images

    reals = read_images(real)
    synths = read_images(synth, window=reals.window)
    order = np.arange(len(synths.names))
    if pair:
        alone = [f"{name} in {real}" for name in reals.names if name not in set(synths.names)]
        alone += [f"{name} in {synth}" for name in synths.names if name not in set(reals.names)]
        if alone:
            more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
            raise InputError(f"pairs must have the same file name, but no partner has {', '.join(alone[:5])}{more}")
        position = {name: k for k, name in enumerate(synths.names)}
        order = np.array([position[name] for name in reals.names])
    found = [
        (reals.images, [group_of(name) for name in reals.names]),
        (synths.images[order], [group_of(synths.names[k]) for k in order]),
    ]
    if floor_real is None:
        return [*found, (None, None)]
    others = read_images(floor_real, window=reals.window)
    return [*found, (others.images, [group_of(name) for name in others.names])]
