"""Figures of a bench: ranking, loss curves and sheets of tiles. Matplotlib's object interface, no global state."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.ndimage import uniform_filter1d

from veridical.core.files import write_bytes
from veridical.data.images import to_grid

INK, MUTED, RULE = "#1c2733", "#5b6875", "#d5dbe1"
ACCENT, BASELINE, FLOOR = "#0b5cad", "#8a6d1d", "#cfe6d6"
# Okabe and Ito's colours that stand out on white: told apart by readers who are colour-blind.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
DPI = 200


def save(path: Path, figure: Figure | np.ndarray) -> bytes:
    """Write a figure or a uint8 image as PNG and return the file's bytes."""
    out = io.BytesIO()
    if isinstance(figure, Figure):
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    else:
        from PIL import Image

        Image.fromarray(figure).save(out, format="png", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, out.getvalue())
    return out.getvalue()


def data_uri(png: bytes) -> str:
    """PNG bytes as the address of an image inside the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _literal(text: str) -> str:
    """Text that Matplotlib draws as it is: a dollar begins no formula."""
    return text.replace("$", r"\$")


def framed(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with axes in the style of all."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.tick_params(colors=MUTED, labelsize=8, length=3, width=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom" or side == "left")
        spine.set_color(RULE)
    return figure, axes


def ranking_plot(entries: list[dict[str, Any]], label: str) -> Figure:
    """Dots with intervals, best on top, between the real-against-real floor and the line to beat at 1.

    Parameters
    ----------
    entries : list of dict
        name, value (None: not scored), low, high, values (one a seed), floor, baseline (bool), remark (shown
        instead of a dot).
    label : str
        Name and scale of the metric for the axis.
    """
    figure, axes = framed(5.2, 1.25 + 0.34 * len(entries))
    shown = [e for e in entries if e["value"] is not None]
    reach = [0.0, 1.0] + [x for e in shown for x in (e["value"], e["low"], e["high"], *e["values"]) if x is not None]
    floors = [e["floor"] for e in entries if e["floor"] is not None]
    left, right = min(reach + floors), max(reach)
    margin = 0.06 * (right - left)
    axes.set_xlim(left - margin, right + margin)
    if floors:
        # One floor is a line; floors at several n are a band. A least width keeps it visible.
        half = max(0.0, 0.012 * (right - left) - (max(floors) - min(floors)) / 2)
        axes.axvspan(min(floors) - half, max(floors) + half, color=FLOOR, lw=0)
    axes.axvline(0, color=RULE, lw=0.8, zorder=0)
    axes.axvline(1, color=BASELINE, lw=1, ls=(0, (4, 2)), zorder=1)
    for y, entry in enumerate(entries):
        color = BASELINE if entry["baseline"] else ACCENT
        if entry["value"] is None:
            axes.text(0.5, y, _literal(entry["remark"]), ha="center", va="center", color=MUTED, size=8)
            continue
        if entry["low"] is not None:
            axes.plot([entry["low"], entry["high"]], [y, y], color=color, lw=2.2, solid_capstyle="round", alpha=0.55)
        if len(entry["values"]) > 1:
            axes.plot(entry["values"], [y] * len(entry["values"]), "o", ms=3, mfc="white", mec=color, mew=0.8, zorder=3)
        marker = "D" if entry["baseline"] else "o"
        axes.plot(entry["value"], y, marker, ms=6, color=color, mec="white", mew=0.8, zorder=4)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.set_yticks(range(len(entries)), [_literal(e["name"]) for e in entries])
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=RULE, lw=0.4)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_xlabel(f"{_literal(label)} (lower is better)", color=INK, size=9)
    crowded = right - left > 2.2
    labels = [("random texture", 1.0, "left" if crowded else "center", BASELINE)]
    if floors:
        labels.append(("real vs real", (min(floors) + max(floors)) / 2, "right" if crowded else "center", "#2f6b45"))
    for text, x, side, color in labels:
        axes.annotate(text, (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
                      ha=side, size=7.5, color=color)  # fmt: skip
    return figure


def smooth(values: np.ndarray) -> np.ndarray:
    """Moving average over a fortieth of the curve."""
    return uniform_filter1d(values, max(1, len(values) // 40), mode="nearest")


def loss_plot(curves: dict[int, dict[str, Any]], title: str) -> Figure:
    """Training losses against minutes: smoothed lines over the faint raw values.

    Parameters
    ----------
    curves : dict
        seed -> {"minutes": array (n,), "parts": {part: array (n,)}}; one colour a part, one line a seed.
    title : str
        Drawn above.
    """
    figure, axes = framed(3.5, 2.3)
    parts = list(dict.fromkeys(part for curve in curves.values() for part in curve["parts"]))
    everything, lines = [], {}
    for curve in curves.values():
        for part, values in curve["parts"].items():
            color = LINES[parts.index(part) % len(LINES)]
            known = np.isfinite(values)  # parts that are stepped now and then have gaps
            minutes, values = curve["minutes"][known], values[known]
            everything.append(smooth(values))
            axes.plot(minutes, values, color=color, lw=0.5, alpha=0.22)
            (lines[part],) = axes.plot(minutes, everything[-1], color=color, lw=1.3)
    values = np.concatenate(everything)
    if values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
        axes.set_ylim(values.min() / 1.3, values.max() * 1.3)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() < 100 * values.min() else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        # The raw noise is cut where it would squeeze the curve.
        margin = 0.25 * (np.ptp(values) or abs(values[0]) or 1.0)
        bottom = values.min() - margin
        axes.set_ylim(max(bottom, 0) if values.min() >= 0 else bottom, values.max() + margin)
    axes.set_xlim(left=0)
    axes.grid(color=RULE, lw=0.4)
    axes.set_xlabel("training time (minutes)", color=INK, size=8)
    axes.set_ylabel("loss", color=INK, size=8)
    axes.set_title(_literal(title), loc="left", size=9, color=INK)
    if len(parts) > 1:
        axes.legend(
            lines.values(), [_literal(part) for part in lines], fontsize=7.5, frameon=False, labelcolor=INK, loc="best"
        )
    return figure


def sample_sheet(sets: list[tuple[str, np.ndarray]], columns: int, scale: int) -> Figure:
    """Rows of tiles with their names, all at the same scale and grey window, pixel for pixel.

    Parameters
    ----------
    sets : list of (name, images (N, C, H, W) in [0, 1])
        Real tiles first.
    columns, scale : int
        Tiles in a row, and how many pixels wide a tile's pixel is drawn.
    """
    strips = [(name, to_grid(images, columns, pad=2, scale=scale)) for name, images in sets]
    label, gap = max(150, 24 + 9 * max(len(name) for name, _ in sets)), 14  # pixels; 9 are a letter
    width = label + max(strip.shape[1] for _, strip in strips) + gap
    height = sum(strip.shape[0] + gap for _, strip in strips) + gap
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    top = height - gap
    for name, strip in strips:
        top -= strip.shape[0]
        colour = strip if strip.ndim == 3 else np.repeat(strip[..., None], 3, axis=2)
        figure.figimage(colour, xo=label, yo=top)
        middle = (top + strip.shape[0] / 2) / height
        figure.text((label - 12) / width, middle, _literal(name), ha="right", va="center", size=11, color=INK)
        top -= gap
    return figure
