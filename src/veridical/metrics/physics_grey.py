"""Grey levels and colours of images; one number an image. Images are (N, C, H, W) in [0, 1]."""

import numpy as np

from veridical.core.arrays import check_array
from veridical.core.errors import InputError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def grey_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, standard deviation, skewness and quantiles of the mean of the channels, (N,) each, in grey levels.

    Skewness is the third standardised moment (`scipy.stats.skew`), 0 for constant images.
    """
    from scipy.stats import skew

    grey = _checked(images).mean(1)
    grey = grey.reshape(len(grey), -1)
    spread = grey.std(1)
    lopsided = np.zeros(len(grey))
    varied = spread > 1e-9
    lopsided[varied] = skew(grey[varied], axis=1)
    found = {"mean": grey.mean(1), "contrast": spread, "skewness": lopsided}
    for q, values in zip(QUANTILES, np.quantile(grey, QUANTILES, axis=1), strict=True):
        found[f"q{round(100 * q):02d}"] = values
    return found


def saturated_share(images: np.ndarray) -> np.ndarray:
    """Share of pixels that are black (0) or white (1) in some channel, (N,)."""
    images = check_array(images, "images", "(N, C, H, W)")
    return ((images <= 0) | (images >= 1)).any(1).mean((1, 2))


def chroma(images: np.ndarray) -> np.ndarray:
    """Distance of every pixel from grey, (N, H, W): largest minus smallest channel, 0 for grey and 1 for pure colours."""
    images = _checked(images)
    return images.max(1) - images.min(1)


def colour_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and spread of opponent colours, and mean chroma, (N,) each; all 0 for grey images.

    Red-green is R - G, yellow-blue (R + G) / 2 - B, in grey levels (Hasler and Süsstrunk 2003, doi:10.1117/12.477378).
    """
    images = _checked(images)
    if images.shape[1] not in (1, 3):
        raise InputError(f"images must have 1 or 3 channels, got {images.shape[1]}")
    if images.shape[1] == 1:
        images = images.repeat(3, axis=1)
    red, green, blue = (images[:, c] for c in range(3))
    first, second = red - green, (red + green) / 2 - blue
    return {
        "red_green": first.mean((1, 2)),
        "yellow_blue": second.mean((1, 2)),
        "red_green_spread": first.std((1, 2)),
        "yellow_blue_spread": second.std((1, 2)),
        "chroma": chroma(images).mean((1, 2)),
    }


def _checked(images: np.ndarray) -> np.ndarray:
    return check_array(images, "images", "(N, C, H, W)").astype(np.float64)
