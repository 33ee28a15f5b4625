"""Real images and phantoms side by side at the same scale, and pairs: makes docs/img/phantoms.png and pairs.png.

    python benchmarks/figure_phantoms.py [FOLDER_OF_REAL_IMAGES] [OUTPUT]

The folder holds cmc/, fibres/, rocks/, sandstone/ and roots/ with their SOURCES.md.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical import phantoms

SIDE = 192
SEEDS = {"cmc": 43, "rocks": 46, "roots": 0}
PAD = 4
LEFT, TOP, BOTTOM = 24, 26, 40
# file, corner (y, x), and how much the real image is shrunk so that its structures match the phantoms'
REAL = {
    "cmc": [
        ("cmc/crops/cmc_0.png", (40, 60), 1.0),
        ("fibres/slices/carbon0103_trainregion.png", (130, 210), 1.0),
        ("cmc/slices/fcn_fig02_left.png", (250, 200), 1.7),
    ],
    "rocks": [
        ("rocks/crops/rocks_0.png", (0, 0), 0.6),
        ("rocks/crops/rocks_2.png", (0, 0), 0.6),
        ("sandstone/slices/versa0200.png", (150, 150), 0.5),
    ],
    "roots": [
        ("roots/crops/roots_0.png", (95, 60), 1.0),
        ("roots/crops/roots_1.png", (40, 90), 1.0),
        ("roots/crops/roots_1.png", (150, 0), 1.0),
    ],
}
CREDIT = (
    "Real: cmc 1, rocks 1 and 2, roots from lbl-camera/genAI (BSD-3-Clause, LBNL); cmc 2 from vedranaa/InSegt (MIT);",
    "cmc 3 from alexdesiqueira/fcn_microct (BSD-3-Clause); rocks 3 from bnsreenu/python_for_microscopists (MIT).",
)


PAIRS = {"cmc": ("add_crack", "fewer_fibres", "add_binder"), "rocks": ("more_pores", "add_mineral", "remove_grain"),
         "roots": ("add_laterals", "thicker_roots", "longer_root")}  # fmt: skip
PAIR_SIDE, PAIR_SEEDS = 112, {"cmc": 36, "rocks": 5, "roots": 5}


def real_panel(path: Path, corner: tuple[int, int], scale: float) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    y, x = corner
    return picture.crop((x, y, x + SIDE, y + SIDE))


def phantom_panels(kind: str, n: int = 3) -> list[Image.Image]:
    size = 256 if kind == "roots" else SIDE  # of the roots the lower middle part, where the real crops lie
    images = phantoms.generate(kind, n, size, seed=SEEDS[kind]).images.transpose(0, 2, 3, 1)
    images = np.round(images[:, size - SIDE :, (size - SIDE) // 2 :][:, :, :SIDE] * 255).astype(np.uint8)
    return [Image.fromarray(np.broadcast_to(image, (SIDE, SIDE, 3))) for image in images]


def few_colours(sheet: Image.Image) -> Image.Image:
    """64 greys for the CT rows and 192 colours for the roots keep the file small without changing the look."""
    row = sheet.crop((LEFT, TOP + 2 * (SIDE + PAD), sheet.width, sheet.height - BOTTOM))
    colours = row.quantize(192, method=Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * 192]
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        colours + [level for grey in np.linspace(0, 255, 64).round().astype(int) for level in [int(grey)] * 3]
    )
    return sheet.quantize(palette=palette, dither=Image.Dither.NONE)


def pairs_sheet() -> Image.Image:
    """Three changes of each kind: before, after, region of change."""
    block, high = 3 * (PAIR_SIDE + 2) + 10, PAIR_SIDE + 20
    sheet = Image.new("RGB", (3 * block - 10, 3 * high), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, (kind, names) in enumerate(PAIRS.items()):
        for column, name in enumerate(names):
            made = phantoms.pairs(kind, name, 1, PAIR_SIDE, seed=PAIR_SEEDS[kind])
            left, top = column * block, row * high
            draw.text((left, top + 2), made.instructions[0], fill="black", font=font)
            for k, image in enumerate((made.before[0], made.after[0], made.changed[:1])):
                stored = np.round(np.broadcast_to(image, (3, PAIR_SIDE, PAIR_SIDE)).transpose(1, 2, 0) * 255)
                sheet.paste(Image.fromarray(stored.astype(np.uint8)), (left + k * (PAIR_SIDE + 2), top + 18))
    return sheet.quantize(96, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def main(data: Path, output: Path) -> None:
    width, height = LEFT + 6 * (SIDE + PAD) + 3 * PAD, TOP + 3 * (SIDE + PAD) + BOTTOM
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    for column, title in ((0, "real"), (3, "phantom")):
        middle = LEFT + column * (SIDE + PAD) + (column // 3) * 3 * PAD + 1.5 * (SIDE + PAD)
        draw.text((middle, TOP / 2), title, fill="black", font=font, anchor="mm")
    for row, kind in enumerate(REAL):
        label = Image.new("RGB", (SIDE, LEFT), "white")
        ImageDraw.Draw(label).text((SIDE / 2, LEFT / 2), kind, fill="black", font=font, anchor="mm")
        sheet.paste(label.rotate(90, expand=True), (0, TOP + row * (SIDE + PAD)))
        panels = [real_panel(data / path, corner, scale) for path, corner, scale in REAL[kind]] + phantom_panels(kind)
        for column, panel in enumerate(panels):
            x = LEFT + column * (SIDE + PAD) + (column // 3) * 3 * PAD
            sheet.paste(panel, (x, TOP + row * (SIDE + PAD)))
    for line, text in enumerate(CREDIT):
        draw.text((LEFT, height - BOTTOM + 6 + 16 * line), text, fill="#555555", font=small)
    output.parent.mkdir(parents=True, exist_ok=True)
    few_colours(sheet).save(output, optimize=True)
    pairs = output.with_name("pairs.png")
    pairs_sheet().save(pairs, optimize=True)
    for written in (output, pairs):
        print(f"{written}: {written.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "shared" / "data",
        Path(sys.argv[2]) if len(sys.argv) > 2 else here / "docs" / "img" / "phantoms.png",
    )
