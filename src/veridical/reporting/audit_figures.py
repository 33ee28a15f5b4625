"""Figures of an audit: curves with the band of real images, and how quoted values are distributed."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from veridical.reporting.figures import FLOOR, INK, MUTED, framed

REAL, SYNTH = "#2f6b45", "#d55e00"


def curve_plot(curve: dict[str, Any]) -> Figure:
    """The median of synthetic images over the band of nine in ten real ones; `curve` as an audit writes it."""
    figure, axes = framed(3.4, 2.1)
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=FLOOR, lw=0, label="90 % of real")
    axes.plot(curve["x"], curve["middle"], color=REAL, lw=1, label="real, median")
    axes.plot(curve["x"], curve["synth"], color=SYNTH, lw=1.6, ls=(0, (5, 1.5)), label="synthetic, median")
    if curve["log"]:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(curve["x"][0], curve["x"][-1])
    axes.set_xlabel(curve["x_label"], color=INK, size=8)
    axes.set_ylabel(curve["label"], color=INK, size=8 if len(curve["label"]) < 25 else 6.5)
    # Above the axes: in them it would cover the band.
    figure.legend(
        loc="outside upper left",
        ncols=3,
        fontsize=6.5,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
        columnspacing=1,
    )
    return figure


def distribution_plot(found: dict[str, Any], value: float | None, expected: list[float | None] | None) -> Figure:
    """Shares of real and of synthetic images over a quoted value: its mean over the set, and where those of real sets lie."""
    figure, axes = framed(3.0, 1.35)
    edges = found["edges"]
    axes.stairs(found["real"], edges, fill=True, color=FLOOR, label="real")
    axes.stairs(found["real"], edges, color=REAL, lw=0.7)
    axes.stairs(found["synth"], edges, color=SYNTH, lw=1.4, label="synthetic")
    if value is not None and expected is not None:
        top = 1.12 * max(*found["real"], *found["synth"])
        low, high = (edges[k] if end is None else end for k, end in zip((0, -1), expected, strict=True))
        axes.plot([low, high], [top, top], color=REAL, lw=4, solid_capstyle="butt", alpha=0.6)
        axes.plot(value, top, "D", ms=4, color=SYNTH)
        axes.set_ylim(0, 1.1 * top)
        ends = [edges[0], edges[-1], low, high, value]
        margin = 0.03 * (max(ends) - min(ends))
        axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=7)
    label = found["label"]
    axes.set_xlabel(label if len(label) < 58 else f"{label[:55]}...", color=INK, size=7)
    axes.legend(fontsize=6.5, frameon=False, labelcolor=MUTED, handlelength=1.2)
    return figure
