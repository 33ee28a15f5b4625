"""The functions of the table of metrics: sets and a row of the table in, a result row out; some are made of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import digests
from veridical.core.errors import InputError
from veridical.scoring.metric import Metric
from veridical.scoring.result_rows import Row, interval_row, joined, null, row
from veridical.scoring.selection import NEIGHBOURS, Equal
from veridical.scoring.sets import COPIES, FEWEST, Sets
from veridical.stats.groups import group_numbers
from veridical.stats.jackknife import Kind, below_quantile, jackknife


def copied_share(sets: Sets, metric: Metric) -> Row:
    """Share of synthetic images that are a real image, pixel for pixel: a finding about the inputs, not a quality.

    Its reason is all that was found of the inputs.
    """
    known, n = set(digests(sets.real)), len(sets.synth)
    copies = sum(digest in known for digest in digests(sets.synth))
    finding = COPIES if copies == n else f"{copies} synthetic images are real images" if copies else None
    found = joined(finding, *sets.remarks, *sets.floor_remarks)
    return row(metric.named(sets.extractor), copies / n, n, floor=0.0, reason=found)


# ------------------------------------------------------------------------------------------- of plain functions


def mean_of_pairs(
    function: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]], definition: str, smallest: int = 1
) -> Callable[[Sets, Metric], Row]:
    """A mean over the pairs that are not identical.

    Parameters
    ----------
    function : (N, C, H, W) real and synthetic images in [0, 1] -> (N,) values
    definition : its settings, for the result row
    smallest : side in pixels that it needs
    """

    def measure(sets: Sets, metric: Metric) -> Row:
        name, (real, synth, groups, identical) = metric.named(sets.extractor), sets.paired
        if not len(real):
            return null(name, "identical inputs", identical)
        settings = {"definition": definition}
        if min(real.shape[-2:]) < smallest:
            reason = f"images are smaller than the window of {smallest} x {smallest} pixels"
            return null(name, reason, len(real), settings)
        values = function(real, synth)
        interval = jackknife(lambda i: float(values[i].mean()), [groups], bounds=metric.bounds)
        left_out = f"{identical} identical pairs left out" if identical else None
        return interval_row(name, interval, len(values), None, settings, (left_out,))

    return measure


def between_sets(
    function: Callable[[NDArray[Any], NDArray[Any]], float], definition: str
) -> Callable[[Sets, Metric], Row]:
    """One number of two sets, at equal n; its floor is that of real and other real images.

    Parameters
    ----------
    function : real and synthetic images (N, C, H, W) and (M, C, H, W) in [0, 1] -> number
    definition : its settings, for the result row
    """

    def measure(sets: Sets, metric: Metric) -> Row:
        rows, equal = sets.rows, sets.equal
        name, settings = metric.named(sets.extractor), {"definition": definition} | _sizes(equal)
        if not equal.n:
            return null(name, "needs at least 1 image a set and 1 more real one for the floor", equal.n, settings)
        x, y, z = sets.real[rows.half[equal.real]], sets.synth[rows.synth], sets.other_real[rows.others]
        return _at_equal_n(
            name, metric, equal, lambda i, j: function(x[i], y[j]), lambda j: function(x, z[j]), settings
        )

    return measure


def ssim(real: NDArray[Any], synth: NDArray[Any]) -> NDArray[Any]:
    """`veridical.metrics.paired.ssim`, imported when it is asked for; so are the next two."""
    from veridical.metrics.paired import ssim

    return ssim(real, synth)


def psnr(real: NDArray[Any], synth: NDArray[Any]) -> NDArray[Any]:
    from veridical.metrics.paired import psnr

    return psnr(real, synth)


def lpips_efficientnet_lite0(real: NDArray[Any], synth: NDArray[Any]) -> NDArray[Any]:
    from veridical.metrics.paired import lpips_efficientnet_lite0

    return lpips_efficientnet_lite0(real, synth)


def clipscore(sets: Sets, metric: Metric) -> Row:
    """2.5 times the cosine of an image and its prompt, 0 where that is negative (Hessel et al. 2021, eq. 1): the mean."""
    assert sets.words is not None
    synth, others, real = (2.5 * values.clip(0) for values in sets.words[:3])
    interval = jackknife(lambda i: float(synth[i].mean()), [sets.words.synth_groups], bounds=metric.bounds)
    settings = {
        "definition": "2.5 max(cosine, 0) in a CLIP of the domain; the real-against-real value is that of real images and "
        "their own captions",
        "prompts of other images": float(others.mean()),
        "n of the real images": len(real),
    }
    return interval_row(metric.name, interval, len(synth), float(real.mean()) if len(real) else None, settings)


# ------------------------------------------------------------------------------------------------ of equal n


def _at_equal_n(
    name: str,
    metric: Metric,
    equal: Equal,
    value: Callable[[NDArray[Any], NDArray[Any]], float],
    other: Callable[[NDArray[Any]], float],
    settings: dict[str, Any],
    kind: Kind = "mean",
    least: int = 1,
) -> Row:
    """Means over the draws of `equal`: of `value` (rows of x, of y), which needs so many of both, and of `other` (rows of z)."""

    def mean(i: NDArray[Any], j: NDArray[Any]) -> float:
        kept = np.isin(np.arange(len(equal.groups[1])), j)
        draws = [rows[kept[rows]] for rows in equal.synth]
        found = [value(i, rows) for rows in draws if min(len(i), len(rows)) >= least]
        return float(np.mean(found)) if found else float("nan")

    interval = jackknife(mean, equal.groups, bounds=metric.bounds, kind=kind)
    floor = None if equal.no_floor else float(np.mean([other(rows) for rows in equal.others]))
    return interval_row(name, interval, equal.n, floor, settings, (equal.no_floor,))


def _sizes(equal: Equal) -> dict[str, Any]:
    sizes = {"n_real": len(equal.real), "n_synth": equal.n}
    return sizes | ({"draws": len(equal.synth)} if len(equal.synth) > 1 else {})


# ------------------------------------------------------------------------------------------------- of features


def kid(sets: Sets, metric: Metric) -> Row:
    """Unbiased squared kernel distance, from all images."""
    from veridical.metrics.distribution import distance_of_groups

    name, settings, groups = metric.named(sets.extractor), _kid_settings(sets), sets.rows
    if min(len(groups.real), len(groups.synth)) < 2:
        return null(name, "needs at least 2 images a set", len(groups.synth), settings)
    labels = [groups.real_groups, groups.synth_groups]
    xx, yy, xy, _, _ = sets.kernels
    value = distance_of_groups(xx, yy, xy, *(group_numbers(each).numbers for each in labels))
    interval = jackknife(value, labels, kind="distance")
    return interval_row(name, interval, len(groups.synth), sets.kid_floor, settings, (_no_kid_floor(sets),))


def kid_over_random_phase(sets: Sets, metric: Metric) -> Row:
    """The KID over that of random-phase images, less the bias of a ratio."""
    from veridical.metrics.distribution import distance_of_groups

    name, settings, n = metric.named(sets.extractor), _kid_settings(sets), len(sets.rows.synth)
    if min(len(sets.rows.real), n) < 2:
        return null(name, "needs at least 2 images a set", n, settings)
    xx, yy, xy, pp, xp = sets.kernels
    _, phase, of_real = sets.random_phase
    groups = [sets.rows.real_groups, sets.rows.synth_groups, phase]
    if of_real:  # tiles and their surrogates are left out together
        groups = [np.concatenate(groups[::2]), groups[1]]
    numbers = [group_numbers(each).numbers for each in groups]
    mine, synth, theirs = numbers[0][: len(xx)], numbers[1], numbers[0][len(xx) :] if of_real else numbers[2]
    to_synth, to_random = distance_of_groups(xx, yy, xy, mine, synth), distance_of_groups(xx, pp, xp, mine, theirs)

    def parts(*rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        if not of_real:
            return rows[0], rows[1], rows[2]
        real = rows[0] < len(xx)
        return rows[0][real], rows[1], rows[0][~real] - len(xx)

    def to_phase(*rows: NDArray[Any]) -> float:
        i, _, k = parts(*rows)
        return to_random(i, k)

    def ratio(*rows: NDArray[Any]) -> float:
        i, j, _ = parts(*rows)
        return to_synth(i, j) / to_phase(*rows)

    settings = settings | {"n_random_phase": len(pp)}
    scale = jackknife(to_phase, groups) if len(pp) > 1 else None
    if scale is None or not scale.value > 0 or (scale.low is not None and scale.low <= 0):
        reason = "so few random-phase images cannot be told from the real ones, so they give no scale"
        return null(name, reason, n, settings)
    settings["kid_random_phase"] = scale.value
    interval = jackknife(ratio, groups, kind="ratio")
    floor = None if sets.kid_floor is None else sets.kid_floor / scale.value
    return interval_row(name, interval, n, floor, settings, (_no_kid_floor(sets),))


def _no_kid_floor(sets: Sets) -> str | None:
    return None if sets.kid_floor is not None else "no floor: the other real images are of one slice"


def _kid_settings(sets: Sets) -> dict[str, Any]:
    sizes = {"n_real": len(sets.rows.real), "n_synth": len(sets.rows.synth)}
    return sets.deep.settings | {"kernel": "(x.y / d + 1)^3, unbiased, all pairs of different slices"} | sizes


def frechet(sets: Sets, metric: Metric) -> Row:
    """Fréchet distance, at equal n."""
    from veridical.metrics.distribution import frechet

    name, equal = metric.named(sets.extractor), sets.equal
    x, y, z = sets.deep.half[equal.real], sets.deep.synth, sets.deep.others
    settings = sets.deep.settings | _sizes(equal)
    if equal.n < 2:
        return null(name, "needs at least 2 images a set and 2 more real ones for the floor", equal.n, settings)

    def value(i: NDArray[Any], j: NDArray[Any]) -> float:
        return frechet(x[i], y[j])

    return _at_equal_n(name, metric, equal, value, lambda j: frechet(x, z[j]), settings, "distance", least=2)


def neighbours(sets: Sets, metric: Metric) -> Row:
    """Capped precision (of all samples, being a mean over them), capped recall or coverage: the one that the row is called."""
    from veridical.metrics.distribution import neighbour_shares_from_distances

    k, name = NEIGHBOURS, metric.named(sets.extractor)
    equal = sets.every if metric.name == "precision_capped" else sets.equal
    settings = sets.deep.settings | _sizes(equal) | {"k": k}
    if (least := min(equal.n, len(equal.real))) < FEWEST:
        independent = "" if metric.name == "precision_capped" else " of different slices"
        reason = f"means little with {least} images a set; give {FEWEST}{independent}, and as many more real ones"
        return null(name, reason, least, settings)
    if metric.name == "recall_capped" and (beside := sets.beside):
        return null(name, beside, least, settings)
    xx, yy, xy = sets.distances

    def value(i: NDArray[Any], j: NDArray[Any]) -> float:
        return neighbour_shares_from_distances(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)], k)[metric.name]

    found = _at_equal_n(name, metric, equal, value, lambda j: float("nan"), settings, "count", least=k + 1)
    return found | {"floor": None if equal.no_floor else sets.neighbour_floors[metric.name]}


def spacing(sets: Sets, metric: Metric) -> Row:
    """How different synthetic images are from each other, beside other real ones, thinned as they came; the floor: real ones."""
    from veridical.metrics.spacing import spacing

    name, rows, deep = metric.named(sets.extractor), sets.rows, sets.deep
    synth = deep.synth[np.argsort(rows.synth)][: None if sets.distinct is None else (rows.synth < sets.distinct).sum()]
    first, second = (np.arange(len(x)) if sets.floor_real is None else np.argsort(x) for x in (rows.half, rows.others))
    judged = (synth, None), (deep.half[first], rows.half_groups[first])
    try:
        value, floor = (spacing(x, deep.others[second], g, rows.other_groups[second]) for x, g in judged)
    except ValueError as error:
        return null(name, str(error), len(synth))
    settings = {"distance": "Euclidean, to the nearest of the same set; median, over that of training tiles"}
    return row(name, value, len(synth), floor=floor, settings=settings)


# ------------------------------------------------------------------------------------------ of training images


def memorised(sets: Sets, metric: Metric) -> Row:
    """Share of synthetic images that are nearer to a training crop than nearly all unseen real ones."""
    from veridical.metrics.novelty import chance_share, memorised_threshold

    assert sets.train is not None
    name, n, (images, orientations, searched) = metric.named(sets.extractor), len(sets.synth), sets.train
    settings = {
        "distance": f"1 - normalised cross-correlation of whitened pixels, nearest of all training crops in {orientations} "
        "orientations",
        "n_train_images": len(images),
        "train_megapixels": round(sum(image[0].size for image in images) / 1e6, 3),
        "share_searched": searched,
        "n_test": len(sets.real),
    }
    try:
        crops, known = sets.crops
        threshold, _ = memorised_threshold(known)
    except (InputError, ValueError) as error:
        return null(name, str(error), n, settings)
    groups = np.arange(len(known)) if sets.real_groups is None else sets.real_groups
    synth_groups = np.arange(n) if sets.synth_groups is None else sets.synth_groups
    interval = below_quantile(crops.distance, known, threshold, synth_groups, groups)
    return interval_row(name, interval, n, chance_share(known, groups), settings | {"threshold": threshold})
