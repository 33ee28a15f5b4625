"""Defects of known severity, planted in real images: one function of (images (N, C, H, W) in [0, 1], severity, rng) a defect.

The rows of `defects` name them with their severities; `defects.plant` plants by name.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

Rng = np.random.Generator


def blank(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Contrast taken away around the mean of each image; 1 leaves a constant."""
    mean = images.mean((2, 3), keepdims=True)
    return mean + (1 - severity) * (images - mean)


def saturated(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Contrast stretched until a share of the pixels is black or white, half of it each."""
    low, high = np.quantile(images, [severity / 2, 1 - severity / 2], axis=(1, 2, 3))[:, :, None, None, None]
    return (images - low) / np.maximum(high - low, 1e-3)


def colour_in_grey(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Specks of 2 x 2 pixels of random colour on a share of the area."""
    height, width = images.shape[2:]
    images = images.repeat(3, axis=1) if images.shape[1] == 1 else images.copy()
    for image in images:
        for _ in range(max(1, round(severity * height * width / 4))):
            y, x = rng.integers(height - 1), rng.integers(width - 1)
            image[:, y : y + 2, x : x + 2] = rng.random((3, 1, 1))
    return images


def palette_shift(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Muted: colours and grey levels drawn towards middle grey."""
    return 0.5 + (1 - severity) * (images - 0.5)


def blur(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Gaussian blur."""
    return gaussian_filter(images, (0, 0, severity, severity), mode="mirror")


def noise_mismatch(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """White noise added, so that the noise is `severity` times as strong."""
    from veridical.metrics.physics_spectrum import noise_level

    sigma = np.median(noise_level(images)) * np.sqrt(max(severity**2 - 1, 0) * images.shape[1])
    return images + sigma * rng.standard_normal(images.shape)


def checkerboard(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """A checkerboard of amplitude `severity` times the median noise level."""
    from veridical.metrics.physics_spectrum import noise_level

    y, x = np.indices(images.shape[2:])
    return images + severity * np.median(noise_level(images)) * (-1.0) ** (x + y)


def stylised(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Total-variation denoising (Chambolle 2004) with `severity` times the contrast as weight: flat areas, sharp edges."""
    from skimage.restoration import denoise_tv_chambolle

    return np.stack([denoise_tv_chambolle(x, severity * x.std(), channel_axis=0) for x in images])


def foreign_patch(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """A disc with rings, as of a tree trunk, of diameter `severity` times the width, at a random place."""
    images = images.copy()
    height, width = images.shape[2:]
    radius = severity * min(height, width) / 2
    for image in images:
        y, x = rng.uniform(radius, height - radius), rng.uniform(radius, width - radius)
        r = np.hypot(np.arange(height)[:, None] - y, np.arange(width) - x)
        low, high = np.quantile(image, [0.05, 0.95])
        rings = low + (high - low) * (0.5 + 0.5 * np.cos(2 * np.pi * r / max(4, radius / 2)))
        image[:, r < radius] = rings[r < radius]
    return images


def out_of_domain(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Mixed with parts of a photograph (scikit-image's cat), of the same mean and contrast."""
    from skimage.data import cat
    from skimage.transform import resize

    _, channels, height, width = images.shape
    photo = resize(cat() / 255.0, (2 * height, 2 * width), anti_aliasing=True).transpose(2, 0, 1)
    photo = photo.mean(0, keepdims=True) if channels == 1 else photo
    found = np.empty(images.shape)
    for k, image in enumerate(images):
        y, x = rng.integers(height + 1), rng.integers(width + 1)
        part = photo[:, y : y + height, x : x + width]
        part = (part - part.mean()) / max(part.std(), 1e-3) * image.std() + image.mean()
        found[k] = (1 - severity) * image + severity * part
    return found


def implausible_structure(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Torn by random shifts of `severity` pixels (standard deviation) that change over 3 pixels; nearest pixel, no blur."""
    height, width = images.shape[2:]
    found = np.empty(images.shape)
    for k, image in enumerate(images):
        shift = gaussian_filter(rng.standard_normal((2, height, width)), (0, 3, 3))
        at = np.indices((height, width)) + severity * shift / shift.std()
        found[k] = [map_coordinates(channel, at, order=0, mode="mirror") for channel in image]
    return found


def property_shift(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Magnified by `severity` about the middle: another pixel size."""
    from scipy.ndimage import zoom

    height, width = images.shape[2:]
    large = zoom(images, (1, 1, severity, severity), order=1, mode="mirror", grid_mode=True)
    y, x = ((a - b) // 2 for a, b in zip(large.shape[2:], (height, width), strict=True))
    return large[:, :, y : y + height, x : x + width]


def spectrum_shift(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """Amplitudes times (f / f0)^-severity, f0 0.1 cycles a pixel: coarse structure stronger, fine structure weaker."""
    height, width = images.shape[2:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 0.1
    gain = (frequency / 0.1) ** -severity
    return np.fft.irfft2(np.fft.rfft2(images) * gain, (height, width))


def periodic(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """The share `severity` of the smooth component taken away; without it, an image wraps around.

    Moisan 2011, doi:10.1007/s10851-010-0227-1.
    """
    height, width = images.shape[2:]
    jumps = np.zeros(images.shape)
    for axis in (2, 3):
        first, last = (images.take(k, axis) for k in (0, -1))
        step = np.moveaxis(jumps, axis, 0)
        step[0] += last - first
        step[-1] -= last - first
    y, x = 2 * np.pi * np.fft.fftfreq(height)[:, None], 2 * np.pi * np.fft.rfftfreq(width)
    laplacian = 2 * np.cos(y) + 2 * np.cos(x) - 4
    laplacian[0, 0] = 1
    spectrum = np.fft.rfft2(jumps) / laplacian
    spectrum[..., 0, 0] = 0
    return images - severity * np.fft.irfft2(spectrum, (height, width))


def shading(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """A vignette: the share `severity` of the brightness lost at the corners, with the square of the distance from the middle."""
    height, width = images.shape[2:]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    return images * (1 - severity * (y**2 + x**2) / 2)


def mode_collapse(images: np.ndarray, severity: float, rng: Rng) -> np.ndarray:
    """A share of the set replaced by copies of its first three images, with noise of two 8-bit levels."""
    images = images.copy()
    for k in range(3, 3 + round(severity * (len(images) - 3))):
        images[k] = images[k % 3] + 2 / 255 * rng.standard_normal(images[0].shape)
    return images
