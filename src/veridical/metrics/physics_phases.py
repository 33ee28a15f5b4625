"""Geometry of two-phase images (masks): fractions, two-point correlation, chords, Minkowski functionals, granulometry.

A mask is a boolean array (H, W) or (N, H, W); lengths are in pixels.
"""

from collections.abc import Sequence

import numpy as np

from veridical.core.arrays import check_array

# Torquato 2002, Random Heterogeneous Materials, for the definitions of the two-point correlation and of chords.


def phase_fractions(labels: np.ndarray, classes: int) -> np.ndarray:
    """Share of the pixels of each class 0 ... classes - 1, (N, classes); pixels of other numbers (255) do not count."""
    labels = check_array(labels, "labels", "(N, H, W)")
    labels = labels.reshape(len(labels), -1)
    counts = np.stack([(labels == k).sum(1) for k in range(classes)], 1)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def two_point_correlation(masks: np.ndarray, reach: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probability that two points at a distance lie both in the phase.

    Parameters
    ----------
    masks : (H, W) or (N, H, W)
    reach : largest distance in pixels, less than the shorter side; half of it by default

    Returns
    -------
    distance : (reach + 1,) pixels, 0 ... reach
    s2 : (N, reach + 1) or (reach + 1,); the phase fraction at distance 0, its square far away

    Notes
    -----
    Not periodic and unbiased: at each lag the pairs that both lie in the image, over their number (Torquato 2002, section
    12.2), by FFT with padding. Lags are averaged over rings of one pixel; each lag, so each direction, counts alike.
    """
    from scipy.fft import fft, irfft, next_fast_len, rfft

    masks = check_array(masks, "masks", "(H, W)", "(N, H, W)").astype(bool)
    stack = masks[None] if masks.ndim == 2 else masks
    height, width = stack.shape[1:]
    reach = min(height, width) // 2 if reach is None else reach
    if not 0 <= reach < min(height, width):
        raise ValueError(
            f"reach must be at least 0 and less than the shorter side ({min(height, width)} pixels), got {reach}"
        )
    shape = next_fast_len(height + reach, real=True), next_fast_len(width + reach, real=True)
    # lags (dy, dx) and (-dy, -dx) are the same pair: half of the plane will do
    y, x = np.arange(reach + 1)[:, None], np.arange(-reach, reach + 1)
    ring = np.rint(np.hypot(y, x)).astype(int)
    pairs = ((height - y) * (width - np.abs(x))).astype(float)
    ring[(ring > reach) | ((y == 0) & (x < 0))] = reach + 1
    rings = ring.ravel()
    lags_of_ring = np.bincount(rings, minlength=reach + 1)[: reach + 1]
    found = np.empty((len(stack), reach + 1))
    for k, mask in enumerate(stack):
        spectrum = fft(rfft(mask.astype(np.float64), shape[1], axis=1), shape[0], axis=0, overwrite_x=True)
        # The power is real, so that the way back along the rows is the conjugate of a transform of real numbers.
        half = rfft(spectrum.real**2 + spectrum.imag**2, axis=0)[: reach + 1].conj()
        lags = irfft(half, shape[1], axis=1) / shape[0]
        near = np.concatenate([lags[:, -reach:], lags[:, : reach + 1]], 1)
        # Numbers of pairs are whole.
        s2 = np.rint(near, out=near)
        s2 /= pairs
        found[k] = np.bincount(rings, weights=s2.ravel())[: reach + 1] / lags_of_ring
    return np.arange(reach + 1.0), found[0] if masks.ndim == 2 else found


def chord_lengths(mask: np.ndarray, axis: int = 1) -> np.ndarray:
    """Lengths in pixels of all runs of true pixels along rows (`axis` 1) or columns (0) of (H, W).

    Runs that touch the border are cut off there and left out (Torquato 2002, section 2.5). Long runs touch it more often than
    short ones, so the mean of what is left is too small: take `mean_chord`.
    """
    lines = check_array(mask, "mask", "(H, W)").astype(bool)
    lines = lines if axis == 1 else lines.T
    steps = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    _, start = np.nonzero(steps == 1)
    _, stop = np.nonzero(steps == -1)
    inside = (start > 0) & (stop < lines.shape[1])
    return (stop - start)[inside]


def mean_chord(masks: np.ndarray) -> np.ndarray:
    """Mean chord of (N, H, W) over rows and columns, (N,), pixels; the width of the image where no boundary is seen.

    The share of the phase over the number of its chords a pixel of line (Underwood 1970, Quantitative Stereology): boundaries
    are counted between pixels inside the image, half a chord each. So no chord has to lie in the image as a whole, as in
    the mean of `chord_lengths`, which is too small where chords are not much shorter than the image is wide.
    """
    masks = check_array(masks, "masks", "(N, H, W)").astype(bool)
    crossed, pairs = (
        sum(each) for each in zip(*(_crossings(masks, dy, dx) for dy, dx in ((0, 1), (1, 0))), strict=True)
    )
    share = masks.mean((1, 2))
    return np.where(crossed > 0, 2 * share * pairs / np.maximum(crossed, 1), float(masks.shape[2]))


def minkowski(masks: np.ndarray) -> dict[str, np.ndarray]:
    """The three Minkowski functionals of the plane over the area of the image, (N,) each.

    Returns
    -------
    dict
        ``area``: share of true pixels; ``perimeter``: length of the boundary a pixel of the image, 1 / pixel; ``euler``: parts
        minus holes a pixel of the image, 1 / pixel^2 (`skimage.measure.euler_number`, 8-connected).

    Notes
    -----
    What the image cuts through is no boundary, and a part that reaches out of it is not counted as a whole one, so that all
    three are those of the material, whatever the size of the image. Perimeter: crossings along rows, columns and both
    diagonals, pi / 2 times their mean number a unit of length (Crofton; the four directions of
    `skimage.measure.perimeter_crofton`, which counts the frame of the image, too). Euler number: that of the image less
    that of two adjacent sides of it, mean over the four corners (Ohser and Mücklich 2000, Statistical Analysis of
    Microstructures).
    """
    from skimage.measure import euler_number

    masks = check_array(masks, "masks", "(N, H, W)").astype(bool)
    cells = (masks.shape[1] - 1) * (masks.shape[2] - 1)
    rates = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        crossed, pairs = _crossings(masks, dy, dx)
        rates.append(crossed / (max(pairs, 1) * np.hypot(dy, dx)))
    parts = np.array([euler_number(mask, connectivity=2) for mask in masks], float)
    corners = [_parts_of_two_sides(np.flip(masks, axes)) for axes in ((), (1,), (2,), (1, 2))]
    return {
        "area": masks.mean((1, 2)),
        "perimeter": np.pi / 2 * np.mean(rates, 0),
        "euler": (parts - np.mean(corners, 0)) / max(cells, 1),
    }


def _crossings(masks: np.ndarray, dy: int, dx: int) -> tuple[np.ndarray, int]:
    """How many pairs of pixels (dy, dx) apart differ in each of (N, H, W), dy = 0 or 1, and how many pairs there are."""
    height, width = masks.shape[1:]
    first = masks[:, : height - dy, max(-dx, 0) : width - max(dx, 0)]
    second = masks[:, dy:, max(dx, 0) : width - max(-dx, 0)]
    return (first != second).sum((1, 2)), first[0].size


def _parts_of_two_sides(masks: np.ndarray) -> np.ndarray:
    """Number of 8-connected parts of the first column and the last row of (N, H, W) together, (N,)."""
    path = np.concatenate([masks[:, :, 0], masks[:, -1, 1:]], 1)
    corner, last = masks.shape[1] - 1, path.shape[1] - 1
    runs = path[:, 0] + (path[:, 1:] & ~path[:, :-1]).sum(1)
    if not 0 < corner < last:
        return runs
    # around the corner, pixels touch along the diagonal
    return runs - (path[:, corner - 1] & path[:, corner + 1] & ~path[:, corner])


def granulometry(masks: np.ndarray, radii: Sequence[float] = (1, 2, 3, 4, 6, 8, 12)) -> np.ndarray:
    """Share of the phase that survives an opening with a disc, (N, len(radii)), for radii in pixels.

    Matheron 1975. The opening is that with all pixels up to `radius` from the centre; what lies outside the image neither
    erodes nor fills. 0 for an empty mask.
    """
    masks = check_array(masks, "masks", "(N, H, W)").astype(bool)
    size = masks.sum((1, 2))
    shares = np.zeros((len(masks), len(radii)))
    for j, radius in enumerate(radii):
        opened = _within(~_within(~masks, radius), radius)
        shares[:, j] = opened.sum((1, 2)) / np.maximum(size, 1)
    return shares


def _within(masks: np.ndarray, radius: float) -> np.ndarray:
    """Pixels of (N, H, W) with a true one within `radius`: each row widened to the width of the disc there, row by row."""
    height, width = masks.shape[1:]
    found, wide, half = masks.copy(), masks.copy(), 0
    for dy in range(min(int(radius), height - 1), -1, -1):
        while half < width - 1 and np.hypot(half + 1, dy) <= radius:
            half += 1
            wide[:, :, half:] |= masks[:, :, :-half]
            wide[:, :, :-half] |= masks[:, :, half:]
        found[:, dy:] |= wide[:, : height - dy]
        found[:, : height - dy] |= wide[:, dy:]
    return found
