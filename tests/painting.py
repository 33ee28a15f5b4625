"""What tests of painting share: models whose images are known, prompts, and measures of a seam."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn

from veridical.diffusion.solvers import karras_grid
from veridical.models.diffusion.settings import Sampling
from veridical.nets.spectrum import Spectrum

SIZE, FACTOR, DEVIATION = 32, 4, 0.1


def strengths(square):
    """Of waves with this square of half waves a tile: smooth structure and a little noise."""
    return 0.05 + 1 / (1 + square / 40)


class Gaussian(nn.Module):
    """Gaussian images of mean 0.5, and their exact denoiser.

    With `latent` in squares of 4 x 4 pixels as channels, from which the decoder makes images that are too dark by `dark`.
    The prompt "20" makes images brighter by 0.20, and so does an embedding that begins with 20.
    """

    def __init__(self, latent=False, dark=0.0):
        super().__init__()
        self.spectrum = Spectrum(1, SIZE)
        frequency = torch.arange(SIZE).square()
        deviation = strengths(frequency[:, None] + frequency)
        self.spectrum.deviation.copy_(0.5 * deviation / deviation.square().mean().sqrt())
        self.spectrum.scale.fill_(0.5 / (2 * DEVIATION))
        self.sampling, self.latent, self.dark = Sampling(), latent, dark
        self.shape = (FACTOR**2, SIZE // FACTOR, SIZE // FACTOR) if latent else (1, SIZE, SIZE)

    def encode(self, x):
        z = self.spectrum.encode(x)
        return F.pixel_unshuffle(z, FACTOR) if self.latent else z

    def decode(self, z):
        return self.spectrum.decode(F.pixel_shuffle(z, FACTOR) if self.latent else z) - 2 * self.dark

    def denoise(self, x, sigma, cond=None):
        z = F.pixel_shuffle(x, FACTOR) if self.latent else x
        said = [value[:, 0] for name, value in (cond or {}).items() if name in ("text", "embedding")]
        shift = sum(said, torch.zeros(len(x))).reshape(-1, 1, 1, 1) / 50 * self.spectrum.scale
        clean = shift + self.spectrum.wiener(z - shift, sigma.reshape(-1, 1, 1, 1))[0]
        return F.pixel_unshuffle(clean, FACTOR) if self.latent else clean

    def ends(self, sampling=None):
        return 0.01, 80.0

    def grid(self, sampling=None):
        return karras_grid((sampling or self.sampling).sampling_steps, 0.01, 80.0)

    def start(self, noise, sigma):
        return sigma * noise(self.shape)


class Numbers:
    """Words that are numbers."""

    def cond(self, texts):
        return {"text": torch.tensor([[float(text or 0)] for text in texts])}

    def places(self, text):
        return [(text, (0,))]


def textures(n, height=SIZE, width=SIZE, seed=0):
    """Images as those of `Gaussian`, of any size."""
    waves = [2 * SIZE * np.fft.fftfreq(length) for length in (height, width)]
    strength = strengths(waves[0][:, None] ** 2 + waves[1] ** 2)
    white = np.fft.fft2(np.random.default_rng(seed).standard_normal((n, 1, height, width)))
    grey = np.fft.ifft2(white * strength).real * DEVIATION / np.sqrt(np.square(strength).mean())
    return (0.5 + grey).clip(0, 1).astype(np.float32)


def border_ratio(images, masks):
    """Root mean square of differences of neighbours across the border of masks, over that of other neighbours outside."""
    across, other = [], []
    for axis in (1, 2):
        step = np.diff(images[:, 0], axis=axis)
        lower, upper = np.delete(masks, -1, axis), np.delete(masks, 0, axis)
        across.append(step[lower != upper])
        other.append(step[~lower & ~upper])
    return np.sqrt(np.square(np.concatenate(across)).mean() / np.square(np.concatenate(other)).mean())


def ring_shift(images, masks, width=3):
    """Mean of a ring inside masks minus that of one outside: the mean over images, in its standard errors."""
    box = np.ones((1, 3, 3))
    inner = masks & ~ndimage.binary_erosion(masks, box, iterations=width, border_value=1)
    outer = ndimage.binary_dilation(masks, box, iterations=width) & ~masks
    shifts = np.array([i[a].mean() - i[b].mean() for i, a, b in zip(images[:, 0], inner, outer, strict=True)])
    return shifts.mean() / (shifts.std(ddof=1) / np.sqrt(len(shifts)))
