"""Are synthetic images different from each other? Distance to the nearest of their own, beside that of real images."""

import numpy as np
from numpy.typing import ArrayLike

from veridical.core.arrays import check_array


def spacing(
    features: np.ndarray, real: np.ndarray, groups: ArrayLike | None = None, real_groups: ArrayLike | None = None
) -> float:
    """Median distance of an image to its nearest fellow, as a share of that of real images.

    Parameters
    ----------
    features : (N, d)
        Of the images to judge.
    real : (M, d)
        Of real ones.
    groups, real_groups : (N,), (M,), optional
        Label of each row. Tiles of one slice are alike: the nearest of another slice counts, if there are several.

    Returns
    -------
    float
        About 1 for images as various as real ones. A generator that gives one image, or a few, stays near 0 however far
        these few are from each other, where a mean over all pairs would not fall.

    Raises
    ------
    ValueError
        With fewer than two images, or real images that are all alike.

    Notes
    -----
    The distance falls with the number of images, so both sets are thinned to the smaller one.
    """
    features, real = (check_array(x, name, "(N, d)") for x, name in ((features, "features"), (real, "real")))
    n = min(len(features), len(real))
    if n < 2:
        raise ValueError("needs at least 2 images a set")
    mine, theirs = (_nearest(x, labels, n) for x, labels in ((features, groups), (real, real_groups)))
    if not theirs > 0:
        raise ValueError("the real images are all alike")
    return mine / theirs


def _nearest(features: np.ndarray, groups: ArrayLike | None, n: int) -> float:
    """Median over n of the images of the Euclidean distance to the nearest other one, of another group."""
    rows = np.linspace(0, len(features) - 1, n).astype(int)
    x, labels = np.asarray(features, np.float64)[rows], rows if groups is None else np.asarray(groups)[rows]
    if len(np.unique(labels)) == 1:
        labels = rows
    x = x - x.mean(0)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    distance[labels[:, None] == labels] = np.inf
    return float(np.sqrt(np.median(distance.min(1).clip(0))))
