"""Changes of a root system, one function each: what is named changes, all other roots stay where they are.

Each takes a generator, a `Plant` and the options, and returns the changed plant, or None where there is nothing to change.
"""

from dataclasses import replace

import numpy as np

from veridical.phantoms.growth import Axis, Plant, RootsOptions, ground_of, grow_axis, grow_laterals

LEAST = 12  # pixels of a root that come or go inside the image


def _inside(plant: Plant, path: np.ndarray) -> int:
    """Points of a centre line that lie inside the image."""
    place = path - plant.corner
    return int(((place >= 0) & (place <= plant.size - 1)).all(1).sum())


def add_laterals(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """Two to five more laterals, where they are seen and have room."""
    wanted, grown = int(rng.integers(2, 6)), plant
    for _ in range(60):
        tried = grow_laterals(rng, grown, 1, options)
        if len(tried.axes) > len(grown.axes) and _inside(plant, tried.axes[-1].path) >= LEAST:
            grown = tried
        if len(grown.axes) - len(plant.axes) == wanted:
            break
    return grown if len(grown.axes) - len(plant.axes) >= 2 else None


def remove_laterals(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """Main roots alone."""
    laterals = [axis for axis in plant.axes if axis.kind == "lateral"]
    if not any(_inside(plant, axis.path) >= LEAST for axis in laterals):
        return None
    return replace(plant, axes=tuple(axis for axis in plant.axes if axis.kind == "main"))


def _wider(plant: Plant, factor: float) -> Plant:
    return replace(plant, axes=tuple(axis._replace(radii=axis.radii * factor) for axis in plant.axes))


def thicker_roots(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """All roots, by the same share."""
    return _wider(plant, rng.uniform(1.35, 1.7))


def thinner_roots(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """All roots, by the same share."""
    return _wider(plant, rng.uniform(0.55, 0.72))


def longer_root(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """A main root whose tip is seen grows on from there."""
    ground = ground_of(plant.axes)
    for number in rng.permutation(len(plant.axes)):
        axis = plant.axes[number]
        if axis.kind != "main" or len(axis.path) < 6 or not _inside(plant, axis.path[-1:]):
            continue
        ahead = np.arctan2(*(axis.path[-1] - axis.path[-5]))
        length = rng.uniform(0.35, 0.8) * max(plant.size, 64)
        crosses = (int(number) + 1,)
        more = grow_axis(
            rng, ground, axis.path[-1], ahead, length, plant.tropism, plant.wander, plant.chamber, crosses
        )[1:]
        if len(more) and _inside(plant, more) >= LEAST:
            taper = axis.radii[-1] * (1 - 0.25 * np.linspace(0, 1, len(more)))
            longer = Axis("main", np.concatenate([axis.path, more]), np.concatenate([axis.radii, taper]))
            return replace(plant, axes=(*plant.axes[:number], longer, *plant.axes[number + 1 :]))
    return None


def shorter_root(rng: np.random.Generator, plant: Plant, options: RootsOptions) -> Plant | None:
    """A main root whose tip is seen loses what lies beyond its last lateral, or half of that."""
    for number in rng.permutation(len(plant.axes)):
        axis = plant.axes[number]
        if axis.kind != "main" or not _inside(plant, axis.path[-1:]):
            continue
        starts = [other.path[0] for other in plant.axes if other.kind == "lateral"]
        bases = [
            int(np.hypot(*(axis.path - start).T).argmin()) for start in starts if (axis.path == start).all(1).any()
        ]
        first = max([10, *(base + 6 for base in bases)])
        cut = int(rng.uniform(first, (first + len(axis.path)) / 2))
        if min(_inside(plant, axis.path[cut:]), _inside(plant, axis.path[:cut])) >= LEAST:
            shorter = Axis("main", axis.path[:cut], axis.radii[:cut])
            return replace(plant, axes=(*plant.axes[:number], shorter, *plant.axes[number + 1 :]))
    return None


CHANGES = {
    "add_laterals": add_laterals, "remove_laterals": remove_laterals, "thicker_roots": thicker_roots,
    "thinner_roots": thinner_roots, "longer_root": longer_root, "shorter_root": shorter_root,
}  # fmt: skip
