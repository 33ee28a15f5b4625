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
    remark: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Row:
    """A result row: `reason` says why there is no value, `remark` what there is to say of a value."""
    values = {"metric": metric, "value": value, "low": low, "high": high, "n": n, "floor": floor}
    return values | {"reason": reason, "remark": remark, "settings": settings or {}}


def null(metric: str, reason: str, n: int | None, settings: dict[str, Any] | None = None) -> Row:
    """Row of a metric that cannot be computed."""
    return row(metric, None, n, reason=reason, settings=settings)


def interval_row(
    metric: str,
    interval: Interval,
    n: int,
    floor: float | None,
    settings: dict[str, Any],
    remarks: tuple[str | None, ...] = (),
) -> Row:
    """Row of a value with its interval; `remarks` are what there is to say of it, beside why there is no interval."""
    settings = settings | {"interval": interval.method, "standard_error": interval.se}
    no_interval = None if interval.low is not None else "no interval: " + interval.method.removeprefix("none: ")
    remark = joined(*remarks, no_interval)
    return row(
        metric, interval.value, n, low=interval.low, high=interval.high, floor=floor, remark=remark, settings=settings
    )


def real_of(row: Row) -> int | None:
    """How many real images a row is of; None where that says nothing."""
    settings = row.get("settings") or {}
    found = settings.get("n_real", settings.get("n_test"))
    return found if type(found) is int else None


def joined(*said: str | None) -> str | None:
    """Reasons or remarks as one text; None if there are none."""
    return "; ".join(text for text in said if text) or None


def said_of(row: Row) -> list[str]:
    """Reasons and remarks of a row, one by one, as they were `joined`."""
    return [said for text in (row["reason"], row["remark"]) if text for said in text.split("; ")]
