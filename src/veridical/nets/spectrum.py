"""The spectrum of images or volumes: what second-order statistics know of them, and the best denoiser that knows no more."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import irfftn, rfftn
from torch import Tensor, nn

from veridical.nets.cosine import CosineTransform


class Spectrum(nn.Module):
    """Standard deviation of every coefficient of the cosine transform of whole images, or volumes, measured once.

    Coefficients are nearly independent (`veridical.nets.cosine.CosineTransform`), so they can be denoised one by one.

    Parameters
    ----------
    channels, size : int
    dims : int
        2 of images (N, C, S, S), 3 of volumes (N, C, S, S, S); shapes below are those of images.

    Attributes
    ----------
    deviation : Tensor, shape (1, C, S, S)
        Of each coefficient of encoded images; the root of its mean square is 0.5.
    """

    mean: Tensor
    scale: Tensor
    deviation: Tensor

    def __init__(self, channels: int, size: int, dims: int = 2) -> None:
        super().__init__()
        self.transform = CosineTransform(channels, size)
        self.register_buffer("mean", torch.zeros(1, channels, *[1] * dims))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("deviation", torch.full((1, channels, *[size] * dims), 0.5))

    @torch.no_grad()
    def measure(self, image: Tensor, apart: int = 0, standardise: bool = True) -> None:
        """Take mean and standard deviations from images (N, C, S, S); for `apart` see `CosineTransform.measure`.

        Images that are not standardised are encoded as they are.
        """
        if standardise:
            self.mean.copy_(image.mean((0, *range(2, image.dim())), keepdim=True))
            self.scale.copy_(0.5 / (image - self.mean).std(unbiased=False).clamp(min=1e-3))
        self.transform.measure(image, apart)
        power = self.transform(self.encode(image)).square().mean(0, keepdim=True)
        self.deviation.copy_(power.sqrt().clamp(min=1e-3))

    def encode(self, x: Tensor) -> Tensor:
        """Images to images of mean 0 and standard deviation 0.5."""
        return (x - self.mean) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return z / self.scale + self.mean

    def wiener(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Best linear estimate of encoded images from ``x = x0 + sigma * noise`` (Wiener 1949), and the error that it leaves.

        Parameters
        ----------
        x : Tensor, shape (N, C, S, S)
        sigma : Tensor, shape (N, 1, 1, 1)

        Returns
        -------
        estimate : Tensor, shape (N, C, S, S)
        error : Tensor, shape (N, 1, 1, 1)
            Root mean square.
        """
        kept = self.deviation**2 / (self.deviation**2 + sigma**2)
        error = (kept * sigma**2).mean(tuple(range(1, x.dim())), keepdim=True).sqrt()
        return self.transform.inverse(kept * self.transform(x)), error

    def noisy(self, noise: Tensor, sigma: float) -> Tensor:
        """Gaussian images with the spectrum of ``x0 + sigma * noise``, made from white noise (N, C, S, S) of deviation 1.

        What an infinite sigma would start from, at one where coarse parts of images are as strong as the noise.
        """
        return self.transform.inverse((self.deviation**2 + sigma**2).sqrt() * self.transform(noise))

    def noisy_at(self, noise: Tensor, sigma: float) -> Tensor:
        """`noisy` for images of any size, with periodic borders and the same law everywhere: from white noise (N, C, H, W).

        The variance of a coefficient of an orthonormal transform is the spectral density at its frequency, whatever the size: in
        between it is interpolated, and frequencies below those of a tile have that of a tile's mean, as nobody has seen more of
        them.
        """
        sides = noise.shape[2:]
        power = self.deviation.square().double().cpu().numpy()
        size, space = power.shape[-1], tuple(range(2, power.ndim))
        *depth, rows, columns = (_between(2 * size * np.abs(np.fft.fftfreq(side)), size) for side in sides)
        variance = power.mean(space)[..., *[None] * len(space)]
        for along in depth:
            power = np.moveaxis(np.tensordot(along, power, (1, 2)), 0, 2)
        # The density between a tile's coefficients is not quite their mean: as much variance is kept as tiles have.
        between = rows.mean(0) @ power @ columns.mean(0)
        power *= variance / between.reshape(*between.shape[:2], -1).mean(-1)[..., *[None] * len(space)]
        density = np.sqrt(rows @ power @ columns[: sides[-1] // 2 + 1].T + sigma**2).astype(np.float32)
        white = torch.einsum("dc,nc...->nd...", self.transform.axes.cpu(), noise.cpu()).numpy()
        made = irfftn(density * rfftn(white, axes=space, norm="ortho"), s=sides, axes=space, norm="ortho")
        return torch.einsum("dc,nd...->nc...", self.transform.axes, torch.from_numpy(made).to(noise))


def _between(places: np.ndarray, size: int) -> np.ndarray:
    """Weights (N, size) that interpolate numbers at 0, 1, ..., size - 1 to other places; beyond the last it stays."""
    places = places.clip(max=size - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))
