"""Curves as SVG, for pages that are made again every few seconds: no library draws them, the colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from veridical.reporting.figures import LINES

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
ACROSS = 3  # names in a row of the legend
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def curves(
    lines: Mapping[str, Curve],
    alt: str,
    *,
    band: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    mark: tuple[float, str] | None = None,
    log: bool = False,
    level: float | None = None,
) -> str:
    """Lines over minutes.

    Parameters
    ----------
    lines : mapping
        Name to x and y (N,); what is not finite, and on a logarithmic axis not positive, is left out.
    alt : str
        The picture in words.
    band : (low, high), optional
        Of the first line, (N,) each.
    mark : (x, words), optional
        A vertical line.
    log : bool
        A logarithmic axis, where all values are positive.
    level : float, optional
        A horizontal line.

    Returns
    -------
    str
        An ``<svg>`` element, or an empty text without any point.
    """
    kept = {name: _finite(x, y) for name, (x, y) in lines.items()}
    kept = {name: line for name, line in kept.items() if len(line[0])}
    if not kept:
        return ""
    every = np.concatenate([y for _, y in kept.values()])
    log = log and bool((every > 0).all())
    more = [] if band is None else [limit[np.isfinite(limit)] for limit in band]
    all_y = np.concatenate([every, *more, *([[level]] if level is not None else [])])
    all_x = np.concatenate([x for x, _ in kept.values()])
    x_axis = _Axis(0.0, float(all_x.max()) or 1.0, LEFT, WIDTH - RIGHT, False)
    low, high = float(all_y.min()), float(all_y.max())
    if not log:
        low, high = min(0.0, low), high if high > low else low + 1
    legend = list(kept) if len(kept) > 1 else []
    top = TOP + 16 * -(-len(legend) // ACROSS)
    y_axis = _Axis(low, high, HEIGHT - BOTTOM, top, log)
    parts = [_grid(x_axis, y_axis)]
    if band is not None:
        x = next(iter(lines.values()))[0]
        fine = np.isfinite(band[0]) & np.isfinite(band[1])
        there = [*zip(x[fine], band[0][fine]), *zip(x[fine][::-1], band[1][fine][::-1])]
        shape = " ".join(f"{x_axis.at(a):.1f},{y_axis.at(b):.1f}" for a, b in there)
        parts.append(f'<polygon points="{shape}" fill="{LINES[0]}" opacity="0.2"/>')
    if level is not None:
        parts.append(_rule(y_axis.at(level), horizontal=True))
    if mark is not None:
        at = x_axis.at(mark[0])
        side = "end" if at > (LEFT + WIDTH) / 2 else "start"
        parts.append(_rule(at, horizontal=False))
        parts.append(_text(at + (-4 if side == "end" else 4), top + 10, mark[1], side))
    for k, (x, y) in enumerate(kept.values()):
        colour = LINES[k % len(LINES)]
        points = " ".join(f"{x_axis.at(a):.1f},{y_axis.at(b):.1f}" for a, b in zip(x, y, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(x) < 40:
            dots = zip(x, y, strict=True)
            parts += [
                f'<circle cx="{x_axis.at(a):.1f}" cy="{y_axis.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in dots
            ]
    for k, name in enumerate(legend):
        x_at, y_at = LEFT + k % ACROSS * (WIDTH - LEFT - RIGHT) // ACROSS, TOP + 16 * (k // ACROSS)
        parts.append(f'<rect x="{x_at}" y="{y_at - 9}" width="10" height="10" fill="{LINES[k % len(LINES)]}"/>')
        parts.append(_text(x_at + 15, y_at, name, "start"))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}" font-size="11" fill="currentColor">'
        f"<title>{escape(alt)}</title>{''.join(parts)}</svg>"
    )


def thinned(x: NDArray[np.float64], y: NDArray[np.float64], most: int = 300) -> Curve:
    """Means over stretches of equal length, at most so many."""
    if len(x) <= most:
        return x, y
    starts = np.arange(most) * len(x) // most
    counts = np.diff([*starts, len(x)])
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


class _Axis:
    """From values to places on the page."""

    def __init__(self, low: float, high: float, start: float, stop: float, log: bool) -> None:
        self.log = log
        if log:
            low, high = math.log10(low), math.log10(high)
            low, high = (low, high) if high - low > 0.1 else (low - 0.1, high + 0.1)
        self.low, self.high, self._start, self._stop = low, high, start, stop

    def at(self, value: float) -> float:
        value = math.log10(value) if self.log else value
        return self._start + (value - self.low) / (self.high - self.low) * (self._stop - self._start)

    def ticks(self) -> list[float]:
        low, high = self.low, self.high
        if self.log:
            powers = range(math.floor(low), math.ceil(high) + 1)
            found = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= math.log10(m * 10.0**p) <= high]
            if len(found) > 1:
                return found[:: -(-len(found) // 6)]
            low, high = 10.0**low, 10.0**high  # within a factor of a few: even steps
        rough = (high - low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(low / step - 1e-9)
        return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _finite(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    fine = np.isfinite(x) & np.isfinite(y)
    return x[fine], y[fine]


def _grid(x_axis: _Axis, y_axis: _Axis) -> str:
    parts = []
    for tick in y_axis.ticks():
        at = y_axis.at(tick)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor" opacity="0.15"/>'
        )
        parts.append(_text(LEFT - 6, at + 4, f"{tick:.4g}", "end"))
    for tick in x_axis.ticks():
        parts.append(_text(x_axis.at(tick), HEIGHT - BOTTOM + 15, f"{tick:.4g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "minutes", "middle"))
    return "".join(parts)


def _rule(at: float, horizontal: bool) -> str:
    place = (
        f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"'
        if horizontal
        else f'x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
    )
    return f'<line {place} stroke="currentColor" stroke-dasharray="4 3" opacity="0.6"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
