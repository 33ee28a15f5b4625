"""What of an image, or of its label image, tells where things lie: edges, a sketch, classes, distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images

OF_IMAGES = ("canny", "sketch")
OF_MASKS = ("mask", "distance")
KINDS = (*OF_IMAGES, *OF_MASKS)

FINE, COARSE = 1.5, 4.0  # pixels over which images are smoothed before edges are looked for
STRONG, WEAK = 0.92, 0.8  # shares of an image's gradients below those of edges, and of what goes on from them
FAR = 16.0  # pixels from which on a distance is no longer told from more


def channels_of(kind: str, classes: int) -> int:
    """How many maps a hint has."""
    return classes if kind in OF_MASKS else 1


def hints_of_images(kind: str, images: Images) -> Images:
    """Hints (N, 1, H, W) in {0, 1} of images (N, C, H, W) in [0, 1].

    Parameters
    ----------
    kind : {"canny", "sketch"}
        Edges as Canny 1986 finds them; or those of a strongly smoothed image, drawn with a broad pen. The thresholds are
        shares of the image's own gradients, so that its contrast does not matter.
    images : ndarray
    """
    from skimage.morphology import dilation, disk

    drawn = [_edges(image.mean(0), COARSE if kind == "sketch" else FINE) for image in images]
    if kind == "sketch":
        drawn = [dilation(edges, disk(1)) for edges in drawn]
    return np.stack(drawn)[:, None].astype(np.float32)


def _edges(grey: NDArray[np.float32], sigma: float) -> NDArray[np.bool_]:
    from skimage.feature import canny

    return np.asarray(canny(grey, sigma, low_threshold=WEAK, high_threshold=STRONG, use_quantiles=True))


def hints_of_masks(kind: str, classes: NDArray[np.integer], n_classes: int) -> Images:
    """Hints (N, n_classes, H, W) in [0, 1] of class numbers (N, H, W).

    Parameters
    ----------
    kind : {"mask", "distance"}
        A map a class of 0 and 1; or of how far each pixel lies inside of the class (above 0.5) or outside of it, up to 16
        pixels.
    classes : ndarray
    n_classes : int
    """
    inside = classes[:, None] == np.arange(n_classes)[:, None, None]
    if kind == "mask":
        return inside.astype(np.float32)
    return np.stack([[_distance(region) for region in of_image] for of_image in inside]).astype(np.float32)


def _distance(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    if region.all() or not region.any():
        return np.full(region.shape, float(region.all()))
    from scipy.ndimage import distance_transform_edt

    signed = distance_transform_edt(region) - distance_transform_edt(~region)
    return np.asarray(np.clip(signed / FAR, -1, 1) / 2 + 0.5)
