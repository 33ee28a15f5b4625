"""The few-label curve as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.ticker import NullLocator

from veridical.reporting.figures import ACCENT, INK, LINES, framed, save

KINDS = {"dice_real": ("real tiles alone", INK, "o"), "dice_both": ("real and synthetic tiles", ACCENT, "D")}


def few_plot(path: Path, rows: list[dict[str, Any]], title: str = "") -> None:
    """Write Dice (mean over classes) with its interval against the number of labelled tiles as PNG.

    Parameters
    ----------
    path : Path
    rows : list of dict
        From `veridical.scoring.few.few_labels`; with several sets of them, each ``settings`` with a ``name``.
    title : str
    """
    figure, axes = framed(4.6, 3.2)
    rows = [row for row in rows if row["settings"]["class"] is None and row["metric"] in KINDS]
    names = list(dict.fromkeys((row["metric"], row["settings"].get("name")) for row in rows))
    numbers = sorted({row["settings"]["labels"] for row in rows})
    for place, (metric, name) in enumerate(names):
        shown, color, marker = KINDS[metric]
        color = LINES[place % len(LINES)] if name else color
        mine = [r for r in rows if (r["metric"], r["settings"].get("name")) == (metric, name)]
        mine.sort(key=lambda row: row["settings"]["labels"])
        aside = 1 + 0.025 * place  # so that intervals do not hide each other
        at, values = [r["settings"]["labels"] * aside for r in mine], [r["value"] for r in mine]
        axes.plot(at, values, marker=marker, ms=5, color=color, lw=1.3, label=name or shown)
        for x, row in zip(at, mine, strict=True):
            if row["low"] is not None:
                axes.plot([x, x], [row["low"], row["high"]], color=color, lw=2, alpha=0.4, solid_capstyle="round")
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(k) for k in numbers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("labelled real tiles", size=9, color=INK)
    axes.set_ylabel("Dice on held-out real tiles", size=9, color=INK)
    axes.set_title(title, size=9, color=INK, loc="left")
    axes.grid(color=LINES[0], alpha=0.12, lw=0.5)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    save(path, figure)
