"""Do numbers of sets of images hold when real tiles come several a slice?

    python benchmarks/coverage_grouped.py --draws 400 --out docs/results/grouped.md

Features are Gaussian: a tile of a slice is sqrt(c) u + sqrt(1 - c) e with u common to its slice, so that any two tiles of a slice
correlate by c and every tile has the same distribution. Synthetic images are independent: of that distribution ("perfect"), or
moved and widened ("off"). `veridical.scoring` measures them as it would images, with the features put in their place. The true
value of a kernel distance, of random phase and of means is known; that of a metric that depends on n is its mean over draws.
Printed: the bias (mean minus truth, with the standard error of the simulation), what the floor is off the value that a perfect
generator has, and how often the 95 % interval holds the truth. With --by-tile nobody says which tiles are of one slice: each
counts by itself.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.metrics.novelty import Crops
from veridical.scoring.nearest import Training
from veridical.scoring.sets import Deep, Phase, Sets
from veridical.scoring.table import METRICS

DIM = 8
OFF = (0.4, 1.15)  # shift of every feature, and standard deviation
PHASE = 1.0  # shift of random-phase images
NAMES = ("kid", "kid_over_random_phase", "fd", "precision_capped", "recall_capped", "coverage", "memorised", "spacing")
NO_FEATURES: dict[str, Any] = {"features": "simulated"}

Array = NDArray[Any]


class Case(NamedTuple):
    """Real slices of so many tiles (one number, or one a slice) of a correlation, further real slices, synthetic images."""

    slices: int
    tiles: tuple[int, ...]
    correlation: float
    others: int
    synth: int

    def title(self) -> str:
        tiles = " or ".join(map(str, sorted(set(self.tiles))))
        return f"{self.slices} x {tiles}, c = {self.correlation:g}"


CASES = (
    Case(64, (1,), 0.0, 64, 64),
    Case(12, (5,), 0.3, 12, 64),
    Case(12, (2, 8), 0.3, 12, 64),
    Case(6, (20,), 0.3, 8, 128),
    Case(8, (10,), 0.6, 8, 64),
    Case(4, (10,), 0.3, 8, 64),
    Case(3, (20,), 0.3, 8, 64),
    Case(2, (20,), 0.3, 8, 64),
    Case(192, (1,), 0.0, 192, 192),
)


def slices(rng: np.random.Generator, count: int, tiles: tuple[int, ...], correlation: float) -> tuple[Array, Array]:
    """Features of all tiles and the slice of each."""
    labels = np.repeat(np.arange(count), np.resize(tiles, count))
    common, own = rng.normal(size=(count, DIM)), rng.normal(size=(len(labels), DIM))
    return math.sqrt(correlation) * common[labels] + math.sqrt(1 - correlation) * own, labels


def draw(case: Case, rng: np.random.Generator, perfect: bool, by_tile: bool = False) -> Sets:
    """Sets whose features are simulated; distances to training crops are the first feature."""
    x, groups = slices(rng, case.slices, case.tiles, case.correlation)
    z, other_groups = slices(rng, case.others, case.tiles, case.correlation)
    y = rng.normal(size=(case.synth, DIM))
    if not perfect:
        y = OFF[0] + OFF[1] * y
    p, phase_groups = slices(rng, case.others, case.tiles, case.correlation)
    if by_tile:
        groups, other_groups, phase_groups = (np.arange(len(labels)) for labels in (groups, other_groups, phase_groups))
    as_images = [np.ascontiguousarray(each[:, None, None]) for each in (x, y, z)]
    sets = Sets(
        as_images[0], as_images[1], groups, None, as_images[2], other_groups, train=Training([as_images[2][0]]),
    )  # fmt: skip
    none = np.zeros(case.synth, int)
    sets.__dict__["features"] = (x, y, z)
    sets.__dict__["random_phase"] = Phase(PHASE + p, phase_groups, False)
    sets.__dict__["crops"] = (Crops(y[:, 0], none, none, none, none), x[:, 0])
    rows = sets.rows
    sets.__dict__["deep"] = Deep(x[rows.real], y[rows.synth], x[rows.half], z[rows.others], NO_FEATURES)
    return sets


def moments(shift: float, scale: float) -> float:
    """Squared kernel distance of N(0, I) and N(shift, scale^2 I), by the moments of x.y / d, exact for the cubic kernel."""
    # E (1 + s)^3 = 1 + 3 E s + 3 E s^2 + E s^3 for s = x.y / d; x, y independent with means a, b and variances u, v a feature
    d = DIM

    def mean(a: float, u: float, b: float, v: float) -> float:
        m1, m2 = a * b, (a * a + u) * (b * b + v)
        m3 = (a**3 + 3 * a * u) * (b**3 + 3 * b * v)
        s1 = m1
        s2 = (d * m2 + d * (d - 1) * m1**2) / d**2
        s3 = (d * m3 + 3 * d * (d - 1) * m2 * m1 + d * (d - 1) * (d - 2) * m1**3) / d**3
        return 1 + 3 * s1 + 3 * s2 + s3

    return mean(0, 1, 0, 1) + mean(shift, scale**2, shift, scale**2) - 2 * mean(0, 1, shift, scale**2)


def truth(name: str, perfect: bool) -> float | None:
    """What is known without simulation."""
    kid = 0.0 if perfect else moments(*OFF)
    return {"kid": kid, "kid_over_random_phase": kid / moments(PHASE, 1)}.get(name)


def rows_of(
    case: Case, perfect: bool, draws: int, names: tuple[str, ...], seed: int, by_tile: bool
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for k in range(draws):
        sets = draw(case, np.random.default_rng((seed, k)), perfect, by_tile)
        for name in names:
            found[name].append(METRICS[name].measure(sets, METRICS[name]))
    return found


def summary(rows: list[dict[str, Any]], true: float | None) -> dict[str, Any]:
    values = np.array([row["value"] for row in rows if row["value"] is not None], float)
    floors = np.array([row["floor"] for row in rows if row["floor"] is not None], float)
    held = [row for row in rows if row["low"] is not None]
    about = values.mean() if true is None and len(values) else (true if true is not None else math.nan)
    return {
        "n": rows[0]["n"], "truth": about, "known": true is not None, "values": values, "floors": floors,
        "covers": np.mean([row["low"] <= about <= row["high"] for row in held]) if held else None,
        "width": np.mean([row["high"] - row["low"] for row in held]) if held else None,
        "reason": rows[0]["reason"],
    }  # fmt: skip


def mean_and_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def lines(case: Case, perfect: bool, draws: int, names: tuple[str, ...], seed: int, by_tile: bool) -> Iterator[str]:
    found = rows_of(case, perfect, draws, names, seed, by_tile)
    for name in names:
        of = summary(found[name], truth(name, perfect))
        if not len(of["values"]):
            yield f"| {case.title()} | {case.synth} | | {name} | {of['n']} | none: {of['reason']} | | | | |"
            continue
        mean, error = mean_and_error(of["values"])
        bias = f"{mean - of['truth']:+.4f} ± {error:.4f}" if of["known"] else "–"
        floor = "–"
        if perfect and len(of["floors"]):
            off, spread = mean_and_error(of["floors"])
            floor = f"{off - mean:+.4f} ± {math.hypot(error, spread):.4f}"
        covers = "none" if of["covers"] is None else f"{of['covers']:.3f}"
        width = "–" if of["width"] is None else f"{of['width']:.3g}"
        which = "perfect" if perfect else "off"
        start = f"| {case.title()} | {case.synth} | {which} | {name} | {of['n']} | {of['truth']:.4f} "
        yield start + f"| {bias} | {floor} | {covers} | {width} |"


HEAD = (
    "| real | synthetic | generator | metric | n | true value | bias | floor minus perfect | interval holds it | width |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--metrics", nargs="*", default=NAMES)
    parser.add_argument("--cases", type=int, nargs="*", default=range(len(CASES)))
    parser.add_argument("--by-tile", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began, text = time.monotonic(), [HEAD]
    print(HEAD)
    for number in options.cases:
        for perfect in (True, False):
            for line in lines(
                CASES[number], perfect, options.draws, tuple(options.metrics), options.seed, options.by_tile
            ):
                print(line, flush=True)
                text.append(line)
                if options.out:
                    options.out.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
