"""Sediment in a tube: angular grains of a size distribution, pores, bright minerals, inner texture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label, regionprops_table

from veridical.phantoms.packing import Range, check, draw, pack_discs, smooth_noise
from veridical.phantoms.tomography import Scan

LABELS = {"pore": 0, "grain": 1, "mineral": 2, "outside": 3}
TRAITS: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "minerals": lambda p: p["mineral_fraction"] > 0,
    "tube": lambda p: p["outside_fraction"] > 0,
    "porous": lambda p: p["porosity"] >= 0.42,
    "coarse": lambda p: p["mean_grain_diameter_px"] >= 26,
}
"""What `RocksOptions.withhold` may name."""


@dataclass(frozen=True)
class RocksOptions:
    """What to draw; a number is taken as it is, a (low, high) pair is drawn from evenly.

    Attributes
    ----------
    porosity : pore area over the area inside the tube.
    mean_diameter, diameter_spread : grain diameter (of the disc of equal area) in pixels, and its standard deviation
        over the mean, before contacts deform the grains.
    mineral_fraction : bright mineral area over solid area (below 0 counts as 0).
    contrast : image value of grains above that of pores.
    bubbles : air in the pores.
    tube : probability that the tube's wall crosses the tile.
    scan : microscope settings; None draws believable ones for each image.
    withhold : a combination that is never drawn, such as "minerals+tube": names from `TRAITS`, "no_" before one denies it.
    """

    porosity: Range = (0.28, 0.5)
    mean_diameter: Range = (16.0, 34.0)
    diameter_spread: Range = (0.3, 0.6)
    mineral_fraction: Range = (-0.01, 0.04)
    contrast: Range = (0.06, 0.17)
    bubbles: bool = True
    tube: float = 0.3
    scan: Scan | None = None
    withhold: str = ""

    def __post_init__(self) -> None:
        check(
            self, TRAITS, porosity=(0, 0.95), mean_diameter=(4, 400), diameter_spread=(0, 1.5), mineral_fraction=(-1, 0.5),
            contrast=(0, 0.5), tube=(0, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class Sediment:
    """The structure of one slice, before any grey value.

    Attributes
    ----------
    grains : (S, S), number of the grain at each pixel, 0 for none.
    mineral : (S, S) bool, bright.
    wall : (S, S) depth into the wall of the tube in pixels, negative inside; None where there is no tube.
    airy : (S, S) bool, where pores were wide enough for air.
    diameter : mean grain diameter that was asked for.
    drawn : largest number of a grain when it was drawn.
    """

    grains: np.ndarray
    mineral: np.ndarray
    wall: np.ndarray | None
    airy: np.ndarray
    diameter: float
    drawn: int

    @property
    def mask(self) -> np.ndarray:
        """(S, S) uint8 labels."""
        mask = np.where(self.grains > 0, LABELS["grain"], LABELS["pore"]).astype(np.uint8)
        mask[self.mineral] = LABELS["mineral"]
        if self.wall is not None:
            mask[self.wall > 0] = LABELS["outside"]
        return mask


def build(rng: np.random.Generator, size: int, options: RocksOptions) -> Sediment:
    """Draw the structure of one slice."""
    diameter = draw(rng, options.mean_diameter)
    spread = draw(rng, options.diameter_spread)
    porosity = draw(rng, options.porosity)
    minerals = draw(rng, options.mineral_fraction)
    inside, wall = _tube(rng, size) if rng.random() < options.tube else (np.ones((size, size), bool), None)

    grains = _grains(rng, size, diameter, spread, porosity, inside)
    solid = grains > 0
    mineral = minerals_in(rng, grains, solid, minerals, diameter)
    airy = ndimage.binary_erosion(~solid & inside, iterations=2)
    return Sediment(grains, mineral, wall, airy, diameter, int(grains.max()))


def scene(rng: np.random.Generator, sediment: Sediment, options: RocksOptions) -> tuple[np.ndarray, Scan]:
    """Relative attenuation of every pixel, and the settings of the scan."""
    settings = options.scan or _believable_scan(rng)
    return _densities(rng, sediment, options), settings


def _tube(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inside of the tube and depth into its wall (pixels, below 0 inside); its circle crosses the tile."""
    radius = rng.uniform(0.6, 1.2) * max(size, 160)
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.5) * size
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    wall = np.hypot(y - (reach - radius) * np.sin(angle), x - (reach - radius) * np.cos(angle)) - radius
    return wall <= 0, wall


def _grains(
    rng: np.random.Generator, size: int, diameter: float, spread: float, porosity: float, inside: np.ndarray
) -> np.ndarray:
    """Grain number of each pixel, 0 for pore; different grains never touch by an edge, and each is in one piece."""
    dense = 0.82  # packed this densely, then shrunk to the porosity; the discs start larger to allow for it
    diameter = 1.07 * diameter * np.sqrt(dense / (1 - porosity))
    side = size + 5 * diameter
    log_spread = np.sqrt(np.log1p(spread**2))
    count = max(4, round(dense * side**2 / (np.pi / 4 * diameter**2 * (1 + spread**2))))
    diameters = diameter * np.clip(rng.lognormal(-(log_spread**2) / 2, log_spread, count), 0.3, 3.0)
    centres = pack_discs(rng, diameters, side, steps=120) - 2.5 * diameter
    # two scales of bending turn straight facets into rough edges
    y, x = np.mgrid[:size, :size].astype(np.float64)
    for sigma, amount in ((0.22 * diameter, 0.035 * diameter), (1.6, 0.6)):
        y += amount * smooth_noise(rng, size, sigma)
        x += amount * smooth_noise(rng, size, sigma)
    gauge, owner = np.full((size, size), np.inf), np.zeros((size, size), int)
    for k, (centre, d) in enumerate(zip(centres, diameters), start=1):
        _stamp(rng, gauge, owner, y, x, centre, d, k)
    owner[_contacts(owner)] = 0
    usable = inside & (owner > 0)
    wanted = (1 - porosity) * inside.sum()
    order = np.sort(gauge[usable])
    if len(order):
        level = order[min(len(order) - 1, int(wanted))]
        usable &= gauge <= level
    pieces = label(np.where(usable, owner, 0), background=0, connectivity=1)
    return _without_crumbs(pieces, min_area=6)


def _stamp(
    rng: np.random.Generator,
    gauge: np.ndarray,
    owner: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    centre: np.ndarray,
    diameter: float,
    k: int,
) -> None:
    """Draw one convex polygon: the gauge is 1 on its border; where two overlap the smaller gauge wins."""
    size = gauge.shape[0]
    reach = 1.4 * diameter
    y0, y1 = max(0, int(centre[0] - reach)), min(size, int(centre[0] + reach) + 1)
    x0, x1 = max(0, int(centre[1] - reach)), min(size, int(centre[1] + reach) + 1)
    n_sides = rng.integers(4, 8)
    angles = (np.arange(n_sides) + rng.uniform(-0.32, 0.32, n_sides)) * 2 * np.pi / n_sides + rng.uniform(0, 2 * np.pi)
    supports = rng.uniform(0.7, 1.12, n_sides) * diameter / 2
    stretch, turn = rng.uniform(1.0, 1.9), rng.uniform(0, np.pi)
    if y0 >= y1 or x0 >= x1:
        return
    dy, dx = y[y0:y1, x0:x1] - centre[0], x[y0:y1, x0:x1] - centre[1]
    along = (dx * np.cos(turn) + dy * np.sin(turn)) / np.sqrt(stretch)
    across = (-dx * np.sin(turn) + dy * np.cos(turn)) * np.sqrt(stretch)
    height = np.full(along.shape, -np.inf)
    for angle, support in zip(angles, supports):
        np.maximum(height, (along * np.cos(angle) + across * np.sin(angle)) / support, out=height)
    nearer = height < gauge[y0:y1, x0:x1]
    gauge[y0:y1, x0:x1][nearer] = height[nearer]
    owner[y0:y1, x0:x1][nearer] = k


def _contacts(owner: np.ndarray) -> np.ndarray:
    """Pixels whose lower or right neighbour belongs to another grain: one side of every contact."""
    edge = np.zeros(owner.shape, bool)
    edge[:-1] |= owner[:-1] != owner[1:]
    edge[:, :-1] |= owner[:, :-1] != owner[:, 1:]
    return edge


def _without_crumbs(pieces: np.ndarray, min_area: int) -> np.ndarray:
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    keep = np.flatnonzero(areas >= min_area)
    number = np.zeros(len(areas), int)
    number[keep] = np.arange(1, len(keep) + 1)
    return number[pieces]


def minerals_in(
    rng: np.random.Generator, grains: np.ndarray, solid: np.ndarray, fraction: float, diameter: float
) -> np.ndarray:
    """Bright minerals: most of a few heavy grains, and some specks elsewhere; their share is exact."""
    count = int(fraction * solid.sum())
    if count <= 0:
        return np.zeros_like(solid)
    areas = np.bincount(grains.ravel())
    order = 1 + rng.permutation(len(areas) - 1)
    order = order[areas[order] < 0.6 * diameter**2]  # dense minerals come as small grains
    heavy = np.zeros(len(areas), bool)
    heavy[order[np.cumsum(areas[order]) - areas[order] < 0.95 * count]] = True
    speck = smooth_noise(rng, grains.shape[0], rng.uniform(0.06, 0.1) * diameter) + 6.0 * heavy[grains]
    return solid & (speck >= np.sort(speck[solid])[-count])


def _densities(rng: np.random.Generator, sediment: Sediment, options: RocksOptions) -> np.ndarray:
    grains, wall = sediment.grains, sediment.wall
    size = grains.shape[0]
    n = sediment.drawn + 1
    pore = rng.uniform(0.36, 0.43)
    grain = pore + draw(rng, options.contrast)
    coarse, fine = smooth_noise(rng, size, 4.0), smooth_noise(rng, size, 1.4)
    level = rng.normal(grain, 0.012, n)
    weathered = rng.random(n) < 0.3
    amount = np.where(weathered, rng.uniform(0.012, 0.03, n), rng.uniform(0.0, 0.006, n))
    image = pore + 0.01 * coarse
    texture = level[grains] + amount[grains] * (0.6 * coarse + fine)
    # cleavage: thin dark lines along one direction in weathered grains
    lines = np.abs(smooth_noise(rng, size, 2.5, 3.0, rng.uniform(0, np.pi))) < 0.05
    texture -= 0.06 * (lines & weathered[grains])
    image = np.where(grains > 0, texture, image)
    air = sediment.airy & (grains == 0) & (smooth_noise(rng, size, 6) > 2.2)
    if options.bubbles:
        image[air] = 0.2
    image[sediment.mineral] = rng.uniform(0.7, 0.95)
    if wall is not None:
        thickness = rng.uniform(10, 30)
        image = np.where(wall > 0, pore + 0.05 + 0.02 * coarse, image)
        image = np.where(wall > thickness, rng.uniform(0.2, 0.32), image)
    return image


def _believable_scan(rng: np.random.Generator) -> Scan:
    far, angle = rng.uniform(0.0, 1.5) * 256, rng.uniform(0, 2 * np.pi)
    return Scan(
        n_angles=int(rng.integers(220, 361)),
        photons=float(np.exp(rng.uniform(np.log(6e4), np.log(4e5)))),
        attenuation=0.003,
        sample_diameter=900.0,
        elongation=float(rng.uniform(0.0, 1.0)),
        elongation_angle=float(rng.uniform(0, np.pi)),
        gain_std=float(rng.uniform(0.0006, 0.002)),
        phase=float(rng.uniform(2.0, 6.0)),
        blur=float(rng.uniform(0.4, 0.7)),
        axis=(far * np.sin(angle), far * np.cos(angle)),
        filter_name="hann",
        cutoff=float(rng.uniform(0.8, 1.0)),
    )


def measure(sediment: Sediment) -> dict[str, float]:
    """Properties from the labels; diameters of the grains wholly inside the tile."""
    grains, mask = sediment.grains, sediment.mask
    size = mask.shape[0]
    inside = (mask != LABELS["outside"]).sum()
    solid = (grains > 0).sum()
    table = regionprops_table(grains, properties=("equivalent_diameter_area", "bbox"))
    whole = (table["bbox-0"] > 0) & (table["bbox-1"] > 0) & (table["bbox-2"] < size) & (table["bbox-3"] < size)
    diameters_of_all = table["equivalent_diameter_area"]
    diameters = diameters_of_all[whole] if whole.any() else diameters_of_all
    return {
        "porosity": float((mask == LABELS["pore"]).sum() / max(inside, 1)),
        "n_grains": len(diameters_of_all),
        "mean_grain_diameter_px": float(diameters.mean()) if len(diameters) else 0.0,
        "std_grain_diameter_px": float(diameters.std()) if len(diameters) else 0.0,
        "mineral_fraction": float((mask == LABELS["mineral"]).sum() / max(solid, 1)),
        "outside_fraction": float((mask == LABELS["outside"]).mean()),
    }
