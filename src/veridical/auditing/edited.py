"""Edited images beside their sources: did the edit do nothing, or leave nothing? Fixed rules, named by the rows of `defects`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COARSE = 3.0  # pixels of the Gaussian that leaves structure and takes noise away


class Told(NamedTuple):
    """What is wrong with an edited image: a number, what is expected of it (low, high), and a sentence."""

    statistic: float
    expected: list[float | None] | None
    explanation: str


def unchanged(images: np.ndarray, source: np.ndarray, real: np.ndarray) -> list[Told | None]:
    """Images (N, C, H, W) that are their own source (N, C, H, W).

    After the best linear change of grey level, the difference from the source is smaller than half the noise of the real images
    (or two 8-bit levels).
    """
    from veridical.metrics.physics_spectrum import noise_level

    tolerance = max(float(np.median(noise_level(real))) / 2, 2 / 255)
    residual = np.array([_residual(x.mean(0), y.mean(0)) for x, y in zip(images, source, strict=True)])
    text = "the edit did nothing: it differs from its source by {:.2g}, less than noise ({:.2g})"
    return [
        Told(float(each), [tolerance, None], text.format(each, tolerance)) if each < tolerance else None
        for each in residual
    ]


def structure_lost(images: np.ndarray, source: np.ndarray, real: np.ndarray) -> list[Told | None]:
    """Images (N, C, H, W) that are no more like their own source than like 95 % of the other ones.

    Alike is the correlation of grey levels after a Gaussian of 3 pixels.
    """
    alike = np.abs(_correlations(images, source))
    own = np.diag(alike)
    rank = (alike >= own[:, None]).mean(1)  # its own among them
    text = "the structure of its source is gone: it is as much like {:.0%} of the other sources"
    return [
        Told(float(value), None, text.format(share)) if share > max(0.05, 1.5 / len(images)) else None
        for value, share in zip(own, rank, strict=True)
    ]


def _residual(image: np.ndarray, source: np.ndarray) -> float:
    """Root mean square of what a linear function of the source does not explain of the image, in its grey levels."""
    x, y = source - source.mean(), image - image.mean()
    if not (x * x).sum() > 1e-12:
        return float(np.sqrt((y * y).mean()))
    return float(np.sqrt(((y - (x * y).sum() / (x * x).sum() * x) ** 2).mean()))


def _correlations(images: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Correlation of every image with every source, (N, N), of smoothed grey levels."""
    from scipy.ndimage import gaussian_filter

    flat = []
    for each in (images, source):
        smooth = gaussian_filter(each.mean(1), (0, COARSE, COARSE)).reshape(len(each), -1)
        smooth = smooth - smooth.mean(1, keepdims=True)
        flat.append(smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-9))
    return flat[0] @ flat[1].T
