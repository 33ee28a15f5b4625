"""The functions of the table of metrics: the sets and a row of the table in, a result row out.

`mean_of_pairs` and `between_sets` make such functions of plain ones, arrays in and numbers out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.scoring.metric import Metric
from veridical.scoring.result_rows import Row, digests, interval_row, null, row
from veridical.scoring.sets import COPIES, NEIGHBOURS, Sets
from veridical.stats.jackknife import jackknife


def copied_share(sets: Sets, metric: Metric) -> Row:
    """Share of synthetic images that are a real image, pixel for pixel: a finding about the inputs, not a quality."""
    known, n = set(digests(sets.real)), len(sets.synth)
    copies = sum(digest in known for digest in digests(sets.synth))
    finding = COPIES if copies == n else f"{copies} synthetic images are real images" if copies else None
    return row(metric.named(sets.extractor), copies / n, n, floor=0.0, reason=finding)


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
        finding = f"{identical} identical pairs left out" if identical else None
        return interval_row(name, interval, len(values), None, settings) | {"reason": finding}

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
        n, real, synth, others, groups = sets.equal
        name, settings = metric.named(sets.extractor), {"definition": definition}
        if not n:
            return null(name, "needs at least 1 image a set and 1 more real one for the floor", n, settings)
        x, y, z = sets.real[real], sets.synth[synth], sets.other_real[others]
        interval = jackknife(lambda i, j: function(x[i], y[j]), groups, bounds=metric.bounds)
        return interval_row(name, interval, n, float(function(x, z)), settings)

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


# ------------------------------------------------------------------------------------------------- of features


def kid(sets: Sets, metric: Metric) -> Row:
    """Unbiased squared kernel distance, from all images."""
    name, settings, groups = metric.named(sets.extractor), _kid_settings(sets), sets.rows
    if min(len(sets.real), len(sets.synth)) < 2:
        return null(name, "needs at least 2 images a set", len(sets.synth), settings)
    interval = jackknife(_to_synth(sets), [groups.real_groups, groups.synth_groups], least=2)
    return interval_row(name, interval, len(sets.synth), sets.kid_floor, settings)


def kid_over_random_phase(sets: Sets, metric: Metric) -> Row:
    """The KID over that of random-phase images."""
    from veridical.metrics.distribution import mmd2

    name, settings, n = metric.named(sets.extractor), _kid_settings(sets), len(sets.synth)
    if min(len(sets.real), n) < 2:
        return null(name, "needs at least 2 images a set", n, settings)
    xx, _, _, pp, xp = sets.kernels
    to_synth = _to_synth(sets)

    def to_phase(i: NDArray[Any], k: NDArray[Any]) -> float:
        return mmd2(xx[np.ix_(i, i)], pp[np.ix_(k, k)], xp[np.ix_(i, k)])

    groups = [sets.rows.real_groups, sets.rows.synth_groups, np.arange(len(pp))]
    settings = settings | {"n_random_phase": len(pp)}
    scale = jackknife(to_phase, groups[::2], least=2) if len(pp) > 1 else None
    if scale is None or scale.low is None or scale.low <= 0:
        reason = "so few random-phase images cannot be told from the real ones, so they give no scale"
        return null(name, reason, n, settings)
    settings["kid_random_phase"] = scale.value
    interval = jackknife(lambda i, j, k: to_synth(i, j) / to_phase(i, k), groups, least=2)
    floor = None if sets.kid_floor is None else sets.kid_floor / scale.value
    return interval_row(name, interval, n, floor, settings)


def _kid_settings(sets: Sets) -> dict[str, Any]:
    sizes = {"n_real": len(sets.real), "n_synth": len(sets.synth)}
    return sets.deep.settings | {"kernel": "(x.y / d + 1)^3, unbiased, all pairs"} | sizes


def _to_synth(sets: Sets) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    from veridical.metrics.distribution import mmd2

    xx, yy, xy, _, _ = sets.kernels
    return lambda i, j: mmd2(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)])


def frechet(sets: Sets, metric: Metric) -> Row:
    """Fréchet distance, at equal n."""
    from veridical.metrics.distribution import frechet

    name, n, (x, y, z) = metric.named(sets.extractor), sets.equal.n, sets.equal_features
    settings = sets.deep.settings | {"n_real": n, "n_synth": n}
    if n < 2:
        return null(name, "needs at least 2 images a set and 2 more real ones for the floor", n, settings)
    interval = jackknife(lambda i, j: frechet(x[i], y[j]), sets.equal.groups, bounds=metric.bounds, least=2)
    return interval_row(name, interval, n, frechet(x, z), settings)


def neighbours(sets: Sets, metric: Metric) -> Row:
    """Precision, recall, density or coverage, at equal n: the one that the row is called."""
    from veridical.metrics.distribution import prdc_from_distances

    k, n, name = NEIGHBOURS, sets.equal.n, metric.named(sets.extractor)
    settings = sets.deep.settings | {"n_real": n, "n_synth": n, "k": k}
    if n <= k:
        reason = f"needs more than {k} images a set and as many more real ones for the floor (k = {k} neighbours)"
        return null(name, reason, n, settings)
    xx, yy, xy = sets.distances

    def value(i: NDArray[Any], j: NDArray[Any]) -> float:
        return prdc_from_distances(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)], k)[metric.name]

    interval = jackknife(value, sets.equal.groups, bounds=metric.bounds, least=k + 1)
    return interval_row(name, interval, n, sets.neighbour_floors[metric.name], settings)


def spacing(sets: Sets, metric: Metric) -> Row:
    """How different synthetic images are from each other, beside other real ones; its floor is that of real ones."""
    from veridical.metrics.spacing import spacing

    name, (real, synth, others) = metric.named(sets.extractor), sets.features
    synth = synth[: sets.distinct]
    if sets.floor_real is None:
        real, others = real[sets.rows.half], others[sets.rows.others]
    try:
        value, floor = spacing(synth, others), spacing(real, others)
    except ValueError as error:
        return null(name, str(error), len(synth))
    settings = {"distance": "Euclidean, to the nearest of the same set; median, over that of training tiles"}
    return row(name, value, len(synth), floor=floor, settings=settings)


# ------------------------------------------------------------------------------------------ of training images


def memorised(sets: Sets, metric: Metric) -> Row:
    """Share of synthetic images that are nearer to a training crop than nearly all unseen real ones."""
    from veridical.metrics.novelty import memorised_threshold

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
        threshold, chance = memorised_threshold(known)
    except (InputError, ValueError) as error:
        return null(name, str(error), n, settings)
    near = crops.distance < threshold
    interval = jackknife(lambda i: float(near[i].mean()), [np.arange(n)], bounds=metric.bounds)
    found = interval_row(name, interval, n, chance, settings | {"threshold": threshold})
    found["settings"]["interval"] += "; threshold taken as known"
    return found
