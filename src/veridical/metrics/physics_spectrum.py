"""Spectrum, noise, sharpness, periodic artefacts and local orientation of images; one number or curve an image.

Images are (N, C, H, W) in [0, 1]; channels are averaged first. Frequencies are in cycles a pixel, up to 0.5.
"""

import numpy as np

from veridical.core.arrays import check_array
from veridical.core.errors import InputError

GAUSSIAN_MAD = 0.6744897501960817  # median absolute value of a standard normal variable


def luminance(images: np.ndarray) -> np.ndarray:
    """Mean of the channels, (N, H, W) float64."""
    return check_array(images, "images", "(N, C, H, W)").astype(np.float64).mean(1)


def radial_power_spectrum(images: np.ndarray, bins: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum averaged over rings of frequency.

    Parameters
    ----------
    images : (N, C, H, W)
    bins : rings of equal width from 0 to 0.5 cycles a pixel; the mean of the image is left out

    Returns
    -------
    frequency : (bins,) centre of each ring, cycles a pixel
    power : (N, bins) squared grey levels; white noise of variance v has power v in every ring

    Notes
    -----
    Images are multiplied with a Hann window (normalised by its energy), so that borders do not leak.
    """
    frequency, _, power = _periodogram(images)
    edges = np.linspace(0, 0.5, bins + 1)
    ring = np.digitize(frequency.ravel(), edges[1:-1])
    used = (frequency.ravel() > 0) & (frequency.ravel() <= 0.5)
    counts = np.bincount(ring[used], minlength=bins)
    sums = np.stack([np.bincount(ring[used], weights=each.ravel()[used], minlength=bins) for each in power])
    return (edges[1:] + edges[:-1]) / 2, sums / np.maximum(counts, 1)


def spectral_slope(images: np.ndarray, low: float = 0.03, high: float = 0.4) -> np.ndarray:
    """Exponent s of a power spectrum f^s between two frequencies, (N,): 0 for white noise, about -3 for sharp edges.

    Least squares of log power on log frequency over rings of equal width, which weigh by 1/f.
    """
    images = check_array(images, "images", "(N, C, H, W)")
    size = max(images.shape[2:])
    frequency, power = radial_power_spectrum(images, max(8, size // 2))
    used = (frequency >= max(low, 2 / size)) & (frequency <= high)
    x = np.log(frequency[used])
    weights = 1 / frequency[used]
    x = x - np.average(x, weights=weights)
    y = np.log(power[:, used] + 1e-20)
    return (y * weights * x).sum(1) / (weights * x * x).sum()


def noise_level(images: np.ndarray) -> np.ndarray:
    """Standard deviation of white noise, in grey levels, (N,): median absolute diagonal Haar coefficient over 0.6745.

    Donoho and Johnstone 1994, doi:10.1093/biomet/81.3.425. Edges and smooth structure hardly count, as most pixels
    have none.
    """
    return noise_spectrum(images, 1)[:, 0]


def noise_spectrum(images: np.ndarray, scales: int = 3) -> np.ndarray:
    """`noise_level` of the image and of its means over 2 x 2, 4 x 4 ... pixels, (N, scales).

    White noise halves from scale to scale; noise with grain, or structure, does not.
    """
    grey = luminance(images)
    _check_side(grey, 2**scales)
    levels = []
    for _ in range(scales):
        levels.append(np.median(np.abs(_diagonal(grey)), axis=(1, 2)) / GAUSSIAN_MAD)
        grey = _halved(grey)
    return np.stack(levels, 1)


def detail_tails(images: np.ndarray) -> np.ndarray:
    """Root mean square of the finest diagonal detail over its robust standard deviation, (N,): 1 for Gaussian noise.

    Larger for images that are smooth but for a few sharp places, as drawings, median-filtered and painted images are.
    The robust deviation is taken to be at least 1e-4, a fortieth of an 8-bit level.
    """
    grey = luminance(images)
    _check_side(grey, 2)
    detail = _diagonal(grey)
    robust = np.median(np.abs(detail), axis=(1, 2)) / GAUSSIAN_MAD
    return np.sqrt((detail**2).mean((1, 2))) / np.maximum(robust, 1e-4)


def sharpness(images: np.ndarray) -> np.ndarray:
    """99th percentile of the gradient over the standard deviation of the image, 1 / pixel, (N,).

    Gradients are central differences of neighbouring pixels. Brightness and contrast cancel; 0 for constant images.
    """
    grey = luminance(images)
    _check_side(grey, 2)
    gradient = np.hypot(*np.gradient(grey, axis=(1, 2)))
    spread = grey.std((1, 2))
    steep = np.percentile(gradient, 99, axis=(1, 2))
    return np.divide(steep, spread, out=np.zeros_like(steep), where=spread > 1e-9)


def flat_share(images: np.ndarray, tolerance: float = 0.5 / 255) -> np.ndarray:
    """Share of windows of 3 x 3 pixels whose values lie within `tolerance` of each other, (N,)."""
    from scipy.ndimage import maximum_filter, minimum_filter

    grey = luminance(images)
    spread = maximum_filter(grey, (1, 3, 3)) - minimum_filter(grey, (1, 3, 3))
    return (spread <= tolerance).mean((1, 2))


def checkerboard(images: np.ndarray) -> np.ndarray:
    """Energy at the frequencies that upsampling by two and four leaves behind, over that around them, in dB, (N,).

    The largest over the points (0, 1/2), (1/2, 0), (1/2, 1/2), (0, 1/4), (1/4, 0), (1/4, 1/4), (1/4, 1/2), (1/2, 1/4)
    of the periodogram of each channel, over the median of the ring of points two to five resolution cells away. About 8 dB
    for noise (the largest of eight exponential variables over their median); unbounded for a checkerboard (Odena,
    Dumoulin and Olah 2016, doi:10.23915/distill.00003).
    """
    x = check_array(images, "images", "(N, C, H, W)").astype(np.float64)
    height, width = x.shape[2:]
    x = (x - x.mean((2, 3), keepdims=True)) * hann(height, width)
    best = np.full(len(x), -np.inf)
    offsets = np.array([(dy, dx) for dy in range(-5, 6) for dx in range(-5, 6) if max(abs(dy), abs(dx)) >= 2])
    for point in ((0, 2), (2, 0), (2, 2), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
        fy, fx = (p / 4 for p in point)
        ys, xs = np.arange(-5, 6) / height + fy, np.arange(-5, 6) / width + fx
        left = np.exp(-2j * np.pi * ys[:, None] * np.arange(height))
        right = np.exp(-2j * np.pi * np.arange(width)[:, None] * xs)
        power = np.abs(left @ x @ right) ** 2  # (N, C, 11, 11)
        around = np.median(power[:, :, offsets[:, 0] + 5, offsets[:, 1] + 5], axis=-1)
        ratio = (power[:, :, 5, 5] + 1e-12) / (around + 1e-12)
        best = np.maximum(best, ratio.max(1))
    return 10 * np.log10(best)


def seam(images: np.ndarray) -> np.ndarray:
    """How far opposite borders are from continuing each other, (N,): about 1 if the image wraps around.

    Mean squared difference of opposite borders over that of the rows (or columns) next to them, the smaller of both axes; 0 where
    nothing differs.
    """
    grey = luminance(images)
    found = []
    for turned in (grey, grey.swapaxes(1, 2)):
        first, last = turned[:, 0], turned[:, -1]
        step = (((first - turned[:, 1]) ** 2).mean(1) + ((last - turned[:, -2]) ** 2).mean(1)) / 2
        found.append(((first - last) ** 2).mean(1) / np.maximum(step, 1e-12))
    return np.minimum(*found)


def orientation(images: np.ndarray, sigma: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Main direction of lines and edges, and how much they agree.

    Returns
    -------
    angle : (N,) radians in [0, pi), of the lines themselves, counted from the x axis towards larger y
    coherence : (N,) in [0, 1]: 0 isotropic, 1 all lines parallel

    Notes
    -----
    The structure tensor (`skimage.feature.structure_tensor`, smoothed with `sigma` pixels) averaged over the image;
    coherence is (l1 - l2) / (l1 + l2) of its eigenvalues (Jähne 1993; Rezakhaniha et al. 2012).
    """
    from skimage.feature import structure_tensor

    grey = luminance(images)
    means = np.array(
        [[part.mean() for part in structure_tensor(each, sigma=sigma, mode="nearest", order="xy")] for each in grey]
    )
    xx, xy, yy = means.T
    total = xx + yy
    difference = np.hypot(xx - yy, 2 * xy)
    coherence = np.divide(difference, total, out=np.zeros_like(total), where=total > 1e-15)
    gradient = np.arctan2(2 * xy, xx - yy) / 2
    return (gradient + np.pi / 2) % np.pi, coherence


def correlation_length(images: np.ndarray) -> np.ndarray:
    """Lag in pixels at which the autocorrelation falls to one half, (N,): the grain of the image.

    Mean over all directions, noise-free part only: the value at lag zero is that of the parabola through the three shortest lags.

    Notes
    -----
    Each lag is a mean over the pairs of pixels that lie in the image. Taking away the mean of the image, which is not that of
    the material, lowers all lags by the variance of that mean; it is estimated from the lags themselves, up to their first zero,
    and added again. What remains at 64 pixels is -1 to -4 % for lengths up to an eighth of the side, about -10 % for a fifth.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    grey = luminance(images)
    _check_side(grey, 4)
    grey = grey - grey.mean((1, 2), keepdims=True)
    height, width = grey.shape[1:]
    reach = min(height, width) // 2
    y, x = np.arange(-reach, reach + 1)[:, None], np.arange(-reach, reach + 1)
    radius = np.hypot(y, x)
    ring = np.minimum(np.rint(radius).astype(int), reach + 1).ravel()
    counts = np.bincount(ring)[: reach + 1]
    at = np.bincount(ring, weights=radius.ravel())[: reach + 1] / counts
    pairs = (height - np.abs(y)) * (width - np.abs(x))
    weights = np.bincount(ring, weights=pairs.ravel() / (height * width) ** 2)[: reach + 1]
    fast = [next_fast_len(side + reach, real=True) for side in (height, width)]
    out = np.empty(len(grey))
    for k, each in enumerate(grey):
        lags = irfft2(np.abs(rfft2(each, fast)) ** 2, fast)[y, x] / pairs
        profile = np.bincount(ring, weights=lags.ravel())[: reach + 1] / counts
        out[k] = _half_length(profile + _variance_of_mean(profile, weights), at)
    return out


def _variance_of_mean(profile: np.ndarray, weights: np.ndarray) -> float:
    """Variance of the mean of an image whose covariance, less this variance, is `profile` over rings of lags of these weights."""
    lost = 0.0
    for _ in range(20):
        raised = profile + lost
        end = int(np.argmax(raised <= 0)) if (raised <= 0).any() else len(raised)
        lost = min(float(raised[:end] @ weights[:end]), profile[0])
    return lost


def _half_length(profile: np.ndarray, at: np.ndarray) -> float:
    """Lag at which a covariance, given at lags `at`, is half of that at lag zero without noise."""
    zero = float(np.polynomial.Polynomial.fit(at[1:4], profile[1:4], 2)(0.0)) if len(at) > 3 else float(profile[1])
    zero = max(zero, 1e-15)
    below = np.flatnonzero(profile[1:] < zero / 2)
    j = below[0] + 1 if len(below) else len(profile) - 1
    before, start = (profile[j - 1], at[j - 1]) if j > 1 else (zero, 0.0)
    share = np.clip((before - zero / 2) / max(before - profile[j], 1e-15), 0, 1)
    return float(start + share * (at[j] - start))


def _periodogram(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequency (H, W // 2 + 1), angle, and power (N, H, W // 2 + 1) of windowed images."""
    grey = luminance(images)
    height, width = grey.shape[1:]
    window = hann(height, width)
    # the window's own mean is taken out of the image, so that no constant leaks into the lowest ring
    grey = grey - (grey * window).sum((1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.rfft2(grey * window)) ** 2 / (window**2).sum()
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    return np.hypot(fy, fx), np.arctan2(fy, fx), power


def hann(height: int, width: int) -> np.ndarray:
    """Hann window (H, W) without the zeros at its ends."""
    return np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]


def _check_side(grey: np.ndarray, least: int) -> None:
    if min(grey.shape[1:]) < least:
        raise InputError(f"images must be at least {least} pixels wide and high, got {grey.shape[2]} x {grey.shape[1]}")


def _diagonal(grey: np.ndarray) -> np.ndarray:
    """Diagonal Haar coefficients at every pixel; unit white noise gives unit variance."""
    return (grey[:, 1:, 1:] - grey[:, 1:, :-1] - grey[:, :-1, 1:] + grey[:, :-1, :-1]) / 2


def _halved(grey: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in grey.shape[1:])
    return grey[:, :height, :width].reshape(len(grey), height // 2, 2, width // 2, 2).mean((2, 4))
