"""Agreement between people who put the same things into classes, beyond what chance gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cohen_kappa(first: NDArray[np.int_], second: NDArray[np.int_]) -> float:
    """Cohen's kappa of two raters: 1 is full agreement, 0 that of chance; NaN where both put everything into one class.

    Parameters
    ----------
    first, second : (N,) int, the class of each thing, from 0

    Notes
    -----
    (p_o - p_e) / (1 - p_e), where chance p_e has the classes of each rater as often as that rater used them (Cohen 1960,
    doi:10.1177/001316446002000104, eq. 1).
    """
    classes = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(each, minlength=classes) / len(each) for each in (first, second)]
    return _beyond(float((first == second).mean()), float(shares[0] @ shares[1]))


def fleiss_kappa(ratings: NDArray[np.int_]) -> float:
    """Fleiss' kappa of two or more raters, the scale as of `cohen_kappa`.

    Parameters
    ----------
    ratings : (R, N) int, the class that each of R raters put each of N things into, from 0

    Notes
    -----
    Chance has the classes as often as all raters together used them (Fleiss 1971, doi:10.1037/h0031619, eq. 7).
    """
    raters, things = ratings.shape
    counts = np.stack([(ratings == k).sum(0) for k in range(int(ratings.max()) + 1)], 1)
    agreed = float((counts * (counts - 1)).sum() / (things * raters * (raters - 1)))
    return _beyond(agreed, float(((counts.sum(0) / (things * raters)) ** 2).sum()))


def _beyond(seen: float, chance: float) -> float:
    return (seen - chance) / (1 - chance) if chance < 1 else float("nan")
