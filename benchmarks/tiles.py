"""Training tiles from a 6 GB uncompressed microCT stack: how fast, how much memory, how long to open.

The stack is a sparse BigTIFF of 937 slices of 2560 x 2560 uint8 in a temporary folder, with one row in 64 written, so
that it takes little disk but is read like a full one. Run: ``python benchmarks/tiles.py [--full] [--dir FOLDER]``;
``--full`` writes every pixel (6 GB of disk).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from veridical import __version__
from veridical.data.open import open_dataset

SHAPE = (937, 2560, 2560)
BATCH, SIZE = 64, 64


def write_stack(path: Path, full: bool) -> None:
    rng = np.random.default_rng(0)
    stack = tifffile.memmap(path, shape=SHAPE, dtype=np.uint8, bigtiff=True)
    noise = rng.integers(60, 200, (64, SHAPE[2]), np.uint8)
    for z, image in enumerate(stack):
        if full:
            image[:] = np.roll(noise, z, axis=1)[np.arange(SHAPE[1]) % 64]
        else:
            image[::64] = noise[z % 64]
    stack.flush()


def anonymous_megabytes() -> float:
    """RssAnon of this process: memory that is its own, without the pages of mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="write every pixel")
    parser.add_argument("--dir", help="folder for the temporary stack")
    parser.add_argument("--batches", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        path = Path(folder, "stack.tif")
        write_stack(path, options.full)
        size, disk = path.stat().st_size, path.stat().st_blocks * 512

        start = time.perf_counter()
        dataset = open_dataset(path, SIZE)
        opened = time.perf_counter() - start

        for step in range(100):
            dataset.batch(BATCH, step, seed=0)
        start = time.perf_counter()
        for step in range(100, 100 + options.batches):
            dataset.batch(BATCH, step, seed=0)
        rate = BATCH * options.batches / (time.perf_counter() - start)

        rows = [
            ("open (s)", opened, 2.0, opened / 2.0),
            (f"{SIZE} px tiles/s", rate, 5000.0, 5000.0 / rate),
            ("RssAnon (MB)", anonymous_megabytes(), 600.0, anonymous_megabytes() / 600.0),
        ]
    print(f"veridical {__version__}, numpy {np.__version__}, one process, {os.cpu_count()} cores")
    print(f"{SHAPE[0]} x {SHAPE[1]} x {SHAPE[2]} uint8, {size / 2**30:.2f} GiB, {disk / 2**30:.2f} GiB on disk")
    print(f"{'':18}{'measured':>10}{'goal':>8}{'of goal':>9}   (below 1 is met)")
    for name, value, goal, ratio in rows:
        print(f"{name:18}{value:>10.1f}{goal:>8.0f}{ratio:>9.2f}")


if __name__ == "__main__":
    main()
