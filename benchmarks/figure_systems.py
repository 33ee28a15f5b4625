"""Real tiles beside the samples of every system of a finished bench: makes docs/img/systems.png.

python benchmarks/figure_systems.py runs/materials [OUTPUT]
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical.images import to_grid

SHOWN = 3


def main() -> None:
    """Draw the first samples of seed 0, unselected."""
    bench = Path(sys.argv[1])
    output = (
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parents[1] / "docs" / "img" / "systems.png"
    )
    spec = json.loads((bench / "spec.json").read_text())
    rows, names = [], ["real"]
    for dataset in spec["datasets"]:
        real = np.load(bench / "datasets" / dataset / "test.npy")
        rows.append(real[:: max(1, len(real) // SHOWN)][:SHOWN])
        names = ["real"]
        for recipe in spec["recipes"]:
            samples = bench / "cells" / dataset / f"{recipe}-seed0" / "samples.npy"
            if samples.is_file():
                rows.append(np.load(samples)[:SHOWN])
                names.append(recipe)
    columns = SHOWN * len(names)
    grid = Image.fromarray(to_grid(np.concatenate(rows), columns=columns))
    canvas = Image.new("L", (grid.width, grid.height + 18), 255)
    canvas.paste(grid, (0, 18))
    draw = ImageDraw.Draw(canvas)
    for k, name in enumerate(names):
        draw.text((k * grid.width / len(names) + 4, 2), name, fill=0, font=ImageFont.load_default(13))
    output.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(output, optimize=True)
    print(output)


if __name__ == "__main__":
    main()
