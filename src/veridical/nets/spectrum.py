"""The spectrum of images: what second-order statistics know of them, and the best denoiser that knows no more."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn


class Spectrum(nn.Module):
    """Standard deviation of every coefficient of the cosine transform of whole images, measured once.

    The cosine transform continues images by reflection, so it nearly diagonalises the covariance of a stationary material whose
    tiles are not periodic: coefficients can be denoised one by one.

    Parameters
    ----------
    channels, size : int

    Attributes
    ----------
    deviation : Tensor, shape (1, C, S, S)
        Of each coefficient of encoded images; the root of its mean square is 0.5.
    """

    mean: Tensor
    scale: Tensor
    deviation: Tensor
    basis: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        line = torch.from_numpy(dct(np.eye(size), norm="ortho", axis=0)).float()
        self.register_buffer("basis", line, persistent=False)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("deviation", torch.full((1, channels, size, size), 0.5))

    @torch.no_grad()
    def measure(self, image: Tensor) -> None:
        """Take mean and standard deviations from images (N, C, S, S)."""
        self.mean.copy_(image.mean((0, 2, 3), keepdim=True))
        self.scale.copy_(0.5 / (image - self.mean).std(unbiased=False).clamp(min=1e-3))
        power = self.transform(self.encode(image)).square().mean(0, keepdim=True)
        self.deviation.copy_(power.sqrt().clamp(min=1e-3))

    def encode(self, x: Tensor) -> Tensor:
        """Images to images of mean 0 and standard deviation 0.5."""
        return (x - self.mean) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return z / self.scale + self.mean

    def transform(self, x: Tensor) -> Tensor:
        """Orthonormal cosine coefficients (type 2) of images (N, C, S, S)."""
        return self.basis @ x @ self.basis.mT

    def inverse(self, z: Tensor) -> Tensor:
        """Images of cosine coefficients."""
        return self.basis.mT @ z @ self.basis

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
        error = (kept * sigma**2).mean((1, 2, 3), keepdim=True).sqrt()
        return self.inverse(kept * self.transform(x)), error
