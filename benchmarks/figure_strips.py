"""A strip of samples of every system of a finished bench: makes docs/img/strips/DATASET-SYSTEM.png.

python benchmarks/figure_strips.py runs/gans sandstone [FOLDER]
"""

import json
import sys
from pathlib import Path

import numpy as np

from veridical.data.images import save_png, to_grid

SHOWN = 8


def main() -> None:
    """Draw the first samples of seed 0, unselected, and held-out tiles spread evenly."""
    bench, dataset = Path(sys.argv[1]), sys.argv[2]
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(__file__).resolve().parents[1] / "docs" / "img" / "strips"
    folder.mkdir(parents=True, exist_ok=True)
    real = np.load(bench / "datasets" / dataset / "test.npy")
    strips = {"real": real[:: max(1, len(real) // SHOWN)][:SHOWN]}
    for recipe in json.loads((bench / "spec.json").read_text())["recipes"]:
        samples = bench / "cells" / dataset / f"{recipe}-seed0" / "samples.npy"
        if samples.is_file():
            strips[recipe] = np.load(samples)[:SHOWN]
    for name, images in strips.items():
        save_png(folder / f"{dataset}-{name}.png", to_grid(images, columns=SHOWN))
        print(folder / f"{dataset}-{name}.png")


if __name__ == "__main__":
    main()
