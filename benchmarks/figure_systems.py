"""Real tiles beside the samples of every system of a finished bench: makes docs/img/systems.png.

python benchmarks/figure_systems.py runs/materials [OUTPUT]
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical.data.images import to_grid

SHOWN = 3


def main() -> None:
    """Draw the first samples of seed 0, unselected."""
    bench = Path(sys.argv[1])
    output = (
        Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parents[1] / "docs" / "img" / "systems.png"
    )
    spec = json.loads((bench / "spec.json").read_text())
    sides = ["datasets/{0}/test.npy", *(f"cells/{{0}}/{recipe}-seed0/samples.npy" for recipe in spec["recipes"])]
    # Systems that every dataset has.
    sides = [side for side in sides if all((bench / side.format(dataset)).is_file() for dataset in spec["datasets"])]
    names = [Path(side).parent.name.replace("{0}", "real").removesuffix("-seed0") for side in sides]
    rows = []
    for dataset in spec["datasets"]:
        for side in sides:
            images = np.load(bench / side.format(dataset))
            rows.append(images[:: max(1, len(images) // SHOWN)][:SHOWN] if "datasets" in side else images[:SHOWN])
    channels = max(images.shape[1] for images in rows)
    rows = [np.broadcast_to(images, (SHOWN, channels, *images.shape[2:])) for images in rows]
    grid = Image.fromarray(to_grid(np.concatenate(rows), columns=SHOWN * len(names)))
    canvas = Image.new(grid.mode, (grid.width, grid.height + 18), "white")
    canvas.paste(grid, (0, 18))
    draw = ImageDraw.Draw(canvas)
    for k, name in enumerate(names):
        draw.text((k * grid.width / len(names) + 4, 2), name, fill="black", font=ImageFont.load_default(13))
    output.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(output, optimize=True)
    print(output)


if __name__ == "__main__":
    main()
