"""Draws docs/img/house.png: the way of the data through the rooms of the package.

    python benchmarks/figure_house.py [OUT.png]

``python tests/test_imports.py`` prints the floors and what each room imports.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# name: (column, row, what it does); names with a slash are files of a room, others are what lies on the disk.
STEPS = {
    "your images": (0, 3, "TIFF, HDF5, Zarr, NPY, ..."),
    "data/readers": (1, 3, "counts, axes, pixel size"),
    "data/split": (2, 3, "training, held out"),
    "data/window": (3, 3, "counts to [0, 1]"),
    "data/tiles": (4, 3, "float32 (N, C, H, W)"),
    "phantoms": (0, 2, "images with known truth"),
    "models": (2, 2, "losses, sample, denoise"),
    "training/loop": (3, 2, "batches to weights"),
    "conditions": (4, 2, "label, mask, source, text"),
    "recipes": (1, 2, "model and settings"),
    "run folder": (3, 1, "run.json, safetensors"),
    "runs/draw": (2, 1, "seeded images in [0, 1]"),
    "your samples": (1, 1, "counts, provenance"),
    "scoring": (1, 0, "metrics to result rows"),
    "auditing": (2, 0, "pass, fail, insufficient"),
    "reporting": (0, 0, "tables, figures, page"),
    "editing": (0, 1, "edits and restoration"),
    "held-out tiles": (3, 0, "real against real"),
}
WAY = (
    ("your images", "data/readers"), ("data/readers", "data/split"), ("data/split", "data/window"),
    ("data/window", "data/tiles"), ("phantoms", "data/readers"), ("data/tiles", "conditions"),
    ("conditions", "training/loop"), ("recipes", "models"), ("models", "training/loop"), ("training/loop", "run folder"),
    ("run folder", "runs/draw"), ("runs/draw", "your samples"), ("runs/draw", "auditing"), ("your samples", "scoring"),
    ("scoring", "reporting"), ("editing", "your samples"), ("held-out tiles", "auditing"),
)  # fmt: skip
DISK = ("your images", "run folder", "your samples", "held-out tiles")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "img" / "house.png"
    figure, axes = plt.subplots(figsize=(11, 4.6))
    centre = {name: (2.6 * column, 1.3 * row) for name, (column, row, _) in STEPS.items()}
    for name, (_, _, what) in STEPS.items():
        x, y = centre[name]
        fill, edge = ("#fdf3e3", "#a86b1c") if name in DISK else ("#e3edf7", "#33506b")
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.98, y - 0.3), 1.96, 0.6, boxstyle="round,pad=0.05", facecolor=fill, edgecolor=edge, linewidth=1
            )
        )
        axes.text(x, y + 0.11, name, ha="center", va="center", weight="bold", fontsize=10)
        axes.text(x, y - 0.16, what, ha="center", va="center", fontsize=7.2, color="#444444")
    for start, end in WAY:
        (x, y), (u, v) = centre[start], centre[end]
        if y == v:
            step = 1.05 if u > x else -1.05
            ends = (x + step, y), (u - step, v)
        else:
            step = 0.37 if v > y else -0.37
            ends = (x, y + step), (u, v - step)
        axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=12, color="#555555", linewidth=1.2))
    axes.set_xlim(-1.3, 2.6 * 4 + 1.3)
    axes.set_ylim(-0.6, 1.3 * 3 + 0.6)
    axes.axis("off")
    figure.savefig(out, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
