"""What the sets to score have in common: images that are in two of them, or twice in one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.metrics.same import numbered, simple
from veridical.stats.groups import joined

SAME = "equal, turned or saved anew"


class Common(NamedTuple):
    """What `in_common` finds.

    real_groups : (N,) labels of real images, those of the same image joined; None where every image is by itself
    floor : (F,) bool, which further real images are none of REAL's
    remarks : sentences about the sets
    """

    real_groups: NDArray[Any] | None
    floor: NDArray[Any]
    remarks: list[str]


def in_common(
    real: NDArray[Any], synth: NDArray[Any], floor: NDArray[Any] | None, real_groups: NDArray[Any] | None
) -> Common:
    """Find images that are the same (see `veridical.metrics.same`) within real and synthetic images, and between the sets.

    Parameters
    ----------
    real, synth, floor : (N, C, H, W), (M, C, H, W) and (F, C, H, W) in [0, 1], or no floor
    real_groups : (N,) labels, or None
    """
    n, m = len(real), len(synth)
    numbers = numbered(*([real, synth] if floor is None else [real, synth, floor]), exactly=simple(real))
    of_real, of_synth, of_floor = numbers[:n], numbers[n : n + m], numbers[n + m :]
    remarks = []
    if many := _twice(of_real):
        remarks.append(
            f"{many} of the {n} real images are the same as another one ({SAME}) and count as one group with it"
        )
        labels = np.arange(n) if real_groups is None else real_groups
        real_groups = joined(of_real, labels)
    if many := _twice(of_synth):
        remarks.append(f"{many} of the {m} synthetic images are equal to another one, or alike but for noise")
    if many := int(np.isin(of_synth, of_real).sum()):
        remarks.append(f"{many} of the {m} synthetic images are real images ({SAME})")
    new = ~np.isin(of_floor, of_real)
    if many := int((~new).sum()):
        remarks.append(
            f"{many} of the {len(new)} further real images for the floor are among REAL, too ({SAME}), and were left out"
        )
    return Common(real_groups, new, remarks)


def _twice(numbers: NDArray[Any]) -> int:
    """How many images have a number that another one has."""
    _, position, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return int((counts[position] > 1).sum())
