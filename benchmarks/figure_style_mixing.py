"""Coarse styles of some samples of a StyleGAN with the fine styles of others: makes docs/img/style_mixing.png.

python benchmarks/figure_style_mixing.py RUN [OUT.png]
"""

import sys
from pathlib import Path

import numpy as np

from veridical.data.images import save_png, to_grid
from veridical.models.gan.stylegan import style_mixing
from veridical.runs.run import load

ROWS, COLUMNS = 4, 7


def main() -> None:
    """Draw the coarse sources in the first column, the fine ones in the first row, unselected."""
    run = load(sys.argv[1], "cpu")
    if run.info.recipe != "stylegan":
        sys.exit(f"{run.folder} holds a run of {run.info.recipe}: give one of stylegan.")
    default = Path(__file__).resolve().parents[1] / "docs" / "img" / "style_mixing.png"
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else default
    grid = (style_mixing(run.model, ROWS, COLUMNS).numpy() + 1) / 2
    output.parent.mkdir(parents=True, exist_ok=True)
    save_png(output, to_grid(np.concatenate(list(grid)), columns=COLUMNS + 1, scale=2))
    print(output)


if __name__ == "__main__":
    main()
