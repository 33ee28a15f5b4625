"""Embeddings of images as standard numbers, and with noise on them, of a level that is told (Stable unCLIP)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from veridical.diffusion.formulations import STEPS, ddpm_levels


class Normaliser(nn.Module):
    """Mean and deviation of each number of embeddings (N, dim), measured once on training images."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    @torch.no_grad()
    def measure(self, z: Tensor) -> None:
        """Take them from embeddings (N, dim)."""
        self.mean.copy_(z.mean(0))
        self.deviation.copy_(z.std(0).clamp(min=1e-4))

    def forward(self, z: Tensor) -> Tensor:
        """Standardised embeddings."""
        return (z - self.mean) / self.deviation

    def inverse(self, z: Tensor) -> Tensor:
        """Embeddings of standardised ones."""
        return z * self.deviation + self.mean


def noised(z: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """Standardised embeddings (N, dim) after `level` (N,) of the thousand cosine steps of DDPM, and behind them the level.

    A level is told as time is to a network: by waves, (N, 2 * dim) in all. It is what diffusers'
    `StableUnCLIPPipeline.noise_image_embeddings` gives, but for the standardisation.
    """
    from diffusers.models.embeddings import get_timestep_embedding

    sigma = ddpm_levels("cosine").to(z)[level][:, None]
    waves = get_timestep_embedding(level, z.shape[1], flip_sin_to_cos=True, downscale_freq_shift=0)
    return torch.cat([(z + sigma * noise) * (1 + sigma**2).rsqrt(), waves.to(z)], 1)


def random_level(uniform: Tensor) -> Tensor:
    """One of the levels (N,), all equally likely, of uniform numbers (N,)."""
    return (uniform * STEPS).long().clamp(max=STEPS - 1)


def between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Vectors (N, dim) of length 1 on the great circles from one to another, at a share (N,) of the angle between them.

    Spherical interpolation (Shoemake 1985); opposite vectors have no shortest way and give the first of many.
    """
    first, second = nn.functional.normalize(first, dim=-1), nn.functional.normalize(second, dim=-1)
    cosine = (first * second).sum(-1, keepdim=True).clamp(-1, 1)
    angle, share = cosine.acos(), share[:, None]
    # Along a line where there is no angle to speak of.
    straight = angle.sin() < 1e-4
    sine = torch.where(straight, torch.ones_like(angle), angle.sin())
    a = torch.where(straight, 1 - share, ((1 - share) * angle).sin() / sine)
    b = torch.where(straight, share, (share * angle).sin() / sine)
    return nn.functional.normalize(a * first + b * second, dim=-1)
