"""Grey levels and colours of images; one number an image. Images are (N, C, H, W) in [0, 1]."""

import numpy as np

from veridical.core.arrays import check_array
from veridical.core.errors import InputError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

USUAL = 1.5  # standard deviations of a phase, that a pixel counts for at most


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


def shading(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How brightness changes slowly across images, (N, 3): along x, along y, and from the middle to the corners.

    Parameters
    ----------
    images : (N, C, H, W)
    masks : (N, H, W) bool, one of two phases, whose own grey levels do not count

    Returns
    -------
    (N, 3)
        Grey level at the right less that in the middle, at the bottom less that in the middle, and at the corners less that in
        the middle: a least-squares fit of a plane and a paraboloid to what each phase differs by from its median, as far as that
        is usual (`USUAL` times its spread), so that a few bright grains do not count for much.
    """
    grey, masks = _checked(images).mean(1), check_array(masks, "masks", "(N, H, W)").astype(bool)
    height, width = grey.shape[1:]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    fit = np.linalg.pinv(np.stack([np.ones_like(x), x, y, (x**2 + y**2) / 2], -1).reshape(-1, 4))[1:]
    found = np.empty((len(grey), 3))
    for k, (image, mask) in enumerate(zip(grey, masks, strict=True)):
        rest = np.zeros_like(image)
        for phase in (mask, ~mask):
            if phase.any():
                apart = image[phase] - np.median(image[phase])
                most = USUAL * 1.4826 * np.median(np.abs(apart)) + 1e-4
                rest[phase] = np.clip(apart, -most, most)
        found[k] = fit @ rest.ravel()
    return found
