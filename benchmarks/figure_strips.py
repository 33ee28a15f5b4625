"""A strip of samples of each system: makes docs/img/strips/DATASET-SYSTEM.png.

python benchmarks/figure_strips.py sandstone --bench runs/gans            every system of a finished bench, and held-out tiles
python benchmarks/figure_strips.py cmc --run dalle3=RUN --run ...         runs, by the captions of their held-out images
"""

import argparse
import json
from pathlib import Path

import numpy as np

from veridical import draw, load
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid

SHOWN = 8


def main() -> None:
    """Draw the first samples of seed 0, unselected, and of a bench held-out tiles spread evenly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--bench", type=Path)
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "img" / "strips")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    use_threads()
    strips = {}
    if given.bench:
        real = np.load(given.bench / "datasets" / given.dataset / "test.npy")
        strips["real"] = real[:: max(1, len(real) // SHOWN)][:SHOWN]
        for recipe in json.loads((given.bench / "spec.json").read_text())["recipes"]:
            samples = given.bench / "cells" / given.dataset / f"{recipe}-seed0" / "samples.npy"
            if samples.is_file():
                strips[recipe] = np.load(samples)[:SHOWN]
    for said in given.run:
        name, _, run = said.partition("=")
        strips[name] = draw(load(run), SHOWN, seed=0)
    for name, images in strips.items():
        save_png(given.out / f"{given.dataset}-{name}.png", to_grid(images, columns=SHOWN))
        print(given.out / f"{given.dataset}-{name}.png")


if __name__ == "__main__":
    main()
