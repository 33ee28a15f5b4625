"""Peak memory and time of `score` against the number of images of each set, and the time of its parts.

    python benchmarks/large_sets.py --n 1000 4000 10000 100000 --out docs/results/large-sets.md --figure docs/img/large-sets.svg

Real and synthetic images are Gaussian textures of 64 x 64 pixels in 8 bits, two NPY files, each pair in a process of its own.
`--stand-in` takes random projections of the pixels, of as many numbers, in the place of the network's features, of which
there are as many for all larger sets: the memory is that of all the rest. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZE = 64


def write_textures(path: Path, n: int, seed: int) -> None:
    """Textures with a spectrum that falls off, a thousand at a time."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    weights = 1 / (1 + (radius * 12) ** 2)
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (n, SIZE, SIZE))
    for first in range(0, n, 1000):
        noise = rng.standard_normal((min(1000, n - first), SIZE, SIZE))
        field = np.fft.irfft2(np.fft.rfft2(noise) * weights, (SIZE, SIZE))
        out[first : first + len(noise)] = np.clip(128 + 40 * field / field.std(), 0, 255)


def random_projections(images: np.ndarray, *args: object, **more: object) -> np.ndarray:
    weights = np.random.default_rng(0).standard_normal((images[0].size, 1280)).astype(np.float32) / SIZE
    return np.concatenate(
        [part.reshape(len(part), -1) @ weights for part in np.array_split(images, len(images) // 500 + 1)]
    )


def one(n: int, stand_in: bool, leave: list[str]) -> dict[str, object]:
    """Score once, in this process."""
    from veridical.core.device import use_threads
    from veridical.metrics import features
    from veridical.scoring.score import gather, measure
    from veridical.scoring.table import METRICS

    use_threads(1)
    if stand_in:
        features.extract = random_projections
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.npy" for name in ("real", "synth")]
        for seed, path in enumerate(files):
            write_textures(path, n, seed)
        began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        clock, seconds = time.process_time(), {}
        sets = gather(*files)
        seconds["read, find duplicates"] = time.process_time() - clock
        clock = time.process_time()
        assert len(sets.deep.synth)
        seconds["features"] = time.process_time() - clock
        for name in METRICS:
            if name in leave:
                continue
            clock = time.process_time()
            (row,) = measure(sets, [name])
            if row["value"] is not None:
                seconds[name] = time.process_time() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"n": n, "peak": peak, "before": began, "seconds": seconds}


def figure(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n = np.array([row["n"] for row in rows])
    drawn, (memory, clock) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
    memory.loglog(n, [row["peak"] for row in rows], "o-", label="measured")
    memory.loglog(n, 2 * 4 * SIZE**2 * n / 2**30, ":", color="grey", label="the images alone")
    memory.set(xlabel="images a set", ylabel="peak memory, GiB")
    memory.legend(frameon=False)
    clock.loglog(n, [sum(row["seconds"].values()) for row in rows], "o-", label="all")
    clock.loglog(n, [row["seconds"]["read, find duplicates"] for row in rows], "s--", label="read, find duplicates")
    clock.set(xlabel="images a set", ylabel="CPU seconds")
    clock.legend(frameon=False)
    drawn.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 4000, 10000])
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--leave", nargs="*", default=[], help="metrics that are not measured")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(one(given.child, given.stand_in, given.leave)))
        return
    rows = []
    for n in given.n:
        command = [sys.executable, __file__, "--child", str(n), "--leave", *given.leave]
        command += ["--stand-in"] if given.stand_in else []
        rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(rows[-1], flush=True)
    parts = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    lines = [
        f"| images a set | peak memory, GiB | the images alone, GiB | {' | '.join(f'{name}, s' for name in parts)} |",
        "|" + "---|" * (3 + len(parts)),
    ]
    for row in rows:
        times = " | ".join(f"{row['seconds'][name]:.0f}" if name in row["seconds"] else "–" for name in parts)
        lines.append(f"| {row['n']:,} | {row['peak']:.2f} | {2 * 4 * SIZE**2 * row['n'] / 2**30:.2f} | {times} |")
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")
    if given.figure:
        figure(rows, given.figure)


if __name__ == "__main__":
    main()
