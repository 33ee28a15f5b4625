"""The README's picture: makes docs/img/readme.png.

python benchmarks/figure_readme.py DATA RUN [OUTPUT]

DATA: real tiles, such as ../shared/data/sandstone. RUN: an `edm` trained on them. Left: eight held-out tiles, evenly spread, over
the first eight samples of seed 0, unselected, at twice the size. Right: what `guided` was asked for against what its samples
measure, cut from docs/img/controls_cmc.png and controls_rocks.png as `benchmarks/controllability.py` made them.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical import draw, load, open_dataset

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
ZOOM, COLUMNS, GAP, LABEL = 2, 4, 4, 24
AXIS = 74  # pixels of the axis at the left of a picture of controllability
# Picture, title, and where the panel of the scale with the highest R² lies: left and right edge, in pixels.
CONTROLS = (
    ("controls_cmc.png", "fibre volume fraction, scale 4: R² 0.95", 664, 948),
    ("controls_rocks.png", "porosity of rocks, scale 8: R² 0.95", 957, 1250),
)


def tiles(images: np.ndarray) -> Image.Image:
    """Grey tiles (8, 1, S, S) in [0, 1] in two rows, each pixel as a square of `ZOOM` pixels."""
    side = images.shape[-1] * ZOOM
    rows = len(images) // COLUMNS
    grid = Image.new("L", (COLUMNS * (side + GAP) - GAP, rows * (side + GAP) - GAP), 255)
    for k, image in enumerate(images):
        tile = Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
        grid.paste(tile, (k % COLUMNS * (side + GAP), k // COLUMNS * (side + GAP)))
    return grid


def panel(name: str, left: int, right: int) -> Image.Image:
    """One scale of a picture of controllability with the axis that all scales share, without its title."""
    picture = Image.open(IMAGES / name).convert("RGB")
    top, bottom = 22, 284
    shown = Image.new("RGB", (AXIS + right - left, bottom - top), "white")
    shown.paste(picture.crop((0, top, AXIS, bottom)), (0, 0))
    shown.paste(picture.crop((left, top, right, bottom)), (AXIS, 0))
    return shown


def main() -> None:
    """Draw and write the picture."""
    data, run = sys.argv[1], load(sys.argv[2])
    output = Path(sys.argv[3]) if len(sys.argv) > 3 else IMAGES / "readme.png"
    real, _ = open_dataset(data, run.run["size"]).tiles("test", n=8)
    minutes = round(run.run["cost"]["train_seconds"] / 60)
    sides = [
        ("sandstone, real, held out", tiles(real)),
        (f"samples of edm: {run.run['cost']['steps']:,} steps, {minutes} minutes", tiles(draw(run, 8, seed=0))),
    ]
    plots = [(title, panel(name, left, right)) for name, title, left, right in CONTROLS]
    width = sides[0][1].width + 24 + max(plot.width for _, plot in plots)
    height = 2 * (LABEL + sides[0][1].height) + 12
    page = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for x, column in ((0, sides), (sides[0][1].width + 24, plots)):
        for k, (title, picture) in enumerate(column):
            y = k * (LABEL + sides[0][1].height + 12)
            pen.text((x + (AXIS if column is plots else 0), y + 2), title, fill=(0, 0, 0), font=font)
            page.paste(picture.convert("RGB"), (x, y + LABEL))
    pen.text((sides[0][1].width + 24 + AXIS, height - 18), "asked for", fill=(0, 0, 0), font=font)
    page.save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1024:.0f} KiB, {page.width} x {page.height} pixels")


if __name__ == "__main__":
    main()
