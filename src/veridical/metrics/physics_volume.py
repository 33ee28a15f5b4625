"""Geometry of two-phase volumes along their axes: two-point function, lineal path, chords, Euler characteristic.

A mask is a boolean array whose last axes are those of space, lengths are in voxels. Images (N, H, W) are measured likewise along
their last axes: sections beside a volume.
"""

from itertools import product

import numpy as np

from veridical.core.arrays import check_array


def two_point(mask: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """Probability that two voxels at distances 0 ... `reach` along an axis both lie in the phase (Torquato 2002, section 2.2)."""
    lines = _lines(mask, axis)
    length = lines.shape[1]
    return np.array([(lines[:, lag:] & lines[:, : length - lag]).mean() for lag in range(reach + 1)])


def lineal_path(mask: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """Probability that a line of 1 ... `reach` voxels along an axis lies in the phase as a whole (Torquato 2002, section 2.4)."""
    run = lines = _lines(mask, axis)
    found = []
    for _ in range(reach):
        found.append(run.mean())
        run = run[:, 1:] & lines[:, : run.shape[1] - 1]
    return np.array(found)


def mean_chord(mask: np.ndarray, axis: int) -> float:
    """Mean chord of the phase along an axis: twice its share over the share of neighbours that differ (Underwood 1970)."""
    lines = _lines(mask, axis)
    crossed = (lines[:, 1:] ^ lines[:, :-1]).mean()
    return float(2 * lines.mean() / crossed) if crossed else float(lines.shape[1])


def euler_density(mask: np.ndarray, periodic: bool = False) -> float:
    """Euler characteristic of the phase a voxel of (D, H, W): parts less tunnels plus closed pores.

    Voxels belong together where they share a face (`skimage.measure.euler_number`). What the volume cuts through is not counted
    as whole: three adjacent faces are taken away (Ohser and Mücklich 2000, Statistical Analysis of Microstructures). Gaps and
    necks of less than a voxel are not seen: compare volumes of equal voxels.

    Parameters
    ----------
    mask : (D, H, W)
    periodic : whether the volume goes on at the opposite face.
    """
    from skimage.measure import euler_number

    mask = check_array(mask, "mask", "(D, H, W)").astype(bool)
    cells = mask.size if periodic else np.prod([side - 1 for side in mask.shape])
    if periodic:
        mask = np.pad(mask, (0, 1), mode="wrap")
    total = 0
    sides: tuple[slice | int, slice | int] = (slice(None), -1)
    for ends in product(sides, repeat=3):
        part = mask[tuple(ends)]
        found = euler_number(part, 1) if part.ndim > 1 else _parts(np.atleast_1d(part))
        total += (-1) ** (3 - part.ndim) * found
    return float(total / cells)


def _parts(line: np.ndarray) -> int:
    return int(line[0]) + int((line[1:] & ~line[:-1]).sum())


def _lines(mask: np.ndarray, axis: int) -> np.ndarray:
    mask = np.moveaxis(np.asarray(mask, bool), axis, -1)
    return mask.reshape(-1, mask.shape[-1])
