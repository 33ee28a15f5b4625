"""Edited images beside their sources: did the edit do nothing, or leave nothing?"""

from __future__ import annotations

from typing import Any

import numpy as np

COARSE = 3.0  # pixels of the Gaussian that leaves structure and takes noise away


def pair_findings(images: np.ndarray, source: np.ndarray, real: np.ndarray) -> list[dict[str, Any] | None]:
    """A finding `unchanged` or `structure_lost`, or None, for each pair.

    Parameters
    ----------
    images, source : (N, C, H, W) in [0, 1]; image k was made of source k
    real : (M, C, H, W), whose noise says what a change is

    Notes
    -----
    Unchanged: after the best linear change of grey level, the difference from the source is smaller than half the noise
    of real images (or two 8-bit levels). Structure lost: the correlation with the own source, after a Gaussian of 3 pixels, is
    no higher than with 95 % of the other sources.
    """
    from veridical.metrics.physics_spectrum import noise_level

    tolerance = max(float(np.median(noise_level(real))) / 2, 2 / 255)
    residual = np.array([_residual(x.mean(0), y.mean(0)) for x, y in zip(images, source, strict=True)])
    alike = np.abs(_correlations(images, source))
    own = np.diag(alike)
    rank = (alike >= own[:, None]).mean(1)  # its own among them
    findings: list[dict[str, Any] | None] = []
    for k in range(len(images)):
        found: dict[str, Any] | None = None
        if residual[k] < tolerance:
            text = f"the edit did nothing: it differs from its source by {residual[k]:.2g}, less than noise ({tolerance:.2g})"
            found = {"defect": "unchanged", "statistic": float(residual[k]), "expected": [tolerance, None]}
        elif rank[k] > max(0.05, 1.5 / len(images)):
            text = f"the structure of its source is gone: it is as much like {rank[k]:.0%} of the other sources"
            found = {"defect": "structure_lost", "statistic": float(own[k]), "expected": None}
        if found is not None:
            found |= {"level": "image", "p_value": None, "explanation": text}
        findings.append(found)
    return findings


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
