"""Confidence intervals: a delete-a-group jackknife, group = slice. The one mechanism for all intervals of the package."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit  # scipy.stats has the same as t.ppf, and takes a second to import

from veridical.stats.groups import MAX_GROUPS, Groups, group_numbers
from veridical.stats.shares import at_rank, exact_bound, recovered, wilson

REPEATS = 20  # halves that are left out of a set, and their other halves
EXCESS = 2 / 3  # of the jackknife's known excess that is taken off; see the notes of `jackknife`

Kind = Literal["mean", "distance", "ratio", "count"]
Statistic = Callable[..., float]


class Interval(NamedTuple):
    """A value, limits and standard error of its interval (None where there is none), and in words how they were found,
    or why they were not: `method` then begins with "none"."""

    value: float
    low: float | None
    high: float | None
    se: float | None
    method: str

    def shown(self, digits: int) -> str:
        """As text: 0.42 [0.31, 0.55]."""
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f} [{self.method}]"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def jackknife(
    statistic: Statistic,
    groups: Sequence[ArrayLike],
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    kind: Kind = "mean",
    max_groups: int = MAX_GROUPS,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic of one or more independent sets.

    Parameters
    ----------
    statistic : function of one array of row numbers a set -> float, NaN where the rows are too few
    groups : one sequence of labels a set, one label a row. Rows of a group (tiles of one slice) are left out together.
    bounds : range of the statistic; the value and the interval lie in it
    kind : "mean": means, and smooth functions of them; groups are left out one at a time.
        "distance": smooth functions of pairs of rows, whose linear part vanishes where the sets are alike; likewise, and the
        variance is corrected.
        "ratio": such a distance over another; likewise, and the bias that a denominator which varies makes is taken off.
        "count": shares of rows that have a neighbour of another set near by; half of the groups are left out at a time.
    max_groups : more groups than this are merged into this many of about equal size
    level : coverage of the interval

    Returns
    -------
    Interval
        Without limits and standard error where groups are too few to leave some out; `method` says so, and the bias of a ratio
        is not taken off.

    Notes
    -----
    For each set, groups with m_j rows out of n are left out in turn. With h_j = n / m_j, theta the value on everything and
    theta_j without them, one group at a time, the pseudo-values are p_j = h_j theta - (h_j - 1) theta_j and the variance is
    1/g sum_j (p_j - mean)^2 / (h_j - 1), with mean = g theta - sum_j (1 - 1/h_j) theta_j  (Busing, Meijer and van der
    Leeden 1999, doi:10.1023/A:1008800423698); equal groups give the ordinary jackknife. Counts are no smooth functions, and
    the jackknife of one group at a time overstates their variance; with half of the groups left out it is the mean of
    (h - 1) (theta_j - mean)^2 (Shao and Wu 1989, doi:10.1214/aos/1176347263). The variances of the sets are added, with
    Satterthwaite's degrees of freedom for Student's t: g - 1 for one set of g groups, so that few groups give a wide interval.

    The jackknife counts the variance of the part of a statistic that depends on pairs of groups twice (Efron and Stein 1981,
    doi:10.1214/aos/1176345462), which is all of a kernel distance between sets that are alike. What is too much is the sum
    of squares of the second differences theta - theta_j - theta_k + theta_jk over pairs of groups. It is estimated from
    neighbouring pairs. Two thirds of it are taken off: such statistics are skewed, and low values have low
    variances, so that the exact variance gives intervals that hold less than they say (benchmarks/coverage_grouped.py).

    The bias of a ratio is sum_j (1 - 1/h_j) theta_j - (g - 1) theta, summed over the sets, up to terms of order 1/g^2; that of an
    unbiased distance is 0.

    Where the range is finite on both sides, the interval is that of a share (`veridical.stats.shares.wilson`). Where nothing
    varies, at an end of the range, it is the exact binomial bound of the smallest number of groups.
    """
    sets = [group_numbers(labels, max_groups) for labels in groups]
    everything = [np.arange(len(each.numbers)) for each in sets]
    value = float(statistic(*everything))
    reason = next((why for each in sets if (why := _too_few(each)) is not None), None)
    if reason is not None:
        return _none(value, bounds, reason)
    variances, freedoms, singly, constant, bias = [], [], [], True, 0.0
    for which, each in enumerate(sets):
        found = None
        for left_out in ([_halves(each.numbers)] if kind == "count" else []) + [_single(each.numbers)]:
            values = np.array([statistic(*_without(everything, which, rows)) for rows in left_out])
            if np.isfinite(values).all():
                found = left_out, values
                break
        if found is None:
            return _none(value, bounds, f"{each.words}, too few to leave some out")
        left_out, values = found
        constant &= bool(np.allclose(values, value, rtol=0, atol=1e-12))
        h = len(each.numbers) / np.array([len(rows) for rows in left_out])
        variances.append(_variance(value, values, h, one_each=len(h) == each.numbers.max() + 1))
        freedoms.append(each.numbers.max())
        bias += float(np.sum((1 - 1 / h) * values) - (len(h) - 1) * value)
        singly.append(values)
    total = float(np.sum(variances))
    if kind in ("distance", "ratio"):
        total -= EXCESS * min(_excess(statistic, everything, sets, value, singly), total / 2)
    if kind == "ratio":
        value -= bias
    method = f"{level:.0%} delete-a-group jackknife; groups: " + ", ".join(each.words for each in sets)
    share = bool(np.isfinite(bounds).all())
    if constant and share and value in bounds:
        low, high = exact_bound(value, bounds, min(each.units for each in sets), level)
        return Interval(value, low, high, 0.0, method + "; no variation between them, so an exact binomial bound")
    freedom = np.sum(variances) ** 2 / np.sum(np.square(variances) / freedoms) if total > 0 else min(freedoms)
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    se, clipped = float(np.sqrt(total)), float(np.clip(value, *bounds))
    low, high = wilson(clipped, se, quantile, bounds) if share else (value - quantile * se, value + quantile * se)
    low, high = (float(limit) for limit in np.clip((low, high), *bounds))
    return Interval(clipped, low, high, se, method)


def below_quantile(
    values: NDArray[np.float64],
    others: NDArray[np.float64],
    threshold: float,
    groups: ArrayLike,
    other_groups: ArrayLike,
    level: float = 0.95,
) -> Interval:
    """Interval of the share of `values` (N,) below `threshold`, an order statistic of `others` (M,), which varies too.

    Parameters
    ----------
    groups, other_groups : (N,), (M,) label of each row

    Notes
    -----
    The limits of the share of `others` at or below the threshold, taken as known, are those of the rank of the true quantile
    (Woodruff 1952, doi:10.1080/01621459.1952.10483443); the shares of `values` below the quantiles of these ranks are limits
    for what the threshold varies by, and are put together with those for what `values` vary by (`shares.recovered`).
    """
    below, rank = values < threshold, others <= threshold
    own = jackknife(lambda i: float(below[i].mean()), [groups], bounds=(0, 1), level=level)
    theirs = jackknife(lambda i: float(rank[i].mean()), [other_groups], bounds=(0, 1), level=level)
    if own.low is None or own.high is None or theirs.low is None or theirs.high is None:
        return _none(own.value, (0, 1), (own if own.low is None else theirs).method.removeprefix("none: "))
    ordered = np.sort(others)
    low, high = (at_rank(ordered, limit * len(ordered)) for limit in (theirs.low, theirs.high))
    moved = float(np.mean(values < low)), float(np.mean(values <= high))
    limits = np.clip(recovered(own.value, (own.low, own.high), moved), 0, 1)
    words = [each.method.partition("groups: ")[2].partition(";")[0] for each in (own, theirs)]
    method = f"{level:.0%} delete-a-group jackknife of the share and of the threshold; groups: {', '.join(words)}"
    return Interval(own.value, float(limits[0]), float(limits[1]), None, method)


def _too_few(groups: Groups) -> str | None:
    """Why a set cannot show how it varies."""
    if not len(groups.numbers):
        return "no images"
    if groups.numbers.max() > 0:
        return None
    return "one image only" if len(groups.numbers) == 1 else "all images are of one slice"


def _none(value: float, bounds: tuple[float, float], reason: str) -> Interval:
    return Interval(float(np.clip(value, *bounds)), None, None, None, f"none: {reason}")


def _without(everything: list[NDArray[np.int_]], which: int, rows: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    return [np.setdiff1d(own, rows, assume_unique=True) if k == which else own for k, own in enumerate(everything)]


def _single(numbers: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    """Rows of each group."""
    return [np.flatnonzero(numbers == j) for j in range(numbers.max() + 1)]


def _halves(numbers: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    """Rows of half of the groups, and of the other half: all ways if they are few, else at random."""
    g = int(numbers.max()) + 1
    ways = list(combinations(range(g), g // 2)) if g < 7 else []
    if not ways:
        rng = np.random.default_rng(0)
        for _ in range(REPEATS):
            order = rng.permutation(g)
            ways += [tuple(order[: g // 2]), tuple(order[(g + 1) // 2 :])]
    return [np.flatnonzero(np.isin(numbers, way)) for way in ways]


def _variance(value: float, left_out: NDArray[np.float64], h: NDArray[np.float64], one_each: bool) -> float:
    if not one_each:
        return float(np.mean((left_out - left_out.mean()) ** 2 * (h - 1)))
    pseudo = h * value - (h - 1) * left_out
    mean = len(h) * value - np.sum((1 - 1 / h) * left_out)
    return float(np.mean((pseudo - mean) ** 2 / (h - 1)))


def _excess(
    statistic: Statistic,
    everything: list[NDArray[np.int_]],
    sets: list[Groups],
    value: float,
    singly: list[NDArray[np.float64]],
) -> float:
    """What the jackknife counts twice, from pairs of groups that follow each other in a set, and of equal number in two."""
    rows = [_single(each.numbers) for each in sets]
    total = 0.0
    for a, first in enumerate(singly):
        g = len(first)
        pairs = [(j, (j + 1) % g) for j in range(g)] if g > 3 else []
        twice = np.array(
            [statistic(*_without(everything, a, np.concatenate([rows[a][j], rows[a][k]]))) for j, k in pairs]
        )
        if pairs and np.isfinite(twice).all():
            j, k = np.transpose(pairs)
            second = g * value - (g - 1) * (first[j] + first[k]) + (g - 2) * twice
            total += (g - 1) / 2 / g * float(np.mean(second**2))
        for b in range(a + 1, len(singly)):
            n = max(g, len(singly[b]))
            j, k = np.arange(n) % g, np.arange(n) % len(singly[b])
            both = [
                statistic(*_without(_without(everything, a, rows[a][p]), b, rows[b][q]))
                for p, q in zip(j, k, strict=True)
            ]
            second = value - first[j] - singly[b][k] + np.array(both)
            if np.isfinite(second).all():
                total += (g - 1) * (len(singly[b]) - 1) * float(np.mean(second**2))
    return total
