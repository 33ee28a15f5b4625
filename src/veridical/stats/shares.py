"""Limits of shares, which lie between 0 and 1 and are skewed near the ends."""

import numpy as np


def wilson(value: float, se: float, quantile: float, bounds: tuple[float, float] = (0, 1)) -> tuple[float, float]:
    """Wilson's limits of a share with a standard error, or of any mean between two bounds.

    Parameters
    ----------
    value, se : the share and its standard error
    quantile : of Student's t, or of the normal distribution
    bounds : what takes the place of 0 and 1

    Notes
    -----
    The score interval (Wilson 1927) with the number of rows that the variance amounts to, value (1 - value) / se^2, and t in
    place of the normal quantile, for shares in clusters (Korn and Graubard 1998, Survey Methodology 24, 193; Franco et al. 2019,
    doi:10.1093/jssam/smy019).
    """
    width = bounds[1] - bounds[0]
    share, variance = (value - bounds[0]) / width, (se / width) ** 2
    spread = share * (1 - share)
    if variance <= 0 or spread <= 0:
        return value - quantile * se, value + quantile * se
    reach = quantile**2 * variance / spread  # squared quantile over the number of rows
    centre = (share + reach / 2) / (1 + reach)
    half = np.sqrt(reach * spread + reach**2 / 4) / (1 + reach)
    return float(bounds[0] + width * (centre - half)), float(bounds[0] + width * (centre + half))


def exact_bound(value: float, bounds: tuple[float, float], units: int, level: float) -> tuple[float, float]:
    """Limits of Clopper and Pearson (1934) for 0 or all of `units`: nothing seen in 20 images is not nothing at all."""
    reach = (bounds[1] - bounds[0]) * (1 - ((1 - level) / 2) ** (1 / units))
    return (value, float(bounds[0] + reach)) if value == bounds[0] else (float(bounds[1] - reach), value)


def recovered(value: float, *limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of a value that varies for several independent reasons, from its limits for each: the distances add in squares.

    Zou and Donner 2008 (doi:10.1002/sim.3095), "method of variance estimates recovery": keeps the skewness of each.
    """
    down, up = np.sqrt(np.sum((np.array(limits) - value) ** 2, 0))
    return float(value - down), float(value + up)


def at_rank(ordered: np.ndarray, rank: float) -> float:
    """Value at a rank between 1 and n, in between by straight lines; below half a rank there is none: minus infinity."""
    if rank < 0.5:
        return -np.inf
    return float(np.interp(rank, np.arange(1, len(ordered) + 1), ordered))
