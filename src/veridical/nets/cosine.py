"""Orthonormal cosine transform (type 2) of images and volumes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn


class CosineTransform(nn.Module):
    """Over rows and columns, and the depth of volumes, of the principal axes of the channels.

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
        """Take the axes from images (N, C, S, S) or volumes; channels from number `apart` on (0: none) have axes of their own."""
        values = image.transpose(0, 1).flatten(1)
        groups = [values[:apart], values[apart:]] if apart else [values]
        axes = torch.block_diag(*(torch.linalg.eigh(torch.cov(v).reshape(len(v), -1)).eigenvectors.T for v in groups))
        # Axes that point to the same side on every machine.
        self.axes.copy_(axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign())

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients of images, both (N, C, S, S), or of volumes, (N, C, S, S, S)."""
        return torch.einsum("dc,nc...->nd...", self.axes, self._over_depth(self.line @ x @ self.line.T, self.line))

    def inverse(self, x: Tensor) -> Tensor:
        """Images of coefficients."""
        return torch.einsum("dc,nd...->nc...", self.axes, self._over_depth(self.line.T @ x @ self.line, self.line.T))

    def _over_depth(self, x: Tensor, line: Tensor) -> Tensor:
        """A transform of lines along the depth of volumes; of images nothing."""
        return x if x.dim() == 4 else (line @ x.flatten(3)).view_as(x)
