"""Result rows as a table and in sentences: the headline by its name, and what was not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veridical.core.text import shown
from veridical.scoring.result_rows import Row, real_of, said_of
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE, METRICS, find

if TYPE_CHECKING:
    from rich.console import Group


def format_rows(rows: list[Row]) -> Group:
    """Rows as a table for `rich`: value, interval, floor, n (synthetic images) and real ones; notes by their numbers below it."""
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    # Whole words and numbers in 80 columns, as a pipe has them.
    widths = {"95 % interval": 10, "real against real": 8, "better": 6, "n": None, "real": None, "note": None}
    heads = [Column(name, no_wrap=True) for name in ("metric", "value")]
    heads += [Column(name, min_width=width) for name, width in widths.items()]
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    notes: dict[str, int] = {}
    for row in rows:
        metric = find(row["metric"])
        caution = [metric.caution] if metric is not None and metric.caution and row["value"] is not None else []
        numbers = [notes.setdefault(said, len(notes) + 1) for said in (*said_of(row), *caution)]
        value, low, high, floor = (
            "–" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "low", "high", "floor")
        )
        between = "–" if row["low"] is None else f"{low} to {high}"
        better = "–" if metric is None or metric.better == "neither" else metric.better
        counts = (str(row["n"]), str(real_of(row) or "–"))
        table.add_row(row["metric"], value, between, floor, better, *counts, ", ".join(map(str, sorted(numbers))))
    return Group(table, *(Text(f"{number}: {shown(said)}") for said, number in notes.items()))


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
