"""Distances between two sets of features: Fréchet, kernel (KID), capped precision and recall, and coverage.

All take features (N, d) and (M, d), real first, and compute in float64. The order of rows does not matter.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from veridical.core.arrays import check_array


def frechet(real: np.ndarray, synth: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features (squared, as in FID; 0 is best).

    |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))      (Heusel et al. 2017, arXiv:1706.08500, eq. 6)

    With X_c the centred features over sqrt(n - 1), C_x = X_c' X_c, and the trace of the matrix root is the sum of the
    singular values of X_c Y_c': exact also when there are fewer images than features, and no root of a singular matrix.
    The distance is biased upwards by an amount that depends on n: compare values at equal n only.
    """
    x, y = _pair(real, synth, least=2)
    mean = x.mean(0) - y.mean(0)
    x = (x - x.mean(0)) / np.sqrt(len(x) - 1)
    y = (y - y.mean(0)) / np.sqrt(len(y) - 1)
    spread = np.sum(x * x) + np.sum(y * y)
    # More images than features: the triangular factor of X_c has the same products with a smaller matrix.
    if len(x) > x.shape[1]:
        x = cast(np.ndarray, np.linalg.qr(x, mode="r"))
    if len(y) > y.shape[1]:
        y = cast(np.ndarray, np.linalg.qr(y, mode="r"))
    root = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(max(mean @ mean + spread - 2 * root, 0.0))


class Kid(NamedTuple):
    """Kernel distance and its standard error (images taken as independent)."""

    value: float
    se: float


def kernel(
    x: np.ndarray, y: np.ndarray, x_groups: ArrayLike | None = None, y_groups: ArrayLike | None = None
) -> np.ndarray:
    """Polynomial kernel (x.y / d + 1)^3 between rows, d the number of features (Binkowski et al. 2018, section 4).

    With groups it is NaN between rows of one group: they are no independent pair (the same row, tiles of one slice).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    found: np.ndarray = (x @ y.T / x.shape[1] + 1) ** 3
    if x_groups is not None and y_groups is not None:
        found[np.asarray(x_groups)[:, None] == np.asarray(y_groups)[None]] = np.nan
    return found


def mmd2(kxx: np.ndarray, kyy: np.ndarray, kxy: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) from kernel matrices; may be below 0.

    Means over the pairs that are not NaN, which are those of different groups; NaN where there are none. Pairs of tiles of
    one slice are more alike than independent ones: with them the distance of two sets of one source would be above 0.
    """
    return _mean(kxx) + _mean(kyy) - 2 * _mean(kxy)


class Sums(NamedTuple):
    """Of a kernel matrix between G and H groups of rows: sums over pairs, and how many pairs are not NaN, (G, H) each."""

    total: np.ndarray
    pairs: np.ndarray

    def mean(self, first: np.ndarray, second: np.ndarray) -> float:
        """Mean over the pairs of these groups; NaN where there are none."""
        groups = np.ix_(first, second)
        count = self.pairs[groups].sum()
        return float(self.total[groups].sum() / count) if count else float("nan")


def sums(k: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Sums:
    """Sums of a kernel matrix (N, M) over groups, those of `rows` (N,) and `columns` (M,): what `mmd2` of any groups needs."""
    known = np.isfinite(k)
    return Sums(*(_summed(_summed(x, rows).T, columns).T for x in (np.where(known, k, 0.0), known)))


def distance_of_groups(
    xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, x_numbers: np.ndarray, y_numbers: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], float]:
    """`mmd2` as a function of row numbers of x and of y, which hold whole groups: from `sums`, not from all pairs again.

    Parameters
    ----------
    xx, yy, xy : (N, N), (M, M) and (N, M) of `kernel`
    x_numbers, y_numbers : (N,), (M,) group of each row, from 0
    """
    of_x, of_y, across = sums(xx, x_numbers, x_numbers), sums(yy, y_numbers, y_numbers), sums(xy, x_numbers, y_numbers)

    def value(i: np.ndarray, j: np.ndarray) -> float:
        a, b = np.unique(x_numbers[i]), np.unique(y_numbers[j])
        return of_x.mean(a, a) + of_y.mean(b, b) - 2 * across.mean(a, b)

    return value


def _summed(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums of the rows of (N, M) with equal numbers, (G, M)."""
    found = np.zeros((int(numbers.max(initial=-1)) + 1, x.shape[1]))
    for g in range(len(found)):
        found[g] = x[numbers == g].sum(0)
    return found


def kid(
    real: np.ndarray, synth: np.ndarray, real_groups: ArrayLike | None = None, synth_groups: ArrayLike | None = None
) -> Kid:
    """Kernel inception distance: unbiased MMD^2 over all pairs of different groups, with its standard error.

    Binkowski et al. 2018, arXiv:1801.01401. No random subsets: the estimate is unbiased at any n, and 0 on average for
    two sets from the same source (so single values may be negative).

    Parameters
    ----------
    real, synth : (N, d), (M, d)
    real_groups, synth_groups : label of each row; tiles of one slice have one. Default: every row by itself.

    Returns
    -------
    Kid
        The standard error is the delete-one-group jackknife of each set. Both are NaN where a set has one group only.
    """
    x, y = _pair(real, synth, least=2)
    gx, gy = (np.arange(len(z)) if g is None else np.asarray(g) for z, g in ((x, real_groups), (y, synth_groups)))
    kxx, kyy, kxy = kernel(x, x, gx, gx), kernel(y, y, gy, gy), kernel(x, y)
    variance = _delete_one_variance(kxx, kxy, gx) + _delete_one_variance(kyy, kxy.T, gy)
    return Kid(mmd2(kxx, kyy, kxy), float(np.sqrt(variance)))


def kid_over_random_phase(real: np.ndarray, synth: np.ndarray, phase: np.ndarray) -> float:
    """KID of the synthetic images over the KID of phase-randomised real images: 0 real, 1 as far as a Gaussian texture.

    The denominator carries the scale of the features for this material and magnification, so that sets can be compared.
    """
    check_array(phase, "phase", "(N, d)")
    return kid(real, synth).value / kid(real, phase).value


def neighbour_shares(real: np.ndarray, synth: np.ndarray, k: int = 5) -> dict[str, float]:
    """Capped precision and recall, and coverage, from balls around images.

    The ball of an image reaches to its k-th nearest neighbour of the same set. Precision and recall are the shares of
    synthetic (real) images inside a ball of the real (synthetic) ones, as of Kynkäänniemi et al. 2019 (arXiv:1904.06991,
    equations 1 and 2), but no ball is larger than the median ball of its set. A few images of another kind, whose nearest
    neighbours are far, would have balls that hold nearly everything: with them a blurred or a random texture has a precision
    of 1. With the cap about half of other real images are inside, whatever n; read both against real images.

    Coverage is the share of real balls, as large as they are, that hold a synthetic image (Naeem et al. 2020,
    arXiv:2002.09797): each ball counts once, so that few large ones change it little.

    A point on the rim of a ball, as among images that are equal, is inside for precision and recall (<= in the paper) and
    outside for coverage (< in the authors' package `prdc`). Recall and coverage depend on n: compare values at equal n.

    Parameters
    ----------
    real, synth : (N, d) and (M, d), more than k of each

    Returns
    -------
    dict
        precision_capped, recall_capped and coverage, in [0, 1]
    """
    x, y = _pair(real, synth, least=k + 1)
    return neighbour_shares_from_distances(distances(x, x), distances(y, y), distances(x, y), k)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances between rows, (N, M)."""
    return cdist(np.asarray(x, np.float64), np.asarray(y, np.float64))


def neighbour_shares_from_distances(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, k: int = 5) -> dict[str, float]:
    """`neighbour_shares` from distances within real (N, N), within synthetic (M, M) and between them (N, M)."""
    # position k of a sorted row is the k-th neighbour, as position 0 is the point itself
    radius_x = np.partition(xx, k, axis=1)[:, k]
    radius_y = np.partition(yy, k, axis=1)[:, k]
    capped_x, capped_y = (np.minimum(radius, np.median(radius)) for radius in (radius_x, radius_y))
    return {
        "precision_capped": float((xy <= capped_x[:, None]).any(0).mean()),
        "recall_capped": float((xy <= capped_y[None]).any(1).mean()),
        "coverage": float((xy.min(1) < radius_x).mean()),
    }


def _mean(k: np.ndarray) -> float:
    known = np.isfinite(k)
    count = np.count_nonzero(known)
    return float(k.sum(where=known) / count) if count else float("nan")


def _delete_one_variance(kxx: np.ndarray, kxy: np.ndarray, groups: np.ndarray) -> float:
    """Jackknife variance of `mmd2` by deleting each group of x, from row sums alone; 0 with two, NaN with one."""
    numbers = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    if len(sizes) < 3:
        return 0.0 if len(sizes) == 2 else float("nan")
    sums = np.bincount(numbers, np.nansum(kxx, 1))
    pairs = np.bincount(numbers, np.isfinite(kxx).sum(1))
    across = np.bincount(numbers, kxy.sum(1))
    within = (sums.sum() - 2 * sums) / (pairs.sum() - 2 * pairs)
    left_out = within - 2 * (across.sum() - across) / ((sizes.sum() - sizes) * kxy.shape[1])
    h = sizes.sum() / sizes
    return float(np.mean((left_out - np.average(left_out, weights=1 - 1 / h)) ** 2 * (h - 1)))


def _pair(real: ArrayLike, synth: ArrayLike, least: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = (check_array(z, name, "(N, d)").astype(np.float64) for z, name in ((real, "real"), (synth, "synth")))
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"features must be (N, d) and (M, d), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < least:
        raise ValueError(f"at least {least} images a set are needed, got {len(x)} and {len(y)}")
    return x, y
