"""Kernels between features of tiles, several of which may be of one slice: pairs of these say nothing, and do not count."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.stats.groups import one_group, units


class Tiles(NamedTuple):
    """Features (N, D), and the slice of each."""

    features: NDArray[Any]
    groups: NDArray[Any]


def kernels_of(real: Tiles, synth: Tiles, phase: Tiles, of_real: bool) -> tuple[NDArray[Any], ...]:
    """Kernel matrices of the KID for real images x, synthetic ones y and random-phase ones p: xx, yy, xy, pp, xp.

    NaN between tiles of one slice. If all real images are of one slice, each counts by itself, and so do synthetic ones.
    Random-phase images may be made of the real ones (`of_real`).
    """
    from veridical.metrics.distribution import kernel

    (x, groups), (y, synth_groups), (p, phases) = real, synth, phase
    gx, gy, gp = units(groups), units(synth_groups), units(phases)
    xp = kernel(x, p, groups, phases) if of_real and not one_group(phases) else kernel(x, p)
    return kernel(x, x, gx, gx), kernel(y, y, gy, gy), kernel(x, y), kernel(p, p, gp, gp), xp


def kid_between(real: Tiles, others: Tiles, named: bool) -> float | None:
    """KID between real and other real images, by pairs of different slices where these are `named` in both; None where the
    others are of one other slice."""
    from veridical.metrics.distribution import kernel, mmd2

    (x, mine), (z, theirs) = real, others
    if min(len(x), len(z)) < 2:
        return None
    same = one_group(mine, theirs)
    gx, gz = units(mine), units(theirs) if same else theirs
    across = kernel(x, z, mine, theirs) if named and not same else kernel(x, z)
    found = mmd2(kernel(x, x, gx, gx), kernel(z, z, gz, gz), across)
    return found if np.isfinite(found) else None
