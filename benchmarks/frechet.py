"""Fréchet distance: nuclear norm of the centred features against SciPy's matrix square root.

    python benchmarks/frechet.py

Prints a table of seconds (best of three) and values; the ratio is time with `sqrtm` over ours.
"""

import time

import numpy as np
from scipy.linalg import sqrtm

from veridical.metrics.distribution import frechet


def by_sqrtm(x, y):
    """As pytorch-fid computes it, with its 1e-6 on the diagonal where the product is singular."""
    cx, cy = np.cov(x.T), np.cov(y.T)
    root = sqrtm(cx @ cy)
    if not np.isfinite(root).all() or len(x) <= x.shape[1]:
        offset = 1e-6 * np.eye(len(cx))
        root = sqrtm((cx + offset) @ (cy + offset))
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * root.real)


def best_of(times, function, *arguments):
    """Value and shortest time in seconds."""
    shortest = np.inf
    for _ in range(times):
        start = time.perf_counter()
        value = function(*arguments)
        shortest = min(shortest, time.perf_counter() - start)
    return value, shortest


def main():
    """Run all sizes and print the table."""
    rng = np.random.default_rng(0)
    print("|    n |    d | ours, s | sqrtm, s | ratio |      ours |     sqrtm | relative difference |")
    print("|-----:|-----:|--------:|---------:|------:|----------:|----------:|--------------------:|")
    for n, d in ((100, 1280), (500, 1280), (2000, 1280), (500, 2048)):
        mixing = rng.standard_normal((d, d)) / np.sqrt(d)
        x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d)) @ mixing + 0.1
        ours, fast = best_of(3, frechet, x, y)
        theirs, slow = best_of(1, by_sqrtm, x, y)
        print(
            f"| {n:4} | {d:4} | {fast:7.3f} | {slow:8.2f} | {slow / fast:5.0f} | {ours:9.3f} | {theirs:9.3f} |"
            f" {abs(ours / theirs - 1):19.1e} |"
        )
    print(
        "With n <= d the covariances are singular: sqrtm then needs the offset that pytorch-fid adds, and is not exact."
    )


if __name__ == "__main__":
    main()
