"""Did a training keep its pace? A budget of minutes on a busy machine buys fewer steps than it promises."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

FIRST = 20.0  # seconds
FEWEST = 4  # steps that say how fast the first ones were
SLOW = 0.5  # of the pace of the first seconds


def first_pace(times: Iterable[tuple[int, float]]) -> float | None:
    """Steps a second in the first seconds, without the first step, in which much is made ready; None for too few steps.

    Parameters
    ----------
    times : iterable of (step, seconds since the start), in order
    """
    reached = iter(times)
    start = next(reached, None)
    if start is None:
        return None
    first = list(itertools.takewhile(lambda each: each[1] - start[1] < FIRST or each[0] <= start[0] + FEWEST, reached))
    if len(first) < FEWEST or first[-1][1] <= start[1]:
        return None
    return (first[-1][0] - start[0]) / (first[-1][1] - start[1])


def slowed(cost: Mapping[str, Any]) -> str | None:
    """What there is to say of a training that went on at less than half of its first pace; None of others.

    Parameters
    ----------
    cost : mapping
        steps, steps_per_second and first_steps_per_second, as in ``run.json``; any may be missing.
    """
    pace, first = cost.get("steps_per_second"), cost.get("first_steps_per_second")
    if not pace or not first or pace >= SLOW * first:
        return None
    return (
        f"{cost.get('steps')} steps at {pace:.2g} a second, after {first:.2g} in its first seconds: the machine was busy with "
        "something else, or the system grows"
    )
