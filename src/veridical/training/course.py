"""How the score of a training has gone, and which of its states to keep: numbers in, words out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SMOOTHED = 3  # scores that a judgement is made of: a single one of few images is chance as well
WITHIN = 0.5  # standard errors above the lowest score that are chance: the later of two such states is kept
PART = 2 / 3  # of the training so far, with whose score the present one is compared


@dataclass(frozen=True)
class Point:
    """A score of the state of a training.

    Attributes
    ----------
    step : int
    seconds : float
        Since the training began.
    value : float
        Distance to real (`veridical.scoring.table.HEADLINE`).
    low, high : float or None
        Its 95 % interval.
    error : float
        What it varies by with the samples alone, one standard error: other states are compared with the same real tiles.
    n : int
        Samples.
    """

    step: int
    seconds: float
    value: float
    low: float | None
    high: float | None
    error: float
    n: int


def smoothed(points: Sequence[Point]) -> tuple[float, float]:
    """Mean and standard error of the last three scores, weighted by their samples.

    Samples of a preview come from the same noise as those before, so that their errors are alike: the error of the mean is
    that of one of them.
    """
    last = points[-SMOOTHED:]
    total = sum(point.n for point in last)
    mean, error = (sum(getattr(point, name) * point.n for point in last) / total for name in ("value", "error"))
    return mean, error


def lowest(points: Sequence[Point]) -> tuple[int, float]:
    """Number of the score whose smoothed value is the lowest so far, and that value."""
    means = [smoothed(points[: k + 1])[0] for k in range(len(points))]
    at = min(range(len(means)), key=means.__getitem__)
    return at, means[at]


def is_best(points: Sequence[Point]) -> bool:
    """Whether the state of the last score is to be kept in place of an earlier one.

    It is if its smoothed score is within half a standard error of the lowest: of states that cannot be told apart the later
    one has learned for longer, and the lowest of many noisy scores is low by chance. One that has just become worse, by two
    standard errors of what is smoothed, is not, however good those before were.
    """
    mean, error = smoothed(points)
    return mean <= lowest(points)[1] + WITHIN * error and points[-1].value <= mean + 2 * error


def since_lowest(points: Sequence[Point]) -> int:
    """Scores since the smoothed one was lowest."""
    return len(points) - 1 - lowest(points)[0] if points else 0


def trend(points: Sequence[Point]) -> str:
    """In words where the score goes: "still falling", "level", "rising since step N"; "" of fewer than three scores."""
    if len(points) < SMOOTHED:
        return ""
    mean, error = smoothed(points)
    at, least = lowest(points)
    if mean > least + 2 * error:
        return f"rising since step {points[at].step}"
    before = max(1, sum(point.seconds <= PART * points[-1].seconds for point in points))
    then = smoothed(points[: min(before, len(points) - 1)])[0]
    return "still falling" if then - mean > error else "level"


def told(points: Sequence[Point]) -> str:
    """A sentence for the bar; "" before the first score."""
    if not points:
        return ""
    said = f"distance to real {points[-1].value:.2f}"
    going = trend(points)
    return f"{said}, {going}" if going else said


def interval(point: Point) -> str:
    """As text: 0.31 [0.24, 0.38]."""
    if point.low is None or point.high is None or not math.isfinite(point.low + point.high):
        return f"{point.value:.2f}"
    return f"{point.value:.2f} [{point.low:.2f}, {point.high:.2f}]"
