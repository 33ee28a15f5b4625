"""Metrics of image pairs: SSIM, PSNR and a perceptual distance, one number a pair.

Images are (N, C, H, W) in [0, 1]; image k of one set belongs to image k of the other. Every function refuses sets of
different shape.
"""

from collections.abc import Iterator

import numpy as np
import torch

from veridical.core.arrays import Images, ImageSet, check_array
from veridical.metrics.features import check_images, efficientnet_input, efficientnet_lite0

LPIPS_STAGES = (0, 2, 4, 10, 15)  # last block at 1/2, 1/4, 1/8, 1/16 and 1/32 of the width


def ssim(real: ImageSet, synth: ImageSet) -> np.ndarray:
    """Structural similarity of every pair, (N,), in [-1, 1], 1 for equal images.

    Wang et al. 2004, eq. 13, with their Gaussian window (sigma 1.5, 11 x 11) and population covariance:
    `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1)`, averaged over channels. Images must be at least 11 pixels wide and high.
    """
    from skimage.metrics import structural_similarity

    real, synth = _pairs(real, synth)
    return np.array(
        [
            structural_similarity(
                x, y, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            for x, y in zip(real, synth)
        ]
    )


def psnr(real: ImageSet, synth: ImageSet) -> np.ndarray:
    """Peak signal-to-noise ratio of every pair in dB, (N,), for a data range of 1; infinite for equal images."""
    from skimage.metrics import peak_signal_noise_ratio

    real, synth = _pairs(real, synth)
    with np.errstate(divide="ignore"):
        return np.array([peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in zip(real, synth)])


def lpips_efficientnet_lite0(real: ImageSet, synth: ImageSet, *, batch: int = 8) -> np.ndarray:
    """Perceptual distance of every pair, (N,), at least 0, 0 for equal images.

    The form of LPIPS (Zhang et al. 2018, arXiv:1801.03924, eq. 1): features of five stages of EfficientNet-Lite0, each
    position scaled to unit length over channels, squared differences summed over channels, averaged over positions and
    summed over stages. Uncalibrated: all channels weigh one, as no human judgements were fitted, so it ranks pairs but
    is not on the scale of `lpips_vgg`. Images keep their own size (no resize), grey is repeated to three channels.
    """
    real, synth = _pairs(real, synth)
    distance = np.empty(len(real))
    with torch.inference_mode():
        for start in range(0, len(real), batch):
            rows = slice(start, start + batch)
            total = torch.zeros(len(real[rows]))
            for x, y in zip(_stages(real[rows]), _stages(synth[rows])):
                total = total + (_unit(x) - _unit(y)).square().sum(1).mean((1, 2))
            distance[rows] = total.numpy()
    return distance


def identical(real: ImageSet, synth: ImageSet) -> np.ndarray:
    """Which pairs are equal in every pixel, (N,) bool: a finding about the inputs, never a best score."""
    real, synth = _pairs(real, synth)
    return (real == synth).all(axis=(1, 2, 3))


def _stages(images: Images) -> Iterator[torch.Tensor]:
    network = efficientnet_lite0()
    x = efficientnet_input(torch.from_numpy(images).expand(-1, 3, -1, -1))
    x = network._swish(network._bn0(network._conv_stem(x)))
    for k, block in enumerate(network._blocks):
        x = block(x)
        if k in LPIPS_STAGES:
            yield x


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _pairs(real: ImageSet, synth: ImageSet) -> tuple[Images, Images]:
    real, synth = check_images(real, "real"), check_images(synth, "synth")
    for images, name in ((real, "real"), (synth, "synth")):
        check_array(images, name, "(N, C, H, W)")
    if real.shape != synth.shape:
        raise ValueError(f"paired metrics need pairs of one shape, got {real.shape} and {synth.shape}")
    return real, synth
