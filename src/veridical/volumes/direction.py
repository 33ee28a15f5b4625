"""Whether sections have a direction that an isotropic body has not: a test of their power along all directions."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats

ALARM = 0.01  # chance to be sure of more than is tolerated where there is no more, over all rings and foldings
TOLERATED = 2.0  # times more power along some directions: bodies are isotropic by and large
RINGS = (1, 2, 4, 8, 16, 32, 64, 128)  # edges of rings of frequencies, in waves a tile
FINEST = 0.35  # waves a pixel: what is finer is the grid of pixels and the scanner
SEEN = 0.02  # share of the variance in a ring below which its directions do not count
FOLDS = (2, 4)  # along against across, and two crossed directions against those between them
FEWEST = 4.0  # independent tiles, with which nothing can be told
RELATED = 0.05  # correlation of tiles at one place of neighbouring slices that counts


class Direction(NamedTuple):
    """What sections say of directions.

    Attributes
    ----------
    ratio : float
        How many times more power there is along some directions than along others at equal frequency, in the ring and folding
        that are most certain; at least 1.
    p : float
        Chance of so much where the ratio is `TOLERATED`, over all rings and foldings.
    tiles : int
    independent : float
        How many tiles that know nothing of each other say as much.
    tellable : float
        Ratio from which on so many tiles tell, at the chance `ALARM`; inf where nothing can be told.
    """

    ratio: float
    p: float
    tiles: int
    independent: float
    tellable: float


def direction_of(tiles: np.ndarray, places: np.ndarray) -> Direction:
    """Test sections for a direction.

    Of each tile, in a round window, the power P in a ring of frequencies has the moments ``sum(P * exp(i f angle)) / sum(P)``,
    whose mean over an isotropic material is 0 (on the grid of frequencies: that of the radial mean of P). Hotelling's T² tells
    whether it is larger than that of the ratio `TOLERATED`, with as many independent tiles as there are: fewer where tiles of a
    slice, or at one place of neighbouring slices, go together. Chances are Bonferroni's of all rings and foldings.

    Parameters
    ----------
    tiles : ndarray, shape (N, S, S)
        As they are in the images, not turned.
    places : ndarray, shape (N, 3)
        Slice, top, left of each.
    """
    moments = _moments(tiles)
    n, tests = moments.shape[:2]
    mean = moments.mean(0)
    rest = moments - mean
    independent = n / _inflation(rest, places)
    sure = independent > FEWEST
    if not sure.any():
        return Direction(1.0, 1.0, n, float(independent.min(initial=n)), np.inf)
    spread = np.einsum("ntj,ntk->tjk", rest, rest) / n + 1e-12 * np.eye(2)
    # Hotelling 1931: T² of two numbers, as F; not central at the ratio that is tolerated. The spread of n tiles is that of so
    # many independent ones, but for their mean.
    free = np.where(sure, independent, FEWEST) - 2
    variance = np.trace(spread, axis1=1, axis2=2) / 2
    beside = (free + 1) * (_amplitude(TOLERATED) / 2) ** 2 / variance
    squared = (free + 1) * np.einsum("tj,tjk,tk->t", mean, np.linalg.inv(spread), mean)
    scale = free / (2 * (free + 1))
    chances = np.where(sure, stats.ncf.sf(scale * squared, 2, free, beside) * tests, 1.0)
    least = 2 * np.sqrt(stats.ncf.isf(ALARM / tests, 2, free, beside) / scale / (free + 1) * variance)[sure].min()
    found = int(chances.argmin())
    ratio, tellable = _ratio(2 * np.hypot(*mean[found])), np.inf if least >= 1 else _ratio(least)
    return Direction(ratio, min(1.0, float(chances[found])), n, float(independent[found]), tellable)


def _ratio(amplitude: float) -> float:
    """Of the most to the least of ``1 + amplitude * cos(f * angle)``, 19 at most."""
    bounded = min(float(amplitude), 0.9)
    return (1 + bounded) / (1 - bounded)


def _amplitude(ratio: float) -> float:
    """Inverse of `_ratio`."""
    return (ratio - 1) / (ratio + 1)


def _moments(tiles: np.ndarray) -> np.ndarray:
    """Moments (N, T, 2) of tiles in every ring and folding that is seen."""
    size = tiles.shape[-1]
    place = np.arange(size) - (size - 1) / 2
    distance = np.hypot(place[:, None], place)
    window = np.where(distance < size / 2, np.cos(np.pi * distance / size) ** 2, 0)
    power = np.concatenate([_power(part, window) for part in np.array_split(tiles, -(-len(tiles) // 32))])
    wave = np.fft.fftfreq(size) * size
    radius, angle = np.hypot(wave[:, None], wave), np.arctan2(wave[:, None], wave)
    shell, mean = np.rint(radius).astype(int), power.mean(0)
    radial = (np.bincount(shell.ravel(), mean.ravel()) / np.bincount(shell.ravel()))[shell]
    found = []
    for low, high in pairwise(RINGS):
        ring = (radius >= low) & (radius < min(high, FINEST * size))
        if ring.sum() < 8 or mean[ring].sum() < SEEN * mean.sum():
            continue
        for fold in FOLDS:
            turn = np.exp(1j * fold * angle[ring])
            moment = power[:, ring] @ turn / power[:, ring].sum(1).clip(min=1e-300)
            moment -= radial[ring] @ turn / radial[ring].sum()
            found.append(np.stack([moment.real, moment.imag], 1))
    return np.stack(found, 1) if found else np.empty((len(tiles), 0, 2))


def _power(tiles: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Power spectra (N, S, S) of a few tiles in a window, in single precision: those of a thousand large ones fill memory."""
    level = (tiles * window).sum((1, 2), keepdims=True) / window.sum()
    return (np.abs(np.fft.fft2((tiles - level) * window)) ** 2).astype(np.float32)


def _inflation(rest: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How many times the variance of the mean of tiles (N, T, 2) is that of independent ones (T,).

    It is ``1 + 2 / N * sum of correlations`` over pairs. Tiles of a slice have one correlation, if it is positive; those at one
    place of slices k apart another, from k = 1 up to the first that is not `RELATED`.
    """
    n, tests = rest.shape[:2]
    units = rest / np.sqrt((rest**2).sum(2).mean(0)).clip(min=1e-12)[:, None]  # mean squared length 1
    slices = np.unique(places[:, 0], return_inverse=True)[1]
    sums = np.zeros((slices.max() + 1, tests, 2))
    np.add.at(sums, slices, units)
    total = 1 + ((sums**2).sum((0, 2)) / n - 1).clip(min=0)
    by_place: dict[tuple[int, int], dict[int, int]] = {}
    for row, (index, top, left) in enumerate(places.tolist()):
        by_place.setdefault((top, left), {})[index] = row
    related = np.ones(tests, bool)
    for apart in range(1, int(np.ptp(places[:, 0])) + 1):
        pairs = [(a, rows[z + apart]) for rows in by_place.values() for z, a in rows.items() if z + apart in rows]
        if not pairs:
            break
        first, second = np.array(pairs).T
        products = (units[first] * units[second]).sum(2)
        related &= products.mean(0) > RELATED
        if not related.any():
            break
        total += np.where(related, 2 / n * products.sum(0), 0)
    return total
