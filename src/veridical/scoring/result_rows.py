"""Result rows: numbers with their interval, floor and settings, or null and a reason."""

from __future__ import annotations

from typing import Any

from veridical.stats.jackknife import Interval

Row = dict[str, Any]


def row(
    metric: str,
    value: float | None,
    n: int | None,
    *,
    low: float | None = None,
    high: float | None = None,
    floor: float | None = None,
    reason: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Row:
    values = {"metric": metric, "value": value, "low": low, "high": high, "n": n, "floor": floor}
    return values | {"reason": reason, "settings": settings or {}}


def null(metric: str, reason: str, n: int | None, settings: dict[str, Any] | None = None) -> Row:
    """Row of a metric that cannot be computed."""
    return row(metric, None, n, reason=reason, settings=settings)


def interval_row(
    metric: str,
    interval: Interval,
    n: int,
    floor: float | None,
    settings: dict[str, Any],
    findings: tuple[str | None, ...] = (),
) -> Row:
    """Row of a value with its interval; its reason is what there is to say of it, as why there is no interval."""
    settings = settings | {"interval": interval.method, "standard_error": interval.se}
    no_interval = None if interval.low is not None else "no interval: " + interval.method.removeprefix("none: ")
    reason = "; ".join(said for said in (*findings, no_interval) if said) or None
    return row(
        metric, interval.value, n, low=interval.low, high=interval.high, floor=floor, reason=reason, settings=settings
    )
