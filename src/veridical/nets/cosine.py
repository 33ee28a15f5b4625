"""Squares of pixels as cosine coefficients: fewer places to work on, and each scale of structure with its own measure."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct
from torch import Tensor, nn


class BlockCosine(nn.Module):
    """Squares of `patch` x `patch` pixels to their orthonormal cosine coefficients and back; for 2 the Haar wavelet.

    Images are standardised on the way, so that coefficients have mean 0 and, on the whole, standard deviation 0.5.

    Parameters
    ----------
    channels : int
        Of the images.
    patch : int
        Side of the squares; 1 keeps pixels.

    Attributes
    ----------
    deviation : Tensor, shape (1, channels * patch**2, 1, 1)
        Standard deviation of each coefficient, as `measure` found it.
    """

    mean: Tensor
    scale: Tensor
    deviation: Tensor
    basis: Tensor

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.register_buffer("basis", cosine_basis(patch).repeat(channels, 1, 1, 1), persistent=False)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("deviation", torch.full((1, channels * patch**2, 1, 1), 0.5))

    @torch.no_grad()
    def measure(self, image: Tensor) -> None:
        """Take mean and standard deviations from images (N, C, H, W)."""
        self.mean.copy_(image.mean((0, 2, 3), keepdim=True))
        self.scale.copy_(0.5 / (image - self.mean).std().clamp(min=1e-3))
        self.deviation.copy_(self.encode(image).square().mean((0, 2, 3), keepdim=True).sqrt().clamp(min=1e-3))

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to coefficients (N, C * patch**2, H / patch, W / patch)."""
        return F.conv2d((x - self.mean) * self.scale, self.basis, stride=self.patch, groups=x.shape[1])

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        images = F.conv_transpose2d(z, self.basis, stride=self.patch, groups=self.mean.shape[1])
        return images / self.scale + self.mean


def cosine_basis(patch: int) -> Tensor:
    """Orthonormal two-dimensional cosine functions on a square, shape (patch**2, 1, patch, patch)."""
    line = torch.from_numpy(dct(np.eye(patch), norm="ortho", axis=0)).float()
    return torch.einsum("ay,bx->abyx", line, line).reshape(patch**2, 1, patch, patch)
