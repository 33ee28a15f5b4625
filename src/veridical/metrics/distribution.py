"""Distances between two sets of features: Fréchet, kernel (KID), precision, recall, density and coverage.

All take features (N, d) and (M, d), real first, and compute in float64. The order of rows does not matter.
"""

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


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Polynomial kernel (x.y / d + 1)^3 between rows, d the number of features (Binkowski et al. 2018, section 4)."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd2(kxx: np.ndarray, kyy: np.ndarray, kxy: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy from kernel matrices (Gretton et al. 2012, eq. 3); may be below 0."""
    n, m = kxy.shape
    within_x = (kxx.sum() - np.trace(kxx)) / (n * (n - 1))
    within_y = (kyy.sum() - np.trace(kyy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * kxy.mean())


def kid(real: np.ndarray, synth: np.ndarray) -> Kid:
    """Kernel inception distance: unbiased MMD^2 over all pairs, with its standard error.

    Binkowski et al. 2018, arXiv:1801.01401. No random subsets: the estimate is unbiased at any n, and 0 on average for
    two sets from the same source (so single values may be negative). The standard error is the delete-one jackknife of
    each set.
    """
    x, y = _pair(real, synth, least=2)
    kxx, kyy, kxy = kernel(x, x), kernel(y, y), kernel(x, y)
    value = mmd2(kxx, kyy, kxy)
    variance = _delete_one_variance(kxx, kyy, kxy) + _delete_one_variance(kyy, kxx, kxy.T)
    return Kid(value, float(np.sqrt(variance)))


def kid_over_random_phase(real: np.ndarray, synth: np.ndarray, phase: np.ndarray) -> float:
    """KID of the synthetic images over the KID of phase-randomised real images: 0 real, 1 as far as a Gaussian texture.

    The denominator carries the scale of the features for this material and magnification, so that sets can be compared.
    """
    check_array(phase, "phase", "(N, d)")
    return kid(real, synth).value / kid(real, phase).value


def prdc(real: np.ndarray, synth: np.ndarray, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage from k-nearest-neighbour balls.

    Precision and recall: share of synthetic (real) images inside a ball of the real (synthetic) ones (Kynkäänniemi et
    al. 2019, arXiv:1904.06991). Density and coverage: mean number of real balls, over k, around a synthetic image, and
    share of real balls that hold a synthetic image (Naeem et al. 2020, arXiv:2002.09797). Needs more than k images on
    each side. All but density lie in [0, 1]; all depend on n: compare values at equal n only.
    """
    x, y = _pair(real, synth, least=k + 1)
    xx, yy, xy = distances(x, x), distances(y, y), distances(x, y)
    return prdc_from_distances(xx, yy, xy, k)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances between rows, (N, M)."""
    return cdist(np.asarray(x, np.float64), np.asarray(y, np.float64))


def prdc_from_distances(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, k: int = 5) -> dict[str, float]:
    """`prdc` from distances within real (N, N), within synthetic (M, M) and between them (N, M)."""
    # position k of a sorted row is the k-th neighbour, as position 0 is the point itself
    radius_x = np.partition(xx, k, axis=1)[:, k]
    radius_y = np.partition(yy, k, axis=1)[:, k]
    inside_x = xy < radius_x[:, None]
    return {
        "precision": float(inside_x.any(0).mean()),
        "recall": float((xy < radius_y[None]).any(1).mean()),
        "density": float(inside_x.sum(0).mean() / k),
        "coverage": float((xy.min(1) < radius_x).mean()),
    }


def _delete_one_variance(kxx: np.ndarray, kyy: np.ndarray, kxy: np.ndarray) -> float:
    """Jackknife variance of `mmd2` by deleting each row of x, from row sums alone."""
    n, m = kxy.shape
    if n < 3:
        return 0.0
    rows = kxx.sum(1) - np.diag(kxx)
    within = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    across = (kxy.sum() - kxy.sum(1)) / ((n - 1) * m)
    deleted = within - 2 * across
    return float((n - 1) / n * np.sum((deleted - deleted.mean()) ** 2))


def _pair(real: ArrayLike, synth: ArrayLike, least: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = (check_array(z, name, "(N, d)").astype(np.float64) for z, name in ((real, "real"), (synth, "synth")))
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"features must be (N, d) and (M, d), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < least:
        raise ValueError(f"at least {least} images a set are needed, got {len(x)} and {len(y)}")
    return x, y
