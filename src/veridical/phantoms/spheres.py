"""Overlapping spheres: volumes whose two-point function, surface and Euler characteristic are known in closed form.

Centres are points of a Poisson process, so that the spheres are a Boolean model (Stoyan, Kendall and Mecke 1995, chapter 3;
Torquato 2002, section 5.2). Volumes continue at their opposite faces.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from veridical.core.errors import InputError
from veridical.core.files import write_text
from veridical.core.limits import check_cost
from veridical.core.stack import write_stack

LABELS = {"pore": 0, "solid": 1}


@dataclass(frozen=True)
class SpheresOptions:
    """What to draw.

    Attributes
    ----------
    solid_fraction : share of the volume that is expected to lie in spheres.
    radius : of all spheres, in voxels.
    contrast : image value of solid above that of pores, which lie evenly about 0.5.
    blur, noise : standard deviations, in voxels and in image values, of what the scanner does.
    voxel_size : micrometres.
    """

    solid_fraction: float = 0.5
    radius: float = 8.0
    contrast: float = 0.4
    blur: float = 0.7
    noise: float = 0.03
    voxel_size: float = 1.0

    def __post_init__(self) -> None:
        limits = {"solid_fraction": (0.01, 0.95), "radius": (1, 200), "contrast": (0, 1), "blur": (0, 20), "noise": (0, 0.5),
                  "voxel_size": (1e-6, 1e6)}  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"phantom option {name}={getattr(self, name)} is out of range: it lies from {low} to {high}"
                )

    @property
    def reduced_density(self) -> float:
        """Expected number of spheres about a point, eta."""
        return float(-np.log(1 - self.solid_fraction))

    @property
    def density(self) -> float:
        """Expected number of centres a voxel."""
        return self.reduced_density / (4 / 3 * np.pi * self.radius**3)


@dataclass(frozen=True)
class Spheres:
    """A volume of overlapping spheres.

    Attributes
    ----------
    image : (S, S, S) float32 in [0, 1].
    mask : (S, S, S) uint8, 1 in spheres: `LABELS`.
    properties : measured, and as expected of an endless volume (``expected_``).
    """

    image: np.ndarray
    mask: np.ndarray
    properties: dict[str, float]


def two_point_function(distance: np.ndarray, options: SpheresOptions) -> np.ndarray:
    """Probability that two points at a distance, in voxels, both lie in pores (Torquato 2002, eqs. 5.18 and 5.22)."""
    x = np.minimum(np.asarray(distance, float) / options.radius, 2)
    return np.exp(-options.reduced_density * (1 + 3 / 4 * x - x**3 / 16))


def specific_surface(options: SpheresOptions) -> float:
    """Area of the boundary a unit of volume, 1 / voxel."""
    return float(3 / options.radius * options.reduced_density * np.exp(-options.reduced_density))


def euler_density(options: SpheresOptions) -> float:
    """Euler characteristic of the solid a voxel: parts less tunnels plus closed pores (Mecke and Wagner 1991)."""
    eta = options.reduced_density
    return float(options.density * np.exp(-eta) * (1 - 3 * eta + 3 * np.pi**2 / 32 * eta**2))


def draw_spheres(size: int, seed: int = 0, k: int = 0, options: SpheresOptions | None = None) -> Spheres:
    """Volume k of a seed, a cube.

    Parameters
    ----------
    size : side in voxels, at least twice the diameter of the spheres.
    seed, k : not negative.
    options : what to draw.

    Raises
    ------
    InputError : numbers out of range.
    """
    options = options or SpheresOptions()
    if size < 4 * options.radius or seed < 0 or k < 0:
        raise InputError(
            f"a volume of spheres of radius {options.radius:g} needs size >= {4 * options.radius:g} and seed >= 0, not "
            f"size={size}, seed={seed}"
        )
    check_cost(f"spheres of size {size}", nbytes=14 * size**3)
    rng = np.random.default_rng([seed, k])
    count = rng.poisson(options.density * size**3)
    mask = np.zeros((size,) * 3, np.uint8)
    reach = np.arange(-int(options.radius) - 1, int(options.radius) + 2)
    for centre in rng.uniform(0, size, (count, 3)):
        first = np.rint(centre).astype(int)
        z, y, x = (reach + at - exact for at, exact in zip(first, centre, strict=True))
        inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= options.radius**2
        mask[np.ix_(*((reach + at) % size for at in first))] |= inside
    grey = gaussian_filter(mask.astype(np.float32), options.blur, mode="wrap") - 0.5
    image = 0.5 + options.contrast * grey + options.noise * rng.standard_normal(mask.shape, np.float32)
    properties = {
        "solid_fraction": float(mask.mean()),
        "n_spheres": count,
        "radius_px": options.radius,
        "expected_solid_fraction": options.solid_fraction,
        "expected_specific_surface": specific_surface(options),
        "expected_euler_density": euler_density(options),
    }
    return Spheres(np.clip(image, 0, 1).astype(np.float32), mask, properties)


def write_spheres(
    folder: Path, n: int, size: int, seed: int = 0, options: SpheresOptions | None = None, bits: int = 16
) -> list[Path]:
    """Write volumes as ``spheres_K.tif`` and ``spheres_K_mask.tif`` (0 or 1), multi-page with voxel size, and ``properties.csv``.

    Returns
    -------
    Paths of the images.

    Raises
    ------
    InputError : numbers out of range.
    """
    options = options or SpheresOptions()
    if n < 1:
        raise InputError(f"a phantom set needs n >= 1, not n={n}")
    paths, rows = [], []
    for k in range(n):
        made = draw_spheres(size, seed, k, options)
        folder.mkdir(parents=True, exist_ok=True)
        levels = 2**bits - 1
        counts = np.round(made.image * levels).astype(np.uint16 if bits == 16 else np.uint8)
        paths.append(folder / f"spheres_{k}.tif")
        write_stack(paths[-1], counts, options.voxel_size)
        write_stack(folder / f"spheres_{k}_mask.tif", made.mask, options.voxel_size)
        rows.append({"file_name": paths[-1].name, **made.properties})
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    write_text(folder / "properties.csv", text.getvalue())
    return paths
