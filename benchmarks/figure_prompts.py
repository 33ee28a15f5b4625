"""Eight prompts beside what systems draw of them: makes docs/img/words_prompts_KIND.png.

    python benchmarks/figure_prompts.py KIND --run NAME=RUN [--run ...] [--set KEY=VALUE] [--each 2] [--out FILE]

The first prompt is the one with which the review asked web-trained systems for such images (Section 7, figures 20 to 22), word
for word. A column is a prompt; each system draws `--each` images of it, the first ones of a seed, unselected.
"""

import argparse
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from veridical import draw, load
from veridical.data.images import to_grid

PROMPTS = {
    "cmc": [
        "x-ray image of a composite material with deformed circles as cross-sections",
        "fibre volume fraction 0.25, no binder, no cracks",
        "fibre volume fraction 0.60, no binder, no cracks",
        "fibre volume fraction 0.45, no binder, two cracks",
        "a binder border in the upper left, binder share 40 percent, no cracks",
        "a binder border in the lower right, binder share 20 percent, one crack",
        "a loose fibre packing, no binder",
        "densely packed fibres, a binder border at the bottom",
    ],
    "rocks": [
        "microCT scan of rock sample containing large grains",
        "porosity 0.15, no bright minerals, no tube wall",
        "porosity 0.45, no bright minerals, no tube wall",
        "porosity 0.30, plenty of bright mineral, no tube wall",
        "porosity 0.30, few bright minerals, the tube wall in view",
        "two grains, no tube wall",
        "twelve grains, no tube wall",
        "loosely packed grains, dense mineral",
    ],
    "roots": [
        "microscopy image of entangled plant root in hydroponic system",
        "1 main root, no laterals",
        "1 main root, 4 laterals",
        "2 main roots, no laterals",
        "2 main roots, 6 laterals",
        "1 main root, mean root width 2.5 px",
        "1 main root, mean root width 4.5 px",
        "root cover 20.0 percent",
    ],
}
SUBJECTS = {
    "cmc": "Cross-section of a composite tow",
    "rocks": "Cross-section of packed grains",
    "roots": "Scanner image of a seedling root system",
}


def main() -> None:
    """Draw and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=PROMPTS)
    parser.add_argument("--run", action="append", required=True, metavar="NAME=RUN")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="sampling settings")
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    review, *short = PROMPTS[options.kind]
    prompts = [review, *(f"{SUBJECTS[options.kind]}, {words}." for words in short)]
    asked = [prompt for prompt in prompts for _ in range(options.each)]
    rows = {}
    for named in options.run:
        name, _, folder = named.partition("=")
        run = load(folder, settings=dict(pair.split("=", 1) for pair in options.set))
        images = draw(run, len(asked), seed=1, prompt=asked, extrapolate=True, quiet=False)
        rows[name] = images.reshape(len(prompts), options.each, *images.shape[1:]).swapaxes(0, 1)
    mpl.use("agg")
    figure, axes = plt.subplots(len(rows), 1, figsize=(11, 1.1 + 1.32 * options.each * len(rows)), layout="constrained")
    for ax, (name, images) in zip(np.atleast_1d(axes), rows.items(), strict=True):
        shown = to_grid(images.reshape(-1, *images.shape[2:]), columns=len(prompts), scale=2)
        ax.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_ylabel(name)
        ax.set_xticks([]), ax.set_yticks([]), ax.spines[:].set_visible(False)
    top, width = np.atleast_1d(axes)[0], shown.shape[1] / len(prompts)
    top.set_xticks(
        [(k + 0.5) * width for k in range(len(prompts))],
        ["\n".join(textwrap.wrap(words, 22)) for words in (f"“{review}”", *short)],
        fontsize=6.5, va="bottom",
    )  # fmt: skip
    top.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    out = options.out or Path(__file__).resolve().parents[1] / "docs" / "img" / f"words_prompts_{options.kind}.png"
    figure.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    main()
