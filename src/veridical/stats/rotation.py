"""Rotation tests of two sets of few blocks: what blocks vary by is estimated, and several statistics are tested at once.

With few blocks there are too few ways to exchange them (`stats.permutation`). If block means are normally distributed, each with
the same mean and covariance (a random effect of the block, whatever its covariance between measurements), then their residuals
from the overall mean are as likely after any rotation as before, so that any statistic may be compared with its values on rotated
residuals: the test is exact with any number of measurements, and for one of them it is Student's t (Langsrud 2005,
doi:10.1007/s11222-005-4789-5).
"""

import numpy as np

from veridical.stats.permutation import SMALLEST_EFFECT

MODERATION = 4.0  # degrees of freedom that the usual variance of all measurements counts for


def contrasts(real: int, synth: int, most: int, seed: int = 0) -> np.ndarray:
    """Unit vectors orthogonal to the mean, (most, real + synth): the first is synthetic minus real blocks, the others are random.

    Real blocks come first. Whatever is rotated is the same as rotating what it is projected on.
    """
    total = real + synth
    observed = np.where(np.arange(total) < real, -1 / real, 1 / synth)
    draws = np.random.default_rng(seed).standard_normal((most - 1, total))
    found = np.concatenate([observed[None], draws - draws.mean(1, keepdims=True)])
    rotated: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return rotated


def moderated_t(means: np.ndarray, contrast: np.ndarray, smallest: float) -> np.ndarray:
    """Student's t of each contrast of block means, its variance drawn towards the usual one of all columns, (P, D).

    Parameters
    ----------
    means : (B, D), B > 2
        Of each block, all columns in alike units.
    contrast : (P, B), as from `contrasts`
    smallest : standard deviation that is added in squares: what is smaller is not of interest

    Notes
    -----
    With few degrees of freedom some of many columns vary little by chance and have a large t. So the variance is a weighted mean
    with the median over the columns, which counts as `MODERATION` degrees of freedom (as in Smyth 2004,
    doi:10.2202/1544-6115.1027). It is computed again after each rotation, which keeps the test exact.
    """
    centred = means - means.mean(0)
    along = contrast @ centred
    free = len(means) - 2
    rest = ((centred**2).sum(0) - along**2).clip(0) / free
    usual = np.median(rest, 1, keepdims=True)
    variance = (free * rest + MODERATION * usual) / (free + MODERATION)
    t: np.ndarray = along / np.sqrt(variance + smallest**2)
    return t


def smallest_contrast(real: int, synth: int) -> float:
    """What `SMALLEST_EFFECT` as a difference of means of so many blocks is along a unit contrast."""
    return float(SMALLEST_EFFECT / np.sqrt(1 / real + 1 / synth))
