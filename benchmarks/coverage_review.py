"""Do intervals of a review by people hold?

    python benchmarks/coverage_review.py --draws 1000 --out docs/results/review.md

Reviewer i errs on tile j with probability 1 / (1 + exp(-(m + a_i + b_j))), a and b Gaussian: some people are better, some
tiles are harder. Reviewers and tiles, half of them real, are drawn anew each time; the true rate is the mean over all.
Printed: how often the 95 % intervals hold it, for other tiles and reviewers, and for other tiles alone (whose truth is
the mean rate of these reviewers).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from veridical.scoring.review import two_way

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
CASES = ((0.0, 0.0), (0.5, 0.5), (0.5, 1.5), (1.0, 1.0))  # standard deviations of reviewers and of tiles
MIDDLES = (-3.0, -1.0, 0.0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def covered(reviewers: int, tiles: int, middle: float, spread: tuple[float, float], draws: int) -> tuple[float, ...]:
    """Shares of draws whose intervals hold the truth, both ways, and the mean width of the first."""
    rng, synthetic, names = np.random.default_rng(0), np.arange(tiles) % 2 == 1, np.arange(tiles)
    truth = float(WEIGHTS @ logistic(middle + np.hypot(*spread) * NODES))
    held, widths = [], []
    for _ in range(draws):
        people = middle + spread[0] * rng.standard_normal(reviewers)
        chance = logistic(people[:, None] + spread[1] * rng.standard_normal(tiles))
        wrong = (rng.random(chance.shape) < chance).astype(float)
        of_these = float((logistic(people[:, None] + spread[1] * NODES) @ WEIGHTS).mean())
        both = two_way(wrong, synthetic, names, reviewers=reviewers > 1)
        one = two_way(wrong, synthetic, names, reviewers=False)
        held.append((both.low <= truth <= both.high, one.low <= of_these <= one.high))
        widths.append(both.high - both.low)
    return (*np.mean(held, 0), float(np.mean(widths)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = [
        "# Intervals of reviews by people\n",
        f"`python benchmarks/coverage_review.py --draws {args.draws}`: how often a 95 % interval holds the",
        "true error rate, for other tiles and reviewers, and for other tiles alone.\n",
        "| reviewers | tiles | spread of reviewers, of tiles | true rate | both | tiles alone | mean width (both) |",
        "|---|---|---|---|---|---|---|",
    ]
    for reviewers in (1, 2, 3, 5, 10):
        for tiles in (20, 40, 80):
            for spread in CASES:
                for middle in MIDDLES:
                    truth = float(WEIGHTS @ logistic(middle + np.hypot(*spread) * NODES))
                    both, one, width = covered(reviewers, tiles, middle, spread, args.draws)
                    case = f"| {reviewers} | {tiles} | {spread[0]:g}, {spread[1]:g} | {truth:.2f} "
                    lines.append(f"{case}| {both:.3f} | {one:.3f} | {width:.2f} |")
                    print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
