"""Confidence intervals: a delete-a-group jackknife, group = slice. The one mechanism for all intervals of the package."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

from veridical.stats.groups import MAX_GROUPS, group_numbers


class Interval(NamedTuple):
    """A value, limits and standard error of its interval (None where rows are too few), and in words how they were found."""

    value: float
    low: float | None
    high: float | None
    se: float | None
    method: str


def jackknife(
    statistic: Callable[..., float],
    groups: Sequence[ArrayLike],
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    least: int = 1,
    max_groups: int = MAX_GROUPS,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic of one or more independent sets.

    Parameters
    ----------
    statistic : function of one array of row numbers a set -> float
    groups : one sequence of labels a set, one label a row. Rows of a group (tiles of one slice) are left out together.
    bounds : range of the statistic; the value and the interval are clipped to it
    least : rows that the statistic needs in every set; no interval if leaving out a group leaves fewer
    max_groups : more groups than this are merged into this many of about equal size
    level : coverage of the interval

    Returns
    -------
    Interval
        Without limits and standard error where rows are too few to leave some out; `method` says so.

    Notes
    -----
    For each set, group j of m_j rows out of n is left out in turn. With h_j = n / m_j, theta the value on everything
    and theta_j without group j, the pseudo-values are p_j = h_j theta - (h_j - 1) theta_j and the variance is
    1/g sum_j (p_j - mean)^2 / (h_j - 1), with mean = g theta - sum_j (1 - 1/h_j) theta_j  (Busing, Meijer and van der
    Leeden 1999, doi:10.1023/A:1008800423698); equal groups give the ordinary jackknife. The variances of the sets
    are added, with Satterthwaite's degrees of freedom for Student's t. A set with fewer than five groups
    cannot show how slices vary: its rows then count one by one, the interval is too narrow if they are alike, and
    `method` says so.
    """
    sets = [group_numbers(labels, max_groups) for labels in groups]
    everything = [np.arange(len(each.numbers)) for each in sets]
    value = float(statistic(*everything))
    if any(len(each.numbers) - np.bincount(each.numbers).max() < max(least, 1) for each in sets):
        return Interval(float(np.clip(value, *bounds)), None, None, None, "none: too few images to leave some out")
    variances, freedoms, constant = [], [], True
    for which, each in enumerate(sets):
        sizes = np.bincount(each.numbers)
        left_out = np.empty(len(sizes))
        for j in range(len(sizes)):
            rows = list(everything)
            rows[which] = np.flatnonzero(each.numbers != j)
            left_out[j] = statistic(*rows)
        constant &= bool(np.allclose(left_out, value, rtol=0, atol=1e-12))
        h = len(each.numbers) / sizes
        pseudo = h * value - (h - 1) * left_out
        mean = len(h) * value - np.sum((1 - 1 / h) * left_out)
        variances.append(np.mean((pseudo - mean) ** 2 / (h - 1)))
        freedoms.append(len(h) - 1)
    total = float(np.sum(variances))
    method = f"{level:.0%} delete-a-group jackknife; groups: " + ", ".join(each.words for each in sets)
    if constant and value in bounds and np.isfinite(bounds).all():
        low, high = _share_interval(value, bounds, min(each.units for each in sets), level)
        method += "; no variation between them, so an exact binomial bound"
        return Interval(value, low, high, 0.0, method)
    freedom = total**2 / np.sum(np.square(variances) / freedoms) if total > 0 else min(freedoms)
    half = student_t.ppf((1 + level) / 2, freedom) * np.sqrt(total)
    low, high, clipped = np.clip([value - half, value + half, value], *bounds)
    return Interval(float(clipped), float(low), float(high), float(np.sqrt(total)), method)


def _share_interval(value: float, bounds: tuple[float, float], units: int, level: float) -> tuple[float, float]:
    """Clopper-Pearson limits for 0 or all of `units`: nothing seen in 20 images is not nothing at all."""
    reach = (bounds[1] - bounds[0]) * (1 - ((1 - level) / 2) ** (1 / units))
    return (value, float(bounds[0] + reach)) if value == bounds[0] else (float(bounds[1] - reach), value)
