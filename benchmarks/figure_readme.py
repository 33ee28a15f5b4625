"""The README's picture, made of pictures that other scripts made: docs/img/readme.png.

python benchmarks/figure_readme.py [OUTPUT]

Left: eight held-out tiles of sandstone over the first eight samples of `edm`, unselected, at twice the size, from the strips of
`benchmarks/figure_strips.py`. Right: what `guided` was asked for against what its samples measure, at the scale of guidance with
the highest R², from the pictures of `benchmarks/controllability.py`. Nothing is drawn, measured or smoothed here.
"""

import sys
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
TILE, ZOOM, COLUMNS, GAP, LABEL, BETWEEN = 64, 2, 4, 4, 24, 30
# Of a picture of controllability: where the axis that its panels share ends, where it has no more ticks, edges of the panels.
AXIS, FOOT, TOP, BOTTOM = 70, 254, 22, 284
STRIPS = (
    ("sandstone-real.png", "Real sandstone, microCT: held-out tiles of 64 x 64 pixels"),
    ("sandstone-edm.png", "Samples of edm, unselected: 15 minutes of one core"),
)
# Title, and where the panel lies: left and right edge in pixels.
CONTROLS = (
    ("controls_cmc.png", "guided, fibre volume fraction: R² 0.95", 668, 946),
    ("controls_rocks.png", "guided, porosity of rocks: R² 0.95", 962, 1246),
)


def tiles(name: str) -> Image.Image:
    """The eight tiles of a strip in two rows, each pixel as a square of `ZOOM` pixels."""
    strip = Image.open(IMAGES / "strips" / name).convert("L")
    step = (strip.width - TILE) // 7  # a tile and the gap behind it
    side = TILE * ZOOM
    grid = Image.new("L", (COLUMNS * (side + GAP) - GAP, 2 * (side + GAP) - GAP), 255)
    for k in range(8):
        tile = strip.crop((k * step, 0, k * step + TILE, TILE)).resize((side, side), Image.Resampling.NEAREST)
        grid.paste(tile, (k % COLUMNS * (side + GAP), k // COLUMNS * (side + GAP)))
    return grid


def panel(name: str, left: int, right: int) -> Image.Image:
    """One scale of a picture of controllability, with the axis that all scales share and without its title."""
    picture = Image.open(IMAGES / name).convert("RGB")
    shown = Image.new("RGB", (AXIS + right - left, BOTTOM - TOP), "white")
    shown.paste(picture.crop((0, TOP, AXIS, FOOT)), (0, 0))
    shown.paste(picture.crop((left, TOP, right, FOOT)), (AXIS, 0))
    numbers = picture.crop((left - 14, FOOT, right, BOTTOM))  # they reach beyond the panel
    shown.paste(numbers, (AXIS - 14, FOOT - TOP))
    return shown


def main() -> None:
    """Draw and write the picture."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES / "readme.png"
    left = [(title, tiles(name)) for name, title in STRIPS]
    right = [(title, panel(name, *edges)) for name, title, *edges in CONTROLS]
    start = left[0][1].width + 2 * BETWEEN
    height = LABEL + left[0][1].height
    page = Image.new("RGB", (start + max(plot.width for _, plot in right), 2 * (height + BETWEEN) - 8), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 15)
    for x, column in ((0, left), (start, right)):
        for k, (title, picture) in enumerate(column):
            y = k * (height + BETWEEN)
            pen.text((x, y), title, fill=(0, 0, 0), font=font)
            page.paste(picture.convert("RGB"), (x, y + LABEL))
            if column is right:
                middle = x + AXIS + (picture.width - AXIS) / 2
                pen.text((middle, y + LABEL + picture.height - 1), "asked for", fill=(0, 0, 0), font=font, anchor="ma")
    page.save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1024:.0f} KiB, {page.width} x {page.height} pixels")


if __name__ == "__main__":
    main()
