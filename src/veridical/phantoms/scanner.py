"""What a flatbed scanner sees of a seedling in a growth chamber: glass, liquid, wall and frame, roots, shoot, dust."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from veridical.phantoms.packing import smooth_noise

UP = -np.pi / 2


@dataclass(frozen=True)
class Chamber:
    """Where the chamber lies, in pixels from the seed: centre (y, x) and radius of its disc, height of the liquid."""

    centre: tuple[float, float]
    radius: float
    liquid: float


def believable_chamber(rng: np.random.Generator) -> Chamber:
    """A chamber with the seed in the lower half of its disc."""
    return Chamber((rng.uniform(-105, -60), rng.uniform(-40, 40)), rng.uniform(205, 225), rng.uniform(60, 95))


def wall_depth(y: np.ndarray, x: np.ndarray, chamber: Chamber) -> np.ndarray:
    """Depth into the chamber's wall, negative inside: a disc with a neck at the bottom."""
    down, right = y - chamber.centre[0], x - chamber.centre[1]
    disc = np.hypot(down, right) - chamber.radius
    neck = np.maximum(np.abs(right) - 64, 150 - down)
    return np.minimum(disc, neck)


def background(
    rng: np.random.Generator, size: int, y: np.ndarray, x: np.ndarray, wall: np.ndarray, chamber: Chamber
) -> np.ndarray:
    """Dark chamber with glints, liquid line, black wall with a lip, grey frame; (S, S, 3)."""
    tint = np.array([0.095, 0.12, 0.138]) * rng.uniform(0.85, 1.25)
    image = np.ones((size, size, 1)) * (tint + rng.normal(0, 0.006, 3))
    image += 0.007 * smooth_noise(rng, size, 40)[..., None]
    image += 0.008 * smooth_noise(rng, size, 25)[..., None] * (0.2, 0.5, 1.0)
    image += 0.006 * smooth_noise(rng, size, 1.0)[..., None]
    for colour in ((0.14, 0.09, 0.04), (0.0, 0.03, 0.09), (0.05, 0.06, 0.06)):
        gy, gx = chamber.liquid - rng.uniform(5, 70), rng.uniform(-140, 140)
        glow = np.exp(-(((y - gy) / rng.uniform(5, 14)) ** 2) - ((x - gx) / rng.uniform(15, 45)) ** 2)
        image += glow[..., None] * rng.uniform(0.2, 0.9) * colour
    _paint_liquid(rng, image, y, x, wall, chamber)
    image[wall > -24] *= 0.65
    line = wall + 24 + 0.8 * smooth_noise(rng, size, 20)
    image += (0.5 * _line(line, 1.0) + 0.22 * _line(line - 2, 3.0))[..., None] * (0.16, 0.2, 0.2)
    image += (0.1 * np.clip((wall + 7) / 3, 0, 1))[..., None]
    frame = np.array([0.37, 0.4, 0.39]) * rng.uniform(0.95, 1.12) + rng.normal(0, 0.008, 3)
    cloth = 0.015 * smooth_noise(rng, size, 0.8)[..., None] + 0.012 * smooth_noise(rng, size, 30)[..., None]
    lip = np.clip((12 - np.abs(wall - 6)) / 3, 0, 1)[..., None] * (0.075, 0.06, 0.04)
    edge = np.clip(wall / 1.5 + 0.5, 0, 1)[..., None]
    return image * (1 - edge) + (frame + cloth + lip) * edge


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    """Profile of a soft line, 1 where the distance is 0."""
    return np.exp(-((distance / width) ** 2))


def _paint_liquid(
    rng: np.random.Generator, image: np.ndarray, y: np.ndarray, x: np.ndarray, wall: np.ndarray, chamber: Chamber
) -> None:
    """The liquid's surface (two bright lines and a blue band under them), often with a meniscus above."""
    down = y - chamber.liquid
    inside = np.clip((-22 - wall) / 2, 0, 1)
    for at, glow, width in ((0, 0.33, 1.3), (3, 0.15, 2.5), (8, 0.3, 1.8), (10, 0.1, 3.0)):
        image += (glow * inside * _line(down - at, width))[..., None] * (0.95, 1.0, 1.0)
    image[(down > 11) & (down < 21) & (inside > 0)] += (0.045, 0.085, 0.125)
    port = np.hypot(down - 75, x - chamber.centre[1]) - 50
    image += (0.14 * _line(port, 1.5) + 0.05 * (np.abs(port + 7) < 7))[..., None]
    if rng.random() < 0.5:
        height, across = rng.uniform(20, 45), (x - chamber.centre[1]) / rng.uniform(90, 140)
        arc = down + height * np.sqrt(np.clip(1 - across**2, 0, 1)) + 4 * np.sin(3 * across + rng.uniform(0, 6))
        near = inside * np.clip((1 - np.abs(across)) * 8, 0, 1)
        warm = 0.5 + 0.5 * np.sin(5 * across + rng.uniform(0, 6))
        colour = np.stack([0.9 + 0.1 * warm, 0.9 - 0.2 * warm, 0.9 - 0.5 * warm], -1)
        image += (0.3 * near * _line(arc, 2.0))[..., None] * colour
        image += (0.12 * near * _line(arc + 6, 1.2))[..., None]


def paint_reflection(rng: np.random.Generator, image: np.ndarray, depth: np.ndarray) -> None:
    """The glass shows every root a second time, dim and blurred."""
    shift = rng.uniform(-4, 4), rng.uniform(5, 11) * rng.choice((-1, 1))
    ghost = ndimage.gaussian_filter(np.clip(depth + 0.5, 0, 1), 1.0)
    ghost = ndimage.shift(ghost, shift, order=1) * rng.uniform(0.12, 0.25)
    image += ghost[..., None] * (np.array([0.5, 0.5, 0.45]) - image)


def paint_roots(rng: np.random.Generator, image: np.ndarray, depth: dict[str, np.ndarray]) -> None:
    """Roots as pale, round, slightly uneven threads; `depth` by kind is how far inside a root each pixel lies."""
    shade = 1 + 0.08 * smooth_noise(rng, image.shape[0], 4)[..., None]
    bright = rng.uniform(0.75, 1.1)
    for kind, colour in (("lateral", (0.44, 0.46, 0.41)), ("main", (0.5, 0.52, 0.46))):
        alpha = np.clip(depth[kind] + 0.5, 0, 1)[..., None]
        round_off = 0.6 + 0.4 * np.clip(depth[kind] / 1.8, 0, 1)[..., None]
        image += 0.92 * alpha * (bright * np.array(colour) * round_off * shade - image)


def paint_shoot(rng: np.random.Generator, image: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """A green leaf, sometimes a plug ring, and a brown seed; returns the pixels they cover, (S, S) bool."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] - np.asarray(seed)[:, None, None]
    covered = _paint_leaf(rng, image, y, x)
    if rng.random() < 0.5:
        radius = np.hypot(y, x)
        ring = np.clip(np.minimum(26 - radius, radius - 9) + 0.5, 0, 1)[..., None]
        edge = _line(radius - 25, 1.7) + 0.7 * _line(radius - 10, 2.0)
        image += 0.4 * ring * (np.array([0.42, 0.47, 0.47]) - image) + 0.16 * edge[..., None]
        covered |= radius <= 26
    tilt = rng.uniform(-0.4, 0.4)
    across = (x * np.cos(tilt) + y * np.sin(tilt)) / 4.5
    along = (y * np.cos(tilt) - x * np.sin(tilt) - 8) / 13
    grain = np.clip((1 - np.hypot(across, along)) * 6, 0, 1)
    brown = np.array([0.42, 0.35, 0.26]) * (0.85 + 0.3 * np.cos(6 * across))[..., None]
    image += (0.9 * grain)[..., None] * (brown - image)
    return covered | (grain > 0.5)


def _paint_leaf(rng: np.random.Generator, image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    heading = UP + rng.normal(0, 0.9) if rng.random() < 0.5 else rng.uniform(-0.2, 0.6)
    length, width = rng.uniform(60, 130), rng.uniform(5, 10)
    along = x * np.cos(heading) + y * np.sin(heading)
    across = -x * np.sin(heading) + y * np.cos(heading) - rng.normal(0, 0.002) * along**2
    t = np.clip(along / length, 0, 1)
    half = width * np.sqrt(t * (1 - t)) * (0.45 + 0.75 * t) + 0.8
    inside = np.where((along > 0) & (along < length), half - np.abs(across), -9)
    alpha = np.clip(inside + 0.5, 0, 1) * (0.9 - 0.7 * t)
    green = np.array([0.25, 0.37, 0.2]) + rng.normal(0, 0.015, 3)
    vein = 1 - 0.15 * (np.abs(across) < 0.6)
    image += alpha[..., None] * (green * vein[..., None] - image)
    return inside >= 0


def paint_dust(rng: np.random.Generator, image: np.ndarray) -> None:
    """Bright specks."""
    size = image.shape[0]
    specks = np.zeros((size, size))
    count = rng.poisson(25 * (size / 256) ** 2)
    places = rng.integers(0, size, (count, 2))
    specks[tuple(places.T)] = rng.exponential(0.5, count)
    image += ndimage.gaussian_filter(specks, 0.7)[..., None]
