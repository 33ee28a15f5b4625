"""A parallel-beam X-ray microCT scan of one slice: projection, phase contrast, photon noise, rings, reconstruction.

The slice is a square tile of a larger sample. It is projected in its own frame, embedded in a uniform medium of its own
mean, while detector columns are counted from the rotation axis, which may lie anywhere, also outside the tile: ring
artefacts are then arcs round that axis, as in a crop of a real slice.

The projector splats pixel centres into quarter-pixel bins and applies the exact square-pixel footprint in the Fourier
domain. At 256 x 256 and 360 angles a projection with its reconstruction takes about 0.35 s on one core, against 1.55 s
for `skimage.transform.radon` and `iradon` over the same field; both agree (see the tests).
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

SPLAT = 4  # bins a pixel when projecting; shared linearly between two bins, since rounding beats with the pixel grid
TABLE = 8  # entries a pixel of a filtered projection, so that back-projection can take the nearest one


@dataclass(frozen=True)
class Scan:
    """Settings of a scan.

    Attributes
    ----------
    n_angles : views over 180 degrees.
    photons : mean photons that a detector column counts in one view of the open beam.
    attenuation : attenuation of a pixel of image value 1 (per pixel length).
    sample_diameter : path length in pixels through the whole sample, of the tile's mean value.
    elongation : how much longer that path is along `elongation_angle` (radians) than across; makes noise streaky.
    gain_std : standard deviation of the relative gain error of a detector column (what flat-field correction leaves).
    bad_columns : share of columns with a ten times larger gain error.
    phase : edge enhancement by free-space propagation of a single material, in pixels squared.
    blur : standard deviation of the detector's point spread, in pixels.
    axis : (y, x) of the rotation axis in pixels, from the tile's centre.
    filter_name : "ramp", "shepp-logan", "cosine", "hamming" or "hann".
    cutoff : where the filter ends, as a share of the detector's highest frequency; less than 1 makes the grain of the
        noise coarser than a pixel.
    """

    n_angles: int = 360
    photons: float = 3e5
    attenuation: float = 0.003
    sample_diameter: float = 800.0
    elongation: float = 0.0
    elongation_angle: float = 0.0
    gain_std: float = 0.001
    bad_columns: float = 0.01
    phase: float = 0.0
    blur: float = 0.4
    axis: tuple[float, float] = (0.0, 0.0)
    filter_name: str = "ramp"
    cutoff: float = 1.0


def view_angles(n_angles: int) -> np.ndarray:
    """Evenly spaced view angles over 180 degrees, in radians."""
    return np.arange(n_angles) * (np.pi / n_angles)


def detector_width(size: int) -> int:
    """Detector columns that cover the diagonal of a square tile, with room for the blur of its corners."""
    return int(np.ceil(size * np.sqrt(2) / 2)) * 2 + 16


def _first_columns(angles: np.ndarray, axis: tuple[float, float], width: int) -> tuple[np.ndarray, np.ndarray]:
    """First absolute detector column of each view, and the sub-pixel place of the tile's centre in the view."""
    offset = axis[0] * np.sin(angles) - axis[1] * np.cos(angles)
    whole = np.round(offset)
    return whole.astype(int) - width // 2, width / 2 + (offset - whole)


def project(
    image: np.ndarray,
    angles: np.ndarray,
    *,
    axis: tuple[float, float] = (0.0, 0.0),
    phase: float = 0.0,
    blur: float = 0.0,
) -> np.ndarray:
    """Line integrals of a square image, zero outside it (Radon transform, parallel beam).

    Propagation over a short distance changes the projection p of a single material into p - phase * p'' (transport of
    intensity, linearised; Paganin et al. 2002, J. Microsc. 206, eq. 9 before inversion).

    Parameters
    ----------
    image : (S, S) float array.
    angles : (A,) radians, turning as in `skimage.transform.radon`.
    axis : rotation axis (y, x) from the image centre, in pixels.
    phase : in pixels squared.
    blur : standard deviation of a Gaussian point spread, in pixels.

    Returns
    -------
    (A, W) float64 array, in image units times pixels; W is `detector_width(S)`, with the axis at the centre,
    column W // 2 is the ray through it.
    """
    size, width = image.shape[0], detector_width(image.shape[0])
    _, centres = _first_columns(angles, axis, width)
    grid = np.arange(size) - (size - 1) / 2
    weights = np.ascontiguousarray(image, dtype=np.float64).ravel()
    bins = width * SPLAT
    splat = np.empty((len(angles), bins))
    for row, angle, centre in zip(splat, angles, centres):
        place = ((grid * np.cos(angle) + centre) * SPLAT + (-grid * np.sin(angle) * SPLAT)[:, None]).ravel()
        index = place.astype(np.intp)
        right = (place - index) * weights
        row[:] = np.bincount(index, weights - right, minlength=bins)
        row[1:] += np.bincount(index, right, minlength=bins)[:-1]
    length = fft.next_fast_len(bins + 16 * SPLAT, real=True)
    frequency = fft.rfftfreq(length, d=1 / SPLAT)
    transfer = np.sinc(frequency) * np.exp(-2 * (np.pi * blur * frequency) ** 2)
    transfer *= 1 + phase * (2 * np.pi * frequency) ** 2
    footprint = np.sinc(frequency * np.cos(angles)[:, None]) * np.sinc(frequency * np.sin(angles)[:, None])
    spread = fft.irfft(fft.rfft(splat, length, axis=1) * (footprint * transfer), length, axis=1)
    return spread[:, :bins:SPLAT] * SPLAT


def ramp_filter(length: int, filter_name: str = "ramp", cutoff: float = 1.0) -> np.ndarray:
    """Frequency response of the back-projection filter (Kak and Slaney 1988, eq. 3.29), (length // 2 + 1,)."""
    n = np.minimum(np.arange(length), length - np.arange(length))
    kernel = np.where(n % 2 == 1, -1 / (np.pi * np.maximum(n, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    frequency = fft.rfftfreq(length) / cutoff
    window = {
        "ramp": np.ones_like(frequency),
        "shepp-logan": np.sinc(frequency),
        "cosine": np.cos(np.pi * frequency),
        "hamming": 0.54 + 0.46 * np.cos(2 * np.pi * frequency),
        "hann": 0.5 + 0.5 * np.cos(2 * np.pi * frequency),
    }
    if filter_name not in window:
        raise ValueError(f"unknown filter {filter_name!r}; choose one of {', '.join(window)}")
    return fft.rfft(kernel).real * window[filter_name] * (frequency <= 0.5)


def reconstruct(
    sinogram: np.ndarray,
    angles: np.ndarray,
    size: int,
    *,
    axis: tuple[float, float] = (0.0, 0.0),
    filter_name: str = "ramp",
    cutoff: float = 1.0,
) -> np.ndarray:
    """Filtered back-projection of `project`'s output.

    Parameters
    ----------
    sinogram : (A, W) line integrals.
    angles : (A,) radians, even over 180 degrees.
    size : side S of the square image.
    axis, filter_name, cutoff : as in `Scan`.

    Returns
    -------
    (S, S) float64 array.
    """
    width = sinogram.shape[1]
    _, centres = _first_columns(angles, axis, width)
    length = fft.next_fast_len(2 * width, real=True)
    length += length % 2
    spectrum = fft.rfft(sinogram, length, axis=1) * ramp_filter(length, filter_name, cutoff)
    fine = fft.irfft(spectrum, length * TABLE, axis=1) * TABLE
    fine = np.ascontiguousarray(fine[:, : width * TABLE])
    grid = np.arange(size) - (size - 1) / 2
    image = np.zeros((size, size))
    for row, angle, centre in zip(fine, angles, centres):
        place = (grid * np.cos(angle) + centre) * TABLE + 0.5
        index = (place[None, :] + (-grid * np.sin(angle) * TABLE)[:, None]).astype(np.int32)
        image += row[index]
    return image * (np.pi / len(angles))


def gain_errors(rng: np.random.Generator, n_columns: int, gain_std: float, bad_columns: float = 0.0) -> np.ndarray:
    """Relative gain of each detector column, about 1; a share of `bad_columns` errs ten times more."""
    errors = rng.normal(0.0, gain_std, n_columns)
    errors[rng.random(n_columns) < bad_columns] *= 10
    return 1 + errors


def scan(image: np.ndarray, rng: np.random.Generator, settings: Scan) -> np.ndarray:
    """What the microscope makes of a slice.

    Photon counts are Poisson with mean ``photons * exp(-depth)`` (Beer and Lambert), times the gain of their column.

    Parameters
    ----------
    image : (S, S) float array, attenuation relative to `settings.attenuation`; about 0 to 1, dense minerals above.
    rng : generator of noise and gain errors.
    settings : a `Scan`.

    Returns
    -------
    (S, S) float64 array, in the units of `image`.
    """
    size = image.shape[0]
    angles = view_angles(settings.n_angles)
    mean = float(image.mean())
    contrast = project(image - mean, angles, axis=settings.axis, phase=settings.phase, blur=settings.blur)
    longer = 1 + settings.elongation * np.cos(angles - settings.elongation_angle)[:, None] ** 2
    around = settings.attenuation * mean * settings.sample_diameter * longer
    depth = around + settings.attenuation * contrast
    counts = rng.poisson(settings.photons * np.exp(-depth)).astype(np.float64)
    first, _ = _first_columns(angles, settings.axis, depth.shape[1])
    columns = first[:, None] + np.arange(depth.shape[1])
    low = columns.min()
    gain = gain_errors(rng, int(columns.max() - low) + 1, settings.gain_std, settings.bad_columns)
    counts *= gain[columns - low]
    measured = -np.log(np.maximum(counts, 0.5) / settings.photons)  # a starved column counts as half a photon
    signal = (measured - around) / settings.attenuation
    return mean + reconstruct(
        signal, angles, size, axis=settings.axis, filter_name=settings.filter_name, cutoff=settings.cutoff
    )


def scan_change(change: np.ndarray, settings: Scan) -> np.ndarray:
    """What a change of a slice adds to its scan, with noise and rings as they were.

    A scan is linear but for its noise, so that this is the scan of the change alone in an empty surrounding.

    Parameters
    ----------
    change : (S, S) float array, in the units of the image.
    settings : of the scan that the change is added to.

    Returns
    -------
    (S, S) float64 array.
    """
    angles = view_angles(settings.n_angles)
    sinogram = project(change, angles, axis=settings.axis, phase=settings.phase, blur=settings.blur)
    return reconstruct(
        sinogram, angles, change.shape[0], axis=settings.axis, filter_name=settings.filter_name, cutoff=settings.cutoff
    )
