"""Images of any brightness and contrast as what networks expect: mean 0, standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Shift and scale, measured once on training images.

    Layers without normalisation, and with the learning rates of papers whose images fill [-1, 1], learn little from images of
    little contrast.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    @torch.no_grad()
    def measure(self, image: Tensor) -> None:
        """Take mean and standard deviation from images (N, C, H, W)."""
        self.mean.copy_(image.mean())
        self.deviation.copy_(image.std().clamp(min=1e-3))

    def forward(self, image: Tensor) -> Tensor:
        """Standardised images."""
        return (image - self.mean) / self.deviation

    def inverse(self, x: Tensor) -> Tensor:
        """Images of what was standardised."""
        return x * self.deviation + self.mean
