"""A seedling's root system in a dark growth chamber under a scanner, with known lengths, tips and branches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from scipy import ndimage

from veridical.phantoms import scanner
from veridical.phantoms.growth import TRAITS, Axis, Plant, RootsOptions, grow_laterals, grow_main
from veridical.phantoms.packing import draw

__all__ = ["LABELS", "TRAITS", "RootsOptions", "build", "measure", "render"]

LABELS = {"background": 0, "main": 1, "lateral": 2, "wall": 3, "shoot": 4}


def build(rng: np.random.Generator, size: int, options: RootsOptions) -> Plant:
    """Draw the structure of one photograph."""
    chamber = scanner.believable_chamber(rng)
    tropism, wander = draw(rng, options.tropism), draw(rng, options.wander)
    n_main = max(1, round(draw(rng, options.n_main)))
    n_laterals = max(0, round(draw(rng, options.n_laterals)))
    plant = Plant((), chamber, np.zeros(2), size, tropism, wander)
    plant = grow_laterals(rng, grow_main(rng, plant, n_main, options), n_laterals, options)
    return replace(plant, corner=_window(rng, size, plant.axes))


def render(rng: np.random.Generator, plant: Plant) -> tuple[np.ndarray, np.ndarray]:
    """The photograph (3, S, S) float64, and its mask (S, S) uint8."""
    size, corner, chamber = plant.size, plant.corner, plant.chamber
    y, x = np.mgrid[:size, :size] + corner[:, None, None]
    wall = scanner.wall_depth(y, x, chamber)
    image = scanner.background(rng, size, y, x, wall, chamber)
    depth = plant.depth
    scanner.paint_reflection(rng, image, np.maximum(depth["main"], depth["lateral"]))
    shoot = scanner.paint_shoot(rng, image, -corner)
    scanner.paint_roots(rng, image, depth)
    scanner.paint_dust(rng, image)
    image = ndimage.gaussian_filter(image, (0.6, 0.6, 0)) + rng.normal(0, 0.004, image.shape)

    mask = np.zeros((size, size), np.uint8)
    mask[wall > 0] = LABELS["wall"]
    mask[shoot] = LABELS["shoot"]
    mask[depth["lateral"] >= 0] = LABELS["lateral"]
    mask[depth["main"] >= 0] = LABELS["main"]
    return image.transpose(2, 0, 1), mask


def _window(rng: np.random.Generator, size: int, axes: Sequence[Axis]) -> np.ndarray:
    """Corner of the image in pixels from the seed: the plant in a large image, some part of a root in a small one."""
    path = axes[int(rng.integers(len(axes)))].path
    near = path[rng.integers(len(path))] + rng.uniform(-0.2, 0.2, 2) * size
    plant = np.array([rng.uniform(-0.2, -0.02), rng.uniform(-0.08, 0.08)]) * size
    share = np.clip((size - 96) / 128, 0, 1)
    return (share * plant + (1 - share) * near - size / 2).round()


def measure(plant: Plant) -> dict[str, float]:
    """Lengths of the centre lines inside the image, the tips and branch points inside it, and the share of the roots."""
    size = plant.size
    lengths, widths = {"main": 0.0, "lateral": 0.0}, []
    tips = branches = mains = laterals = 0
    for kind, path, radii in plant.shown:
        inside = cast(np.ndarray, ((path >= 0) & (path <= size - 1)).all(1))
        pieces = inside[1:] & inside[:-1]
        if not pieces.any():
            continue
        lengths[kind] += float(np.hypot(*np.diff(path, axis=0).T)[pieces].sum())
        widths.append(2 * radii[inside])
        tips += bool(inside[-1])
        mains += kind == "main"
        laterals += kind == "lateral"
        branches += kind == "lateral" and bool(inside[0])
    return {
        "total_length_px": lengths["main"] + lengths["lateral"],
        "main_length_px": lengths["main"],
        "lateral_length_px": lengths["lateral"],
        "n_main": mains,
        "n_laterals": laterals,
        "n_tips": tips,
        "n_branches": branches,
        "mean_width_px": float(np.concatenate(widths).mean()) if widths else 0.0,
        "root_area_fraction": float(((plant.depth["main"] >= 0) | (plant.depth["lateral"] >= 0)).mean()),
    }
