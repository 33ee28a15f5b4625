"""Are synthetic images different from each other? Distance to the nearest of their own, beside that of real images."""

import numpy as np

from veridical.core.arrays import check_array


def spacing(features: np.ndarray, real: np.ndarray) -> float:
    """Median distance of an image to its nearest fellow, as a share of that of real images.

    Parameters
    ----------
    features : (N, d)
        Of the images to judge.
    real : (M, d)
        Of real ones.

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
    mine, theirs = (_nearest(x[np.linspace(0, len(x) - 1, n).astype(int)]) for x in (features, real))
    if not theirs > 0:
        raise ValueError("the real images are all alike")
    return mine / theirs


def _nearest(features: np.ndarray) -> float:
    """Median over images of the Euclidean distance to the nearest other one."""
    x = np.asarray(features, np.float64)
    x = x - x.mean(0)
    square = (x**2).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    return float(np.sqrt(np.median(distance.min(1).clip(0))))
