"""Result rows in sentences: the headline by its name, and what was not measured."""

from __future__ import annotations

from veridical.scoring.result_rows import Row, real_of
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE, METRICS


def headline(rows: list[Row]) -> str:
    """The distance to real with its interval or why there is none, its floor and its counts; empty without such a row."""
    row = next((row for row in rows if row["metric"] == HEADLINE), None)
    if row is None:
        return ""
    name = f"{METRICS[HEADLINE].title} ({HEADLINE_SCALE}; {HEADLINE})"
    if row["value"] is None:
        return f"{name}: {row['reason']}"
    interval = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    floor = "" if row["floor"] is None else f", real against real {row['floor']:.2f}"
    real = real_of(row)
    counts = f"{row['n']} synthetic" + (f" against {real} real images" if real else " images")
    return f"{name}: {row['value']:.2f}{interval}{floor}; {counts}"


def unmeasured(rows: list[Row]) -> list[str]:
    """Metrics that have no value, by reason: ``"ssim, psnr: needs pairs"``."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            reasons.setdefault(row["reason"] or "", []).append(row["metric"])
    return [f"{', '.join(metrics)}: {reason}" for reason, metrics in reasons.items()]
