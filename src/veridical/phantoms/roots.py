"""A seedling's root system in a dark growth chamber under a scanner, with known lengths, tips and branches.

Axes grow a pixel at a time: the heading wanders (tropism noise) and is drawn back to the tropism direction, towards the
wide end of the chamber; after a delay, laterals leave the main root at an angle (a stochastic L-system in the manner of
Leitner et al. 2010, Plant and Soil 332, 177). Roots keep clear of one another, so that the mask's skeleton has the same
tips and branches as the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from veridical.phantoms import scanner
from veridical.phantoms.packing import Drawn, Range, check, draw
from veridical.phantoms.scanner import UP, Chamber

LABELS = {"background": 0, "main": 1, "lateral": 2, "wall": 3, "shoot": 4}
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

    def __post_init__(self) -> None:
        check(
            self, n_main=(0.5, 6), n_laterals=(-50, 200), main_length=(2, REACH), lateral_length=(2, REACH),
            main_width=(1, 16), lateral_width=(1, 16), angle=(0, 180), tropism=(-1, 1), wander=(0, 1),
        )  # fmt: skip


class Axis(NamedTuple):
    """One root: "main" or "lateral", its centre line (L, 2) a pixel apart as (y, x) from the seed, its radii (L,)."""

    kind: str
    path: np.ndarray
    radii: np.ndarray


def generate_slice(rng: np.random.Generator, size: int, options: RootsOptions) -> Drawn:
    """One photograph: image, mask, properties and caption, see `veridical.phantoms.Phantoms`."""
    chamber = scanner.believable_chamber(rng)
    axes = _grow(rng, options, chamber)
    corner = _window(rng, size, axes)
    axes = [axis._replace(path=axis.path - corner) for axis in axes]
    y, x = np.mgrid[:size, :size] + corner[:, None, None]
    wall = scanner.wall_depth(y, x, chamber)

    image = scanner.background(rng, size, y, x, wall, chamber)
    depth = {kind: _depth(axes, kind, size) for kind in ("main", "lateral")}
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
    roots = (mask == LABELS["main"]) | (mask == LABELS["lateral"])
    properties = _measure(axes, size) | {"root_area_fraction": float(roots.mean())}
    return np.clip(image, 0, 1).astype(np.float32).transpose(2, 0, 1), mask, properties, _caption(properties)


def _grow(rng: np.random.Generator, options: RootsOptions, chamber: Chamber) -> list[Axis]:
    """All axes, main roots first."""
    ground = np.zeros((2 * REACH, 2 * REACH), np.int32)  # number of the root that holds each pixel, with its margin
    tropism, wander = draw(rng, options.tropism), draw(rng, options.wander)
    n_main = max(1, round(draw(rng, options.n_main)))
    n_laterals = max(0, round(draw(rng, options.n_laterals)))
    axes = []

    def settle(kind: str, shortest: int, width: Range, propose: Callable[[], Proposal]) -> None:
        """Grow the root that `propose` proposes; it may propose again when there is no room."""
        path = np.empty((0, 2))
        for _ in range(12):
            start, heading, length, noise, crosses = propose()
            grown = _grow_axis(rng, ground, start, heading, length, tropism, noise, chamber, crosses)
            path = max(path, grown, key=len)
            if len(path) >= min(shortest, length):
                break
        if kind == "main" or len(path) >= shortest:
            radii = draw(rng, width) / 2 * (1 - 0.5 * np.linspace(0, 1, len(path)) ** 1.5)
            axes.append(Axis(kind, path, radii))
            _occupy(ground, path, radii, len(axes))

    for lean in np.linspace(-0.7, 0.7, n_main) if n_main > 1 else (0.0,):

        def main(lean: float = lean) -> Proposal:
            heading = UP + lean * rng.uniform(0.8, 1.8) + rng.normal(0, 0.3)
            return np.array([-2.0, 4 * lean]), heading, draw(rng, options.main_length), wander, range(1, n_main + 1)

        settle("main", 40, options.main_width, main)
    parents = [number for number, axis in enumerate(axes) if len(axis.path) >= 20]

    def lateral() -> Proposal:
        parent = rng.choice(parents)
        path = axes[parent].path
        at = rng.integers(12, max(13, int(0.9 * len(path))))  # none near the seed, none near the young tip
        ahead = path[min(at + 3, len(path) - 1)] - path[at - 3]
        heading = np.arctan2(*ahead) + rng.choice((-1, 1)) * np.radians(draw(rng, options.angle))
        length = max(12.0, draw(rng, options.lateral_length) * (1 - 0.75 * at / len(path)))  # older ones are longer
        return path[at], heading, length, 1.5 * wander, (parent + 1,)

    for _ in range(n_laterals if parents else 0):
        settle("lateral", 10, options.lateral_width, lateral)
    return axes


def _grow_axis(
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


def _window(rng: np.random.Generator, size: int, axes: list[Axis]) -> np.ndarray:
    """Corner of the image in pixels from the seed: the plant in a large image, some part of a root in a small one."""
    path = axes[rng.integers(len(axes))].path
    near = path[rng.integers(len(path))] + rng.uniform(-0.2, 0.2, 2) * size
    plant = np.array([rng.uniform(-0.2, -0.02), rng.uniform(-0.08, 0.08)]) * size
    share = np.clip((size - 96) / 128, 0, 1)
    return (share * plant + (1 - share) * near - size / 2).round()


def _depth(axes: list[Axis], kind: str, size: int) -> np.ndarray:
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


def _measure(axes: list[Axis], size: int) -> dict[str, float]:
    """Lengths of the centre lines inside the image, and the tips and branch points inside it."""
    lengths, widths = {"main": 0.0, "lateral": 0.0}, []
    tips = branches = mains = laterals = 0
    for kind, path, radii in axes:
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
    }


def _caption(p: dict[str, Any]) -> str:
    def some(n: float, one: str) -> str:
        return f"no {one}s" if n == 0 else f"one {one}" if n == 1 else f"{n} {one}s"

    return (
        f"Scanner image of a seedling root system in a dark chamber, total root length {p['total_length_px']:.0f} px, "
        f"{some(p['n_main'], 'main root')}, {some(p['n_laterals'], 'lateral')}, {some(p['n_tips'], 'root tip')}."
    )
