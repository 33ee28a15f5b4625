"""Ceramic-matrix-composite tows in cross-section: packed fibres, dark matrix, a binder with a curved border, cracks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from veridical.phantoms.packing import Range, check, draw, pack_discs, smooth_noise
from veridical.phantoms.tomography import Scan

LABELS = {"matrix": 0, "fibre": 1, "binder": 2, "crack": 3}
TRAITS: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "cracks": lambda p: p["n_cracks"] > 0,
    "binder": lambda p: p["binder_fraction"] > 0,
    "dense": lambda p: p["fibre_volume_fraction"] >= 0.57,
    "thick": lambda p: p["mean_diameter_px"] >= 13,
}
"""What `CmcOptions.withhold` may name."""

GAP = 1.0  # least matrix between two fibres, in pixels: every fibre is its own connected component of the mask

Border = Callable[[np.ndarray], np.ndarray]
"""From points (N, 2) to how far each lies beyond a line."""


@dataclass(frozen=True)
class CmcOptions:
    """What to draw; a number is taken as it is, a (low, high) pair is drawn from evenly.

    Attributes
    ----------
    volume_fraction : fibre area over tow area (the tile without its binder); above 0.64 it may fall
        short, the more so for thin fibres and beside cracks.
    mean_diameter, diameter_spread : mean fibre diameter in pixels, and its standard deviation over the mean.
    binder : probability that a binder region with a curved border enters the tile.
    cracks : number of cracks (drawn value is rounded).
    scan : microscope settings; None draws believable ones for each image.
    withhold : a combination that is never drawn, such as "cracks+binder": names from `TRAITS`, "no_" before one denies it.
    """

    volume_fraction: Range = (0.5, 0.64)
    mean_diameter: Range = (10.0, 14.0)
    diameter_spread: Range = (0.1, 0.18)
    binder: float = 0.45
    cracks: Range = (-1.5, 2.4)
    scan: Scan | None = None
    withhold: str = ""

    def __post_init__(self) -> None:
        check(
            self, TRAITS, volume_fraction=(0.05, 0.8), mean_diameter=(4, 200), diameter_spread=(0, 0.3), cracks=(-10, 20),
            binder=(0, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class Tow:
    """The structure of one slice, before any grey value.

    Attributes
    ----------
    mask : (S, S) uint8 labels.
    binder : (S, S) bool, where binder would be without the fibres.
    owner : (S, S), index of the fibre that covers each pixel, -1 for none.
    centres, diameters : (N, 2) and (N,) of the fibres, in pixels; some may not be shown.
    crack_lengths : of the cracks that are seen, in pixels.
    diameter : mean fibre diameter that was asked for.
    drawn : number of fibres that brought grey values of their own; those added later share them.
    """

    mask: np.ndarray
    binder: np.ndarray
    owner: np.ndarray
    centres: np.ndarray
    diameters: np.ndarray
    crack_lengths: tuple[float, ...]
    diameter: float
    drawn: int


def build(rng: np.random.Generator, size: int, options: CmcOptions) -> Tow:
    """Draw the structure of one slice."""
    diameter = draw(rng, options.mean_diameter)
    fraction = draw(rng, options.volume_fraction)
    spread = draw(rng, options.diameter_spread)
    n_cracks = max(0, round(draw(rng, options.cracks)))

    centres, diameters = _fibres(rng, size, diameter, spread, fraction)
    border = draw_border(rng, size) if rng.random() < options.binder else None
    cracks = [_crack(rng, size, diameter) for _ in range(n_cracks)]
    binder, keep = place_binder(rng, size, border, centres, diameters)
    for path, width in cracks:
        keep &= cKDTree(path).query(centres)[0] > 0.2 * diameters + width / 2
    centres = centres[keep]
    diameters = _trim(centres, diameters[keep])
    owner = owners(size, centres, diameters)
    owner = _thin(owner, _thin_order(rng, centres, border, size, diameter), fraction, binder)

    mask = np.where(binder, LABELS["binder"], LABELS["matrix"]).astype(np.uint8)
    mask[owner >= 0] = LABELS["fibre"]
    lengths = [_open_crack(mask, binder, path, width / 2 + 0.25 * diameter) for path, width in cracks]
    seen = tuple(length for length in lengths if length is not None)
    return Tow(mask, binder, owner, centres, diameters, seen, diameter, len(centres))


def scene(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> tuple[np.ndarray, Scan]:
    """Relative attenuation of every pixel, and the settings of the scan."""
    densities = _densities(rng, tow)
    return densities, options.scan or _believable_scan(rng)


def _fibres(
    rng: np.random.Generator, size: int, diameter: float, spread: float, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and diameters of a packing somewhat denser than asked for, over a field wider than the tile."""
    side = size + 4 * diameter
    dense = min(fraction + 0.04, 0.71)
    count = max(2, round(dense * side**2 / (np.pi / 4 * diameter**2 * (1 + spread**2))))
    diameters = diameter * np.clip(rng.normal(1, spread, count), 0.45, 1.6)
    apart = diameters + GAP
    apart *= max(1.0, side * np.sqrt(rng.uniform(0.6, 0.8) / (np.pi / 4 * (apart**2).sum())))  # even or clustered
    return pack_discs(rng, apart, side, steps=120) - 2 * diameter, diameters


def draw_border(rng: np.random.Generator, size: int) -> Border:
    """A wavy line across the tile, as a function of points (N, 2): how far each lies beyond it, in the binder."""
    angle = rng.uniform(0, 2 * np.pi)
    normal, along = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    offset = rng.uniform(0.0, 0.38) * size
    waves = rng.uniform(0.5, 1.0, 3) * np.array([0.09, 0.035, 0.012]) * max(size, 128)
    lengths = rng.uniform(0.7, 1.3, 3) * np.array([1.6, 0.6, 0.25]) * max(size, 128)
    phases = rng.uniform(0, 2 * np.pi, 3)

    def beyond(points: np.ndarray) -> np.ndarray:
        centred = points - (size - 1) / 2
        run = centred @ along
        line = sum(a * np.sin(2 * np.pi * run / w + p) for a, w, p in zip(waves, lengths, phases))
        return centred @ normal - offset - line

    return beyond


def place_binder(
    rng: np.random.Generator, size: int, border: Border | None, centres: np.ndarray, diameters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The binder's pixels (S, S), and which fibres stay: none inside it, some at its edge drowned in it."""
    if border is None:
        return np.zeros((size, size), bool), np.ones(len(centres), bool)
    pixels = np.moveaxis(np.mgrid[:size, :size], 0, -1).reshape(-1, 2)
    binder = border(pixels).reshape(size, size) > 0
    outward = border(centres) / diameters
    drowned = (outward > -0.4) & (outward < 0.25) & (rng.random(len(centres)) < 0.2)
    binder |= owners(size, centres[drowned], diameters[drowned]) >= 0
    return binder, (outward < 0.25) & ~drowned


def _crack(rng: np.random.Generator, size: int, diameter: float) -> tuple[np.ndarray, float]:
    """A jagged path through the tile (points a pixel apart) and its width."""
    heading = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(0.3, 1.1) * max(size, 96)
    start = rng.uniform(0.15, 0.85, 2) * size - 0.5 * length * np.array([np.sin(heading), np.cos(heading)])
    turns = ndimage.gaussian_filter1d(rng.normal(0, 1.6, int(length)), diameter * 0.4)
    headings = heading + turns
    path = start + np.cumsum(np.stack([np.sin(headings), np.cos(headings)], 1), 0)
    return path, rng.uniform(0.1, 0.35) * diameter


def _open_crack(mask: np.ndarray, binder: np.ndarray, path: np.ndarray, reach: float) -> float | None:
    """Label the matrix within reach of a path as crack; the fibres on both sides make its outline.

    Returns the length of the path in the tow inside the tile, or None when nothing of the crack is seen.
    """
    size = mask.shape[0]
    margin = int(reach) + 2
    index = path.round().astype(int) + margin
    index = index[((index >= 0) & (index < size + 2 * margin)).all(1)]
    if not len(index):
        return None
    away = np.ones((size + 2 * margin,) * 2, bool)
    away[tuple(index.T)] = False
    near = ndimage.distance_transform_edt(away)[margin:-margin, margin:-margin] <= reach
    crack = near & (mask == LABELS["matrix"])
    if not crack.any():
        return None
    mask[crack] = LABELS["crack"]
    inside = ((path >= 0) & (path <= size - 1)).all(1)
    inside &= ~binder[tuple(np.clip(path.round().astype(int), 0, size - 1).T)]
    return float(np.hypot(*np.diff(path, axis=0).T)[inside[1:]].sum())


def _trim(centres: np.ndarray, diameters: np.ndarray) -> np.ndarray:
    """Diameters with which no two fibres come nearer than `GAP`."""
    shrink = np.zeros(len(diameters))
    if len(diameters) > 1:
        i, j = cKDTree(centres).query_pairs(diameters.max() + GAP, output_type="ndarray").T
        spare = np.hypot(*(centres[i] - centres[j]).T) - (diameters[i] + diameters[j]) / 2 - GAP
        np.minimum.at(shrink, i, spare)
        np.minimum.at(shrink, j, spare)
    return diameters + shrink


def owners(size: int, centres: np.ndarray, diameters: np.ndarray) -> np.ndarray:
    """Index of the fibre that covers each pixel, -1 for none; (S, S)."""
    pixels = np.moveaxis(np.mgrid[:size, :size], 0, -1)
    owner = np.full((size, size), -1)
    for k, ((y, x), r) in enumerate(zip(centres, diameters / 2)):
        y0, y1, x0, x1 = max(0, int(y - r)), min(size, int(y + r) + 2), max(0, int(x - r)), min(size, int(x + r) + 2)
        if y0 < y1 and x0 < x1:
            inside = ((pixels[y0:y1, x0:x1] - (y, x)) ** 2).sum(-1) <= r * r
            owner[y0:y1, x0:x1][inside] = k
    return owner


def _thin_order(
    rng: np.random.Generator, centres: np.ndarray, border: Border | None, size: int, diameter: float
) -> np.ndarray:
    """In which order fibres go missing: in clusters, and sooner near the binder."""
    clusters = smooth_noise(rng, size, 0.8 * diameter)
    index = np.clip(centres.round().astype(int), 0, size - 1)
    order = clusters[tuple(index.T)] + rng.normal(0, 0.7, len(centres))
    if border is not None:
        beyond = border(centres) / diameter
        order += 2.0 * np.exp(-((beyond / 3) ** 2)) * (beyond < -0.6)
    return order


def _thin(owner: np.ndarray, order: np.ndarray, fraction: float, binder: np.ndarray) -> np.ndarray:
    """Take fibres out until their share of the tow is as asked for."""
    fibre = owner >= 0
    tow = (fibre | ~binder).sum()
    areas = np.bincount(owner[fibre], minlength=len(order))
    excess = fibre.sum() - fraction * tow
    gone = []
    for k in np.argsort(-order):
        if areas[k] and excess > areas[k] / 2:
            excess -= areas[k]
            gone.append(k)
    return np.where(np.isin(owner, gone), -1, owner)


def _densities(rng: np.random.Generator, tow: Tow) -> np.ndarray:
    size = tow.mask.shape[0]
    matrix, fibre = rng.uniform(0.3, 0.36), rng.uniform(0.66, 0.72)
    image = np.full((size, size), matrix) + 0.008 * smooth_noise(rng, size, 6)
    image[tow.mask == LABELS["binder"]] = rng.uniform(0.54, 0.6)
    image[tow.mask == LABELS["crack"]] = rng.uniform(0.1, 0.18)
    levels = np.resize(np.append(rng.normal(fibre, 0.012, tow.drawn), fibre), len(tow.centres) + 1)
    return np.where(tow.owner >= 0, levels[tow.owner], image)


def _believable_scan(rng: np.random.Generator) -> Scan:
    far, angle = rng.uniform(0.3, 3.0) * 256, rng.uniform(0, 2 * np.pi)
    return Scan(
        n_angles=300,
        photons=float(np.exp(rng.uniform(np.log(4e4), np.log(2.5e5)))),
        attenuation=0.003,
        sample_diameter=900.0,
        elongation=float(rng.uniform(0.3, 2.0)),
        elongation_angle=float(rng.uniform(0, np.pi)),
        gain_std=float(rng.uniform(0.0005, 0.0015)),
        phase=float(rng.uniform(2.0, 5.0)),
        blur=float(rng.uniform(0.5, 0.7)),
        axis=(far * np.sin(angle), far * np.cos(angle)),
        filter_name="hann",
        cutoff=float(rng.uniform(0.75, 1.0)),
    )


def measure(tow: Tow) -> dict[str, float]:
    """Properties from the mask, and from the true circles for the fibres wholly inside the tile."""
    mask, owner = tow.mask, tow.owner
    shown = np.unique(owner[owner >= 0])
    c, d = tow.centres[shown], tow.diameters[shown]
    whole = ((c - d[:, None] / 2 >= 0) & (c + d[:, None] / 2 <= len(mask) - 1)).all(1)
    d = d[whole] if whole.any() else d
    matrix_side = (mask != LABELS["binder"]).sum()
    return {
        "fibre_volume_fraction": float((mask == LABELS["fibre"]).sum() / max(matrix_side, 1)),
        "n_fibres": len(shown),
        "mean_diameter_px": float(d.mean()) if len(d) else 0.0,
        "std_diameter_px": float(d.std()) if len(d) else 0.0,
        "binder_fraction": float((mask == LABELS["binder"]).mean()),
        "n_cracks": len(tow.crack_lengths),
        "crack_length_px": float(sum(tow.crack_lengths)),
        "crack_fraction": float((mask == LABELS["crack"]).mean()),
    }
