"""Orthonormal cosine transform (type 2) of images."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn


class CosineTransform(nn.Module):
    """Over rows and columns of the principal axes of the channels.

    It continues images by reflection, so it nearly diagonalises the covariance of a stationary material whose tiles are not
    periodic. The axes of RGB images are about grey and two opponent colours: noise of coefficients is no coloured specks in
    images without colour.
    """

    axes: Tensor
    line: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.eye(channels))
        self.register_buffer(
            "line", torch.from_numpy(dct(np.eye(size), norm="ortho", axis=0)).float(), persistent=False
        )

    @torch.no_grad()
    def measure(self, image: Tensor, apart: int = 0) -> None:
        """Take the axes from images (N, C, S, S); channels from number `apart` on (0: none) have axes of their own."""
        values = image.transpose(0, 1).flatten(1)
        groups = [values[:apart], values[apart:]] if apart else [values]
        axes = torch.block_diag(*(torch.linalg.eigh(torch.cov(v).reshape(len(v), -1)).eigenvectors.T for v in groups))
        # Axes that point to the same side on every machine.
        self.axes.copy_(axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign())

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients of images, both (N, C, S, S)."""
        return torch.einsum("dc,nchw->ndhw", self.axes, self.line @ x @ self.line.T)

    def inverse(self, x: Tensor) -> Tensor:
        """Images of coefficients."""
        return torch.einsum("dc,ndhw->nchw", self.axes, self.line.T @ x @ self.line)
