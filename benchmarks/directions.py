"""How often the test of sections for a direction is sure: of spheres (false alarms) and of spheres drawn out along a row (power).

    python benchmarks/directions.py [--trials 200]

Tiles of 32 x 32 pixels of overlapping spheres of radius 8, or of ellipsoids and fibres that are so many times longer along the
rows of the images. ``images`` are unrelated tiles, ``stack`` all tiles of so many neighbouring slices of one volume, which go
together. ``ratio``: median of what was measured.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from veridical.phantoms.spheres import draw_spheres
from veridical.volumes.direction import ALARM, direction_of

SIZE, SIDE = 32, 96
CASES = {  # slices of a volume and tiles a side of each
    "8 images": (range(0, SIDE, 48), 2),
    "27 images": (range(0, SIDE, 32), 3),
    "stack of 8, 4 tiles each": (range(8), 2),
    "stack of 64, 9 tiles each": (range(64), 3),
}
STRETCHES = (1.0, 1.5, 2.0, 3.0, 6.0)


def sections(volume: np.ndarray, stretch: float, slices: range, across: int) -> tuple[np.ndarray, np.ndarray]:
    """Tiles (N, SIZE, SIZE) and their places (N, 3)."""
    columns = np.arange(across * SIZE) / stretch
    left = columns.astype(int)
    part = (columns - left).astype(np.float32)
    tiles, places = [], []
    for k in slices:
        long = volume[k][:, left] * (1 - part) + volume[k][:, left + 1 - SIDE] * part
        for top in range(0, across * SIZE, SIZE):
            for start in range(0, across * SIZE, SIZE):
                tiles.append(long[top : top + SIZE, start : start + SIZE])
                places.append((k, top, start))
    return np.array(tiles), np.array(places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    found: dict[tuple[str, float], list[tuple[bool, float, float]]] = {}
    for trial in range(options.trials):
        volume = draw_spheres(SIDE, trial).image
        for case, (slices, across) in CASES.items():
            for stretch in STRETCHES:
                said = direction_of(*sections(volume, stretch, slices, across))
                found.setdefault((case, stretch), []).append((said.p < ALARM, said.ratio, said.independent))
    table = Table("", "independent", *(f"{stretch:g} x" for stretch in STRETCHES), box=None)
    for case in CASES:
        cells = []
        for stretch in STRETCHES:
            sure, ratio, _ = np.array(found[case, stretch], float).T
            cells.append(f"{100 * sure.mean():.1f} % (ratio {np.median(ratio):.1f})")
        table.add_row(case, f"{np.median([row[2] for row in found[case, 1.0]]):.0f}", *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
