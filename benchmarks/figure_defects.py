"""Pictures of the planted defects: one real image as it is, then with three severities of the defect.

    python benchmarks/figure_defects.py DATA --out docs/img/defects

DATA holds sandstone/test and cmc/known_bad. One PNG a defect.
"""

import argparse
from pathlib import Path

import numpy as np

from veridical.auditing.defects import DEFECTS, plant, plants
from veridical.data.images import read_images, save_png, to_grid

SHOWN = 5  # of the test images


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = read_images(options.data / "sandstone" / "test").images
    for defect, row in plants().items():
        # what depends on which images a set is made of shows in several only
        count = 1 if DEFECTS[defect].drawn is None else 4
        parts = [images[SHOWN : SHOWN + 8]] + [plant(defect, images[SHOWN : SHOWN + 8], s) for s in row.severities]
        channels = max(part.shape[1] for part in parts)
        chosen = [
            np.broadcast_to(part[-count:] if count > 1 else part[:1], (count, channels, *part.shape[2:]))
            for part in parts
        ]
        save_png(options.out / f"{defect}.png", to_grid(np.concatenate(chosen), columns=4))


if __name__ == "__main__":
    main()
