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


def timed(what: str, function: Callable, runs: int = 1) -> object:
    """Run, print what the fastest run took, and return the result."""
    best = (float("inf"), 0.0)
    for _ in range(runs):
        wall, cpu = time.monotonic(), time.process_time()
        found = function()
        best = min(best, (time.monotonic() - wall, time.process_time() - cpu))
    print(f"{what:<56}{best[0]:9.2f} s{best[1]:9.2f} s CPU", flush=True)
    return found


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
    found = timed(f"1000 tiles against {tiles} tiles of 64 x 64", lambda: nearest_crop(synth, list(train)))
    print(f"{(found.distance[:100] < 0.1).sum()} of 100 copies found, {(found.distance[100:] < 0.1).sum()} false")


def whole() -> None:
    """Audit 200 against 200."""
    from veridical.audit.verdict import audit

    report = timed(
        "audit of 200 against 200 images of 128 x 128", lambda: audit(texture(200, 128, 0), texture(200, 128, 1))
    )
    print(f"verdict: {report['verdict']}")


def descriptors() -> None:
    """Two-point correlation, chords and granulometry of one large mask."""
    from veridical.metrics.physics_phases import chord_lengths, granulometry, two_point_correlation

    mask = texture(1, 2560, 0)[0, 0] > 0.5
    timed("two-point correlation of 2560 x 2560, reach 1280", lambda: two_point_correlation(mask), 3)
    timed("chord lengths of 2560 x 2560, both axes", lambda: [chord_lengths(mask, axis) for axis in (0, 1)], 3)
    timed("granulometry of 2560 x 2560, 7 radii", lambda: granulometry(mask[None]), 3)
    if importlib.util.find_spec("porespy") is None:
        print("PoreSpy is not installed here")
        return
    import porespy

    timed("PoreSpy: two_point_correlation", lambda: porespy.metrics.two_point_correlation(mask), 3)
    timed("PoreSpy: apply_chords, both axes", lambda: [porespy.filters.apply_chords(mask, axis=a) for a in (0, 1)], 3)
    timed("PoreSpy: porosimetry, 7 sizes", lambda: porespy.filters.porosimetry(mask, sizes=[1, 2, 3, 4, 6, 8, 12]), 3)


if __name__ == "__main__":
    main()
