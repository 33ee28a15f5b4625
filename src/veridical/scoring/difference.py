"""Is one system nearer to the real images than another? The difference of their distances, on the same real images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.metrics.distribution import mmd2
from veridical.scoring.sets import Sets
from veridical.stats.jackknife import Interval, jackknife


def headline_difference(one: Sets, other: Sets) -> Interval:
    """`kid_over_random_phase` of `other` less that of `one`: above 0 where `one` is nearer to the real images.

    What the real images share cancels, so that the interval is narrower than those of the two values let expect: two intervals
    may overlap where this one excludes 0. Slices of the real images are left out of both distances at once.

    Parameters
    ----------
    one, other : Sets
        Of the same real images and other real images.
    """
    xx, yy, xy, pp, xp = one.kernels
    _, zz, xz, _, _ = other.kernels
    _, phase, of_real = one.random_phase
    groups = [one.rows.real_groups, one.rows.synth_groups, other.rows.synth_groups, phase]
    if of_real:  # tiles and their surrogates are left out together
        groups = [np.concatenate([groups[0], phase]), groups[1], groups[2]]

    def ratio(*rows: NDArray[Any]) -> float:
        i, j, k = rows[:3]
        p = i[i >= len(xx)] - len(xx) if of_real else rows[3]
        i = i[i < len(xx)]
        real = xx[np.ix_(i, i)]
        mine, theirs = mmd2(real, yy[np.ix_(j, j)], xy[np.ix_(i, j)]), mmd2(real, zz[np.ix_(k, k)], xz[np.ix_(i, k)])
        return (theirs - mine) / mmd2(real, pp[np.ix_(p, p)], xp[np.ix_(i, p)])

    return jackknife(ratio, groups, kind="ratio")
