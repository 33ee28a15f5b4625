"""How a seedling's roots grow: axes from the seed, a pixel at a time.

The heading of an axis wanders (tropism noise) and is drawn back to the tropism direction, towards the wide end of the chamber;
after a delay, laterals leave the main root at an angle (a stochastic L-system in the manner of Leitner et al. 2010, Plant and
Soil 332, 177). Roots keep clear of one another, so that the mask's skeleton has the same tips and branches as the truth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from veridical.phantoms import scanner
from veridical.phantoms.packing import Range, check, draw
from veridical.phantoms.scanner import UP, Chamber

TRAITS: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "laterals": lambda p: p["n_laterals"] > 0,
    "many_laterals": lambda p: p["n_laterals"] >= 8,
    "several_main": lambda p: p["n_main"] > 1,
    "thick": lambda p: p["mean_width_px"] >= 3.6,
}
"""What `RootsOptions.withhold` may name."""

REACH = 420  # half-side of the ground on which roots keep clear of each other, in pixels

Proposal = tuple[np.ndarray, float, float, float, Sequence[int]]
"""Of a root: start, heading, length, noise of the heading, and the roots that it may cross at first."""


@dataclass(frozen=True)
class RootsOptions:
    """What to draw; a number is taken as it is, a (low, high) pair is drawn from evenly.

    Attributes
    ----------
    n_main : main roots that leave the seed (rounded).
    n_laterals : laterals that the system tries to grow (rounded).
    main_length, lateral_length : pixels; a root that meets another or the wall stays shorter.
    main_width, lateral_width : pixels at the base; both taper to about half at the tip.
    angle : degrees between a lateral and its parent.
    tropism, wander : pull of the tropism direction and noise of the heading, radians a pixel.
    withhold : a combination that is never drawn, such as "laterals+thick": names from `TRAITS`, "no_" before one denies it.
    """

    n_main: Range = (0.6, 2.4)
    n_laterals: Range = (0.0, 14.0)
    main_length: Range = (110.0, 190.0)
    lateral_length: Range = (15.0, 60.0)
    main_width: Range = (3.6, 5.4)
    lateral_width: Range = (2.3, 3.2)
    angle: Range = (45.0, 80.0)
    tropism: Range = (0.004, 0.015)
    wander: Range = (0.008, 0.02)
    withhold: str = ""

    def __post_init__(self) -> None:
        check(
            self, TRAITS, n_main=(0.5, 6), n_laterals=(-50, 200), main_length=(2, REACH), lateral_length=(2, REACH),
            main_width=(1, 16), lateral_width=(1, 16), angle=(0, 180), tropism=(-1, 1), wander=(0, 1),
        )  # fmt: skip


class Axis(NamedTuple):
    """One root: "main" or "lateral", its centre line (L, 2) a pixel apart as (y, x) from the seed, its radii (L,)."""

    kind: str
    path: np.ndarray
    radii: np.ndarray


@dataclass(frozen=True)
class Plant:
    """The structure of one photograph.

    Attributes
    ----------
    axes : all roots, main roots first; places are from the seed.
    chamber : around them.
    corner : (y, x) of the image's corner, in pixels from the seed.
    size : side of the image.
    tropism, wander : how its roots grow.
    """

    axes: tuple[Axis, ...]
    chamber: Chamber
    corner: np.ndarray
    size: int
    tropism: float
    wander: float

    @property
    def shown(self) -> list[Axis]:
        """The axes, with places in the image."""
        return [axis._replace(path=axis.path - self.corner) for axis in self.axes]

    @cached_property
    def depth(self) -> dict[str, np.ndarray]:
        """How far inside a root of each kind each pixel lies (pixels, negative outside), (S, S)."""
        return {kind: _depth(self.shown, kind, self.size) for kind in ("main", "lateral")}


def settle(
    rng: np.random.Generator,
    plant: Plant,
    ground: np.ndarray,
    kind: str,
    shortest: int,
    width: Range,
    propose: Callable[[], Proposal],
) -> Plant:
    """Grow the root that `propose` proposes; it may propose again when there is no room."""
    path = np.empty((0, 2))
    for _ in range(12):
        start, heading, length, noise, crosses = propose()
        grown = grow_axis(rng, ground, start, heading, length, plant.tropism, noise, plant.chamber, crosses)
        path = max(path, grown, key=len)
        if len(path) >= min(shortest, length):
            break
    if kind == "lateral" and len(path) < shortest:
        return plant
    radii = draw(rng, width) / 2 * (1 - 0.5 * np.linspace(0, 1, len(path)) ** 1.5)
    _occupy(ground, path, radii, len(plant.axes) + 1)
    return replace(plant, axes=(*plant.axes, Axis(kind, path, radii)))


def ground_of(axes: Sequence[Axis]) -> np.ndarray:
    """Number of the root that holds each pixel, with its margin; 0 is free."""
    ground = np.zeros((2 * REACH, 2 * REACH), np.int32)
    for number, axis in enumerate(axes, start=1):
        _occupy(ground, axis.path, axis.radii, number)
    return ground


def grow_main(rng: np.random.Generator, plant: Plant, n_main: int, options: RootsOptions) -> Plant:
    ground, wander = ground_of(()), plant.wander
    for lean in np.linspace(-0.7, 0.7, n_main) if n_main > 1 else (0.0,):

        def main(lean: float = lean) -> Proposal:
            heading = UP + lean * rng.uniform(0.8, 1.8) + rng.normal(0, 0.3)
            start = np.array([-2.0, 4 * lean])
            return start, heading, draw(rng, options.main_length), wander, range(1, n_main + 1)

        plant = settle(rng, plant, ground, "main", 40, options.main_width, main)
    return plant


def grow_laterals(rng: np.random.Generator, plant: Plant, n: int, options: RootsOptions) -> Plant:
    """Try to grow `n` laterals on main roots that are long enough."""
    ground = ground_of(plant.axes)
    parents = [number for number, axis in enumerate(plant.axes) if axis.kind == "main" and len(axis.path) >= 20]

    def lateral() -> Proposal:
        parent = rng.choice(parents)
        path = plant.axes[parent].path
        at = rng.integers(12, max(13, int(0.9 * len(path))))  # none near the seed, none near the young tip
        ahead = path[min(at + 3, len(path) - 1)] - path[at - 3]
        heading = np.arctan2(*ahead) + rng.choice((-1, 1)) * np.radians(draw(rng, options.angle))
        length = max(12.0, draw(rng, options.lateral_length) * (1 - 0.75 * at / len(path)))  # older ones are longer
        return path[at], heading, length, 1.5 * plant.wander, (parent + 1,)

    for _ in range(n if parents else 0):
        plant = settle(rng, plant, ground, "lateral", 10, options.lateral_width, lateral)
    return plant


def grow_axis(
    rng: np.random.Generator,
    ground: np.ndarray,
    start: np.ndarray,
    heading: float,
    length: float,
    tropism: float,
    wander: float,
    chamber: Chamber,
    crosses: Sequence[int],
) -> np.ndarray:
    """Walk a pixel at a time until the length is reached, or the wall or another root is near.

    The first steps may cross the roots numbered in `crosses`: out of the parent, or away from a sister at the seed.
    """
    free = 6 if len(crosses) == 1 else 12
    path = [np.asarray(start, float)]
    turn = 0.0
    for step in range(int(length)):
        turn = 0.9 * turn + rng.normal(0, wander)
        heading += turn - tropism * np.sin(heading - UP)
        forward = np.array((np.sin(heading), np.cos(heading)))
        here = path[-1] + forward
        y, x = (here + 3 * forward).round().astype(int) + REACH
        if not (0 <= y < 2 * REACH and 0 <= x < 2 * REACH) or scanner.wall_depth(here[0], here[1], chamber) > -12:
            break
        if ground[y, x] and not (step < free and ground[y, x] in crosses):
            break
        path.append(here)
    return np.array(path)


def _occupy(ground: np.ndarray, path: np.ndarray, radii: np.ndarray, number: int) -> None:
    """Write a root's number where it lies and within 4 pixels of it."""
    for (y, x), r in zip(path[::2], radii[::2]):
        reach = int(r + 4)
        y, x = round(y) + REACH, round(x) + REACH
        block = ground[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        block[block == 0] = number


def _depth(axes: Sequence[Axis], kind: str, size: int) -> np.ndarray:
    """How far inside a root of this kind each pixel lies (pixels, negative outside), (S, S)."""
    chosen = [axis for axis in axes if axis.kind == kind]
    depth = np.full(size * size, -50.0)
    if chosen:
        path = np.concatenate([axis.path for axis in chosen])
        radii = np.concatenate([axis.radii for axis in chosen])
        pixels = np.moveaxis(np.mgrid[:size, :size], 0, -1).reshape(-1, 2)
        distance, index = cKDTree(path).query(pixels, distance_upper_bound=12)
        found = np.isfinite(distance)
        depth[found] = radii[index[found]] - distance[found]
    return depth.reshape(size, size)
