"""How long do the parts of the audit take?

    python benchmarks/audit_speed.py [--threads 2] [--only copies audit descriptors]

copies: 1,000 synthetic tiles of 64 x 64 against 100,000 training tiles, at all shifts of up to an eighth and in 8 orientations.
audit: 200 images of 128 x 128 against 200, with what would have been caught. descriptors: of one 2560 x 2560 mask. Printed are
wall-clock and CPU seconds. PoreSpy is compared with where it
is installed: `make peers`, then `PYTHONPATH=src .venv-peers/bin/python benchmarks/audit_speed.py --only descriptors`.
"""

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any


def timed(what: str, function: Callable, runs: int = 1) -> tuple[Any, float]:
    """Run, print what the fastest run took, and return the result and those seconds."""
    best = (float("inf"), 0.0)
    for _ in range(runs):
        wall, cpu = time.monotonic(), time.process_time()
        found = function()
        best = min(best, (time.monotonic() - wall, time.process_time() - cpu))
    print(f"{what:<56}{best[0]:9.2f} s{best[1]:9.2f} s CPU", flush=True)
    return found, best[0]


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=["descriptors", "audit", "copies"])
    parser.add_argument("--tiles", type=int, default=100_000)
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(options.threads), OPENBLAS_NUM_THREADS=str(options.threads))
    from scipy.fft import set_workers

    with set_workers(options.threads):
        for name in options.only:
            {"descriptors": descriptors, "audit": whole, "copies": lambda: copies(options.tiles)}[name]()


def texture(n: int, size: int, seed: int):
    """Smooth two-phase structure with noise, (n, 1, size, size)."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.standard_normal((n, size, size), dtype=np.float32), (0, 2.5, 2.5), mode="wrap")
    grey = 0.5 + 0.2 * np.tanh(4 * coarse / coarse.std())
    grey += 0.03 * rng.standard_normal(coarse.shape, dtype=np.float32)
    return np.clip(grey, 0, 1)[:, None]


def copies(tiles: int) -> None:
    """Search for copies."""
    import numpy as np

    from veridical.metrics.novelty import nearest_crop

    train = np.concatenate([texture(1000, 64, seed) for seed in range(tiles // 1000)])
    synth = texture(1000, 64, 10**6)
    synth[:100] = train[::1000][:100, :, ::-1] if tiles >= 10**5 else train[:100, :, ::-1]
    found, _ = timed(f"1000 tiles against {tiles} tiles of 64 x 64", lambda: nearest_crop(synth, list(train)))
    print(f"{(found.distance[:100] < 0.1).sum()} of 100 copies found, {(found.distance[100:] < 0.1).sum()} false")


def whole() -> None:
    """Audit 200 against 200."""
    from veridical.auditing.verdict import audit

    report, _ = timed(
        "audit of 200 against 200 images of 128 x 128", lambda: audit(texture(200, 128, 0), texture(200, 128, 1))
    )
    print(f"verdict: {report['verdict']}")


def descriptors() -> None:
    """Two-point correlation, chords and granulometry of one large mask, beside PoreSpy's where it is installed."""
    import numpy as np

    from veridical.metrics.physics_phases import chord_lengths, granulometry, two_point_correlation

    mask, radii = texture(1, 2560, 0)[0, 0] > 0.5, np.array([1, 2, 3, 4, 6, 8, 12])
    # PoreSpy's disc of radius r is open: its pixels are nearer to the centre than r
    opened = np.sqrt(radii**2 - 1)
    ours = {
        "two-point correlation, reach 1280": lambda: two_point_correlation(mask)[1],
        "chord lengths, both axes": lambda: [chord_lengths(mask, axis) for axis in (0, 1)],
        "granulometry, 7 radii": lambda: granulometry(mask[None], opened)[0],
    }
    found, seconds = zip(*(timed(f"{name}, of 2560 x 2560", each, 5) for name, each in ours.items()), strict=True)
    if importlib.util.find_spec("porespy") is None:
        print("PoreSpy is not installed here")
        return
    import porespy

    rings = np.arange(1282) - 0.5
    chords = [lambda axis=axis: porespy.filters.apply_chords(mask, axis=axis, trim_edges=True) for axis in (0, 1)]
    peers = (
        ("two_point_correlation, 100 bins", lambda: porespy.metrics.two_point_correlation(mask), 0, 3),
        ("apply_chords, every second line", lambda: [draw() for draw in chords], 1, 3),
        ("and their lengths, chord_counts", lambda: [porespy.metrics.chord_counts(draw()) for draw in chords], 1, 1),
        ("local_thickness_dt, 7 radii", lambda: porespy.filters.local_thickness_dt(mask, sizes=radii), 2, 3),
        ("porosimetry, 7 radii", lambda: porespy.filters.porosimetry(mask, sizes=radii), 2, 3),
    )
    results = {}
    for name, function, k, runs in peers:
        results[name], took = timed(f"PoreSpy: {name}", function, runs)
        print(f"{'':<56}{took / seconds[k]:9.1f} times as long")
    s2 = porespy.metrics.two_point_correlation(mask, bins=rings)
    print(
        f"two-point correlation, rings of one pixel: largest difference {np.abs(s2.probability_scaled - found[0]).max():.1e}"
    )
    thickness = results["local_thickness_dt, 7 radii"]
    shares = np.array([(thickness >= r).sum() for r in radii]) / mask.sum()
    print(f"granulometry, the same discs: largest difference {np.abs(shares - found[2]).max():.1e}")
    # PoreSpy leaves out the lines at the border
    lines = chord_lengths(mask[:, ::2][:, 1:-1], 0), chord_lengths(mask[::2][1:-1], 1)
    for axis, lengths in enumerate(results["and their lengths, chord_counts"]):
        same = np.array_equal(np.sort(lengths), np.sort(lines[axis]))
        print(
            f"chords along axis {axis} of the same lines: {len(lengths)} and {len(lines[axis])}, {'' if same else 'not '}equal"
        )


if __name__ == "__main__":
    main()
