"""Physical descriptors and deep features: what the audit measures on every image. Settled on real images once."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.files import read_kept, write_kept
from veridical.core.version import __version__
from veridical.metrics import physics_grey as grey
from veridical.metrics import physics_phases as phases
from veridical.metrics import physics_spectrum as spectrum
from veridical.metrics import physics_structure as structure

BANDS = 8  # rings of the power spectrum
SHOWN = 1e-3  # share of an image that a phase must have to be seen in it
RADII = (1, 2, 3, 4, 6, 8, 12)  # of the granulometry, pixels
EIGHT_BIT = 1 / 255
KEPT = 2  # counted up when other things are measured, so that what was kept before is measured again

COLOUR = ("red_green", "yellow_blue", "red_green_spread", "yellow_blue_spread", "chroma")
TONE = ("mean", "log_contrast", "q05", "q50", "q95")
PROPERTIES = (
    "phase_fraction", "log_size", "log_chord_bright", "log_chord_dark", "perimeter", "euler", "log_grain",
    "direction_cos", "direction_sin", "coherence", "slope",
)  # fmt: skip
SHAPES = (
    "particles", "diameter", "diameter_spread", "circularity", "elongation", "solidity", "neighbour",
    "neighbour_spread", "length", "tips", "branch_points", "width",
)  # fmt: skip
SHADING = ("shading_x", "shading_y", "shading_corners")
SPECTRUM = tuple(f"band_{k}" for k in range(BANDS))  # what the columns of `Measured.bands` are called


@dataclass(frozen=True)
class Segmentation:
    """How grey levels become two phases, fixed on real images: smoothing in pixels and threshold in grey levels."""

    sigma: float
    threshold: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Brighter phase of (N, C, H, W), bool (N, H, W)."""
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(contrast_image(images), (0, self.sigma, self.sigma)) > self.threshold


def contrast_image(images: np.ndarray) -> np.ndarray:
    """The one channel to segment, (N, H, W): grey levels, or of colour images red, where roots stand out of blue paper."""
    images = np.asarray(images, np.float64)
    return images[:, 0]


def fit_segmentation(real: np.ndarray, sigma: float = 1.0) -> Segmentation:
    """Otsu's threshold of all real images together, after a Gaussian of `sigma` pixels.

    If less than half of the images show both phases (a few grains of a bright mineral, say), it is that of what is left
    without the rare phase.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    smooth = gaussian_filter(contrast_image(real), (0, sigma, sigma))
    if np.ptp(smooth) < 1e-9:
        return Segmentation(sigma, float(smooth.flat[0]))
    threshold = threshold_otsu(smooth)
    bright = smooth > threshold
    share = bright.mean((1, 2))
    if np.mean(np.minimum(share, 1 - share) > SHOWN) < 0.5:
        threshold = threshold_otsu(smooth[bright == (bright.mean() > 0.5)])
    return Segmentation(sigma, float(threshold))


@dataclass(frozen=True)
class Measured:
    """Measurements of one set of N images.

    Attributes
    ----------
    values : dict of (N,) float64; what is not defined for an image (the size of particles where there are none) is NaN
    bands : (N, BANDS) natural logarithm of the power spectrum in rings
    deep : (N, d) pooled features of EfficientNet-Lite0
    patches : (N, P, p) local features, row by row over a grid of P places
    copy_distance : (N,) distance to the nearest training crop, or None where nothing was searched
    """

    values: dict[str, np.ndarray]
    bands: np.ndarray
    deep: np.ndarray
    patches: np.ndarray
    copy_distance: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.bands)

    def __getitem__(self, rows: np.ndarray) -> Measured:
        """Some of the images."""
        copies = None if self.copy_distance is None else self.copy_distance[rows]
        values = {name: each[rows] for name, each in self.values.items()}
        return Measured(values, self.bands[rows], self.deep[rows], self.patches[rows], copies)

    def table(self, names: Iterable[str]) -> np.ndarray:
        """Some of the values, (N, len(names))."""
        return np.stack([self.values[name] for name in names], 1)

    def with_copies(self, distance: np.ndarray) -> Measured:
        """The same with copy distances."""
        return replace(self, copy_distance=np.asarray(distance, np.float64))


def measure(
    images: np.ndarray,
    segmentation: Segmentation,
    *,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Measure images.

    Parameters
    ----------
    images : (N, C, H, W) in [0, 1]
    cache : None for none, or a folder: measurements are kept there by a hash of the images and of how they are measured
    progress : function called with (done, total) images
    """
    stored = None
    if cache is not None:
        images = np.ascontiguousarray(images, np.float32)
        digest = hashlib.sha256(repr((__version__, KEPT, segmentation, images.shape)).encode())
        digest.update(images.tobytes())
        stored = Path(cache) / f"measured-{digest.hexdigest()[:32]}.npz"
        if (found := _load(stored)) is not None:
            return found
    found = _measure_all(images, segmentation, progress)
    if stored is not None:
        content = io.BytesIO()
        kept: dict[str, Any] = {f"value_{name}": each for name, each in found.values.items()}
        np.savez(content, bands=found.bands, deep=found.deep, patches=found.patches, **kept)
        write_kept(stored, content.getvalue())
    return found


def _load(file: Path) -> Measured | None:
    """What was kept, or None if there is nothing or the file is damaged (it is written again then)."""
    if (content := read_kept(file)) is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        values = {name.removeprefix("value_"): kept[name] for name in kept.files if name.startswith("value_")}
        return Measured(values, kept["bands"], kept["deep"], kept["patches"])


def _measure_all(
    images: np.ndarray, segmentation: Segmentation, progress: Callable[[int, int], None] | None
) -> Measured:
    parts = []
    for start in range(0, len(images), 16):
        parts.append(_measure(images[start : start + 16], segmentation))
        if progress is not None:
            progress(min(start + 16, len(images)), len(images))
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("bands", "deep", "patches"))
    return Measured(values, *joined)


def _measure(images: np.ndarray, segmentation: Segmentation) -> Measured:
    images = np.asarray(images, np.float32)
    tone = grey.grey_statistics(images)
    values = {name: tone[name] for name in ("mean", "contrast", "skewness", "q05", "q50", "q95")}
    values["log_contrast"] = np.log(tone["contrast"] + EIGHT_BIT / 10)
    values["saturated"] = grey.saturated_share(images)
    values["colour"] = grey.chroma(images).max((1, 2))
    values |= grey.colour_statistics(images)
    noise = spectrum.noise_spectrum(images, 3)
    values |= {f"log_noise_{k}": np.log(level + EIGHT_BIT / 20) for k, level in enumerate(noise.T)}
    values["log_sharpness"] = np.log(spectrum.sharpness(images) + 1e-3)
    values["log_tails"] = np.log(spectrum.detail_tails(images) + 1e-3)
    values["flat"] = spectrum.flat_share(images)
    values["checkerboard"] = spectrum.checkerboard(images)
    values["slope"] = spectrum.spectral_slope(images)
    values["log_grain"] = np.log(spectrum.correlation_length(images) + 0.1)
    angle, coherence = spectrum.orientation(images)
    values |= {"coherence": coherence, "direction_cos": coherence * np.cos(2 * angle)}
    values["direction_sin"] = coherence * np.sin(2 * angle)
    values["log_seam"] = np.log(spectrum.seam(images) + 0.1)
    masks = segmentation(images)
    values |= dict(zip(SHADING, grey.shading(images, masks).T, strict=True))
    values |= _structure(masks)
    _, power = spectrum.radial_power_spectrum(images, BANDS)
    deep, patches = _deep(images)
    return Measured(values, np.log(power + 1e-10), deep, patches)


def _structure(masks: np.ndarray) -> dict[str, np.ndarray]:
    found = {"phase_fraction": masks.mean((1, 2))}
    area = phases.minkowski(masks)
    found |= {"perimeter": area["perimeter"], "euler": area["euler"]}
    found["log_chord_bright"] = np.log(phases.mean_chord(masks))
    found["log_chord_dark"] = np.log(phases.mean_chord(~masks))
    # the area under the granulometry is the mean radius at which the phase is lost
    found["log_size"] = np.log(0.5 + np.trapezoid(phases.granulometry(masks, RADII), RADII, axis=1))
    rows = []
    for mask in masks:
        particles = structure.particle_statistics(structure.split_particles(mask))
        rows.append(particles | structure.skeleton_statistics(mask))
    return found | {name: np.array([row[name] for row in rows]) for name in SHAPES}


def _deep(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pooled and local features: those of `features.extract`, and stages at 1/8 and 1/16 of the width (PatchCore).

    Roth et al. 2022, arXiv:2106.08265, take the two middle stages and mean-pool neighbourhoods; here the finer stage is
    pooled to the grid of the coarser one. Each stage is scaled to equal mean square.
    """
    import torch
    from torch.nn import functional as F

    from veridical.metrics import features

    size = 128 if max(images.shape[2:]) <= 128 else 224
    network = features.efficientnet_lite0()
    stages = []
    with torch.inference_mode():
        x = features.efficientnet_input(features.to_network_size(torch.from_numpy(images), size))
        x = network._swish(network._bn0(network._conv_stem(x)))
        for k, block in enumerate(network._blocks):
            x = block(x)
            if k in (4, 10):  # the last at 1/8 and at 1/16
                stages.append(x)
        x = network._swish(network._bn1(network._conv_head(x)))
        pooled = x.mean((2, 3)).numpy()
        side = stages[1].shape[-1]
        local = [F.adaptive_avg_pool2d(stage, side).flatten(2).transpose(1, 2).numpy() for stage in stages]
    # widths of 40 and 112 channels count alike
    return pooled, np.concatenate([part / np.sqrt(part.shape[2]) for part in local], 2)
