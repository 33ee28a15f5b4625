"""Volumes of a run beside real sections: grey levels, correlation, phases along three axes, surface, percolation, KID by axis.

    python benchmarks/volumes.py RUN VOLUME.tif ... [--kid] [--solid MASK.tif] [--spheres RADIUS,SOLID] [--picture FILE.png]

Real are tiles of the data that RUN was trained on, grouped by the slice that they come from: ``real`` is their mean and, in
brackets, the least and the largest of a slice. Volumes are measured together, along each axis; ``spread`` is how much the axes
differ. The phase is what is darker than Otsu's threshold of the real tiles. ``--kid`` scores the sections normal to each axis,
and as many images that the run draws, against real tiles. ``--solid`` is a label volume of which RUN saw sections (1 is
solid): its phase, surface, Euler characteristic and percolating share stand beside those of the volumes. ``--spheres`` says
that the solid is overlapping spheres of a radius, with a share: then the two-point function has its closed form, too.
``--picture`` draws the mid-sections.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage.filters import threshold_otsu

import veridical
from veridical.metrics.physics_phases import minkowski
from veridical.metrics.physics_volume import (
    euler_density,
    lineal_path,
    mean_chord,
    percolating_share,
    specific_surface,
    two_point,
)
from veridical.phantoms.spheres import SpheresOptions, two_point_function

LAGS = (1, 2, 4, 8, 16)  # pixels
LINES = (2, 4, 8, 16)


def correlation(images: np.ndarray, axis: int) -> np.ndarray:
    """1 less the semivariance over the variance at `LAGS` along an axis of images, which is one of the last."""
    lines = np.moveaxis(images, axis, -1)
    return np.array([1 - ((lines[..., lag:] - lines[..., :-lag]) ** 2).mean() / 2 / images.var() for lag in LAGS])


def rows_of(images: np.ndarray, axis: int, dark: float) -> dict[str, float]:
    """Everything that is measured along an axis of images."""
    mask = images < dark
    rows = {f"correlation at {lag}": value for lag, value in zip(LAGS, correlation(images, axis), strict=True)}
    pairs, path = two_point(mask, axis, max(LAGS)), lineal_path(mask, axis, max(LINES))
    rows |= {f"two-point function of the phase at {lag}": pairs[lag] for lag in LAGS[1:]}
    rows |= {f"lineal path of {length}": path[length - 1] for length in LINES}
    rows |= {"chord of the phase": mean_chord(mask, axis), "chord of the rest": mean_chord(~mask, axis)}
    return rows | {"mean step": np.abs(np.diff(images, axis=axis)).mean()}


def levels_of(images: np.ndarray, dark: float) -> dict[str, float]:
    """What has no direction."""
    rows = {"mean": images.mean(), "deviation": images.std(), "phase": (images < dark).mean()}
    return rows | {f"quantile {q:g}": np.quantile(images, q) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}


def said(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def by_slice(
    tiles: np.ndarray, groups: list[str], measure: Callable[[np.ndarray], dict[str, float]]
) -> dict[str, list[float]]:
    """What is measured of the tiles of each slice."""
    found: dict[str, list[float]] = {}
    for group in sorted(set(groups)):
        for name, value in measure(tiles[np.array(groups) == group]).items():
            found.setdefault(name, []).append(float(value))
    return found


def surface_of(sections: np.ndarray) -> dict[str, float]:
    """Of the isotropic body that has such sections: 4 / pi times their boundary (Underwood 1970)."""
    return {"surface": 4 / np.pi * minkowski(sections)["perimeter"].mean()}


def add_bodies(table: Table, masks: np.ndarray, truth: np.ndarray | None, surfaces: list[float]) -> None:
    """Rows of what only volumes show, beside the known volume where there is one; of the surface beside sections, too."""
    known = "" if truth is None else f"; known {specific_surface(truth):.3f}"
    table.add_row(
        "surface of the phase, 1 / voxel", said(surfaces) + known, said([specific_surface(mask) for mask in masks])
    )
    known = "" if truth is None else f"known {1e4 * euler_density(truth):.3f}"
    table.add_row("Euler characteristic, 1e-4 / voxel", known, said([1e4 * euler_density(mask) for mask in masks]))
    for name, sign in (("phase", True), ("rest", False)):
        known = ""
        if truth is not None:
            known = "known " + " / ".join(f"{percolating_share(truth == sign, axis):.3f}" for axis in range(3))
        found = np.array([[percolating_share(mask == sign, axis) for axis in range(3)] for mask in masks])
        table.add_row(
            f"share of the {name} that percolates", known, said(list(found.mean(1))),
            *(f"{value:.3f}" for value in found.mean(0)), f"{np.ptp(found.mean(0)):.3f}",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("volumes", type=Path, nargs="+")
    parser.add_argument("--kid", action="store_true")
    parser.add_argument("--solid", type=Path)
    parser.add_argument("--spheres", type=lambda text: [float(part) for part in text.split(",")])
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    run = veridical.load(options.run, device="cpu")
    data = veridical.open_dataset(run.info.dataset["spec"], run.info.size, window=run.window)
    sets = [data.tiles(which, 2000, oriented=False) for which in ("train", "test")]
    tiles = np.concatenate([images[:, 0] for images, _ in sets])
    groups = [group for _, names in sets for group in names]
    slices = [group.split("_r")[0] for group in groups]
    volumes = np.stack([run.window.to_unit(tifffile.imread(path)) for path in options.volumes])
    dark = threshold_otsu(tiles)
    table = Table("", "real (by slice)", "volumes", "axis 0", "axis 1", "axis 2", "spread", box=None)
    real = by_slice(tiles, slices, lambda images: levels_of(images, dark))
    for name, value in levels_of(volumes, dark).items():
        each = [levels_of(volume, dark)[name] for volume in volumes]
        table.add_row(name, said(real[name]), f"{value:.3f} ({min(each):.3f} to {max(each):.3f})")
    along = [by_slice(tiles, slices, lambda images, a=axis: rows_of(images, a, dark)) for axis in (1, 2)]
    drawn = [rows_of(volumes, axis, dark) for axis in (1, 2, 3)]
    closed = {}
    if options.spheres:
        law = SpheresOptions(radius=options.spheres[0], solid_fraction=options.spheres[1])
        closed = {f"two-point function of the phase at {lag}": two_point_function(lag, law) for lag in LAGS}
    for name in drawn[0]:
        pooled = [(a + b) / 2 for a, b in zip(along[0][name], along[1][name], strict=True)]
        mine = [found[name] for found in drawn]
        table.add_row(
            name + (f", closed form {closed[name]:.3f}" if name in closed else ""),
            said(pooled),
            f"{np.mean(mine):.3f}",
            *(f"{value:.3f}" for value in mine),
            f"{np.ptp(mine):.3f}",
        )
    truth = None if options.solid is None else tifffile.imread(options.solid) == 0
    if truth is not None:
        table.add_row("phase, known", f"{truth.mean():.3f}", f"{(volumes < dark).mean():.3f}")
    add_bodies(
        table, volumes < dark, truth, by_slice(tiles, slices, lambda images: surface_of(images < dark))["surface"]
    )
    if options.kid:
        count = len(volumes[0])
        rng = np.random.default_rng(0)
        beside = tiles[rng.permutation(len(tiles))[: max(count, 128)], None]
        scores = []
        for axis in (1, 2, 3):
            sections = np.moveaxis(volumes, axis, 1).reshape(-1, *np.delete(volumes.shape[1:], axis - 1))
            chosen = sections[:: max(1, len(sections) // 64)][:64, None]
            scores.append(scored(beside, chosen))
        flat = scored(beside, veridical.draw(run, 64, seed=9))
        table.add_row(
            f"kid_over_random_phase of 64 sections (64 samples in 2-D: {flat:.3f})", "", f"{np.mean(scores):.3f}",
            *(f"{value:.3f}" for value in scores), f"{np.ptp(scores):.3f}",
        )  # fmt: skip
    Console(width=150).print(table)
    if options.picture is not None:
        draw(options.picture, volumes, tiles)


def scored(real: np.ndarray, drawn: np.ndarray) -> float:
    rows = {row["metric"]: row["value"] for row in veridical.score(real, drawn.astype(np.float32))}
    return float(rows["kid_over_random_phase"] or np.nan)


def draw(path: Path, volumes: np.ndarray, tiles: np.ndarray) -> None:
    """Mid-sections normal to each axis, a row a volume, and as many real tiles at their right."""
    rng = np.random.default_rng(3)
    side, lines = volumes.shape[1], []
    for volume in volumes[:3]:
        mid = [np.take(volume, side // 2, axis) for axis in range(3)]
        gap = np.ones((side, 8))
        chosen = [tiles[k] for k in rng.integers(0, len(tiles), 3)]
        lines.append(np.concatenate([np.pad(x, 1, constant_values=1) for x in mid], 1))
        lines[-1] = np.concatenate([lines[-1], np.pad(gap, ((1, 1), (0, 0)), constant_values=1)], 1)
        if tiles.shape[1] == side:
            lines[-1] = np.concatenate([lines[-1], *(np.pad(x, 1, constant_values=1) for x in chosen)], 1)
    picture = (np.concatenate(lines) * 255).round().astype(np.uint8)
    Image.fromarray(picture).resize((picture.shape[1] * 2, picture.shape[0] * 2), Image.Resampling.NEAREST).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main()
