"""Did a training keep its pace? A budget of minutes on a busy machine buys fewer steps than it promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FIRST = 20.0  # seconds
FEWEST = 4  # steps that say how fast the first ones were
SLOW = 0.5  # of the pace of the first seconds


def first_pace(times: Iterable[tuple[int, float]]) -> float | None:
    """Steps a second in the first seconds, without the first step, in which much is made ready.

    None for a training that is no longer than these.

    Parameters
    ----------
    times : iterable of (step, seconds since the start), in order
    """
    start: tuple[int, float] | None = None
    last, made = (0, 0.0), 0
    for step, seconds in times:
        if start is None:
            start = step, seconds
        elif seconds - start[1] < FIRST or made < FEWEST:
            last, made = (step, seconds), made + 1
        else:
            return (last[0] - start[0]) / (last[1] - start[1]) if last[1] > start[1] else None
    return None


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
