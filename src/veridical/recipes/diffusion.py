"""Rows of diffusion models."""

from __future__ import annotations

from torch import nn

from ..models.denoiser import Denoiser
from ..models.latent import LatentDiffusion
from .recipe import Recipe


def latent_diffusion(
    first: nn.Module,
    widths: tuple[int, ...] = (64, 128),
    layers: int = 1,
    attention: tuple[bool, ...] = (False, True),
    dropout: float = 0.0,
    sampling_steps: int = 18,
    solver: str = "heun",
) -> LatentDiffusion:
    """A `Denoiser` of the latents of `first`."""
    channels, size, _ = first.shape  # type: ignore[misc]
    denoiser = Denoiser(
        channels, size, patch=1, widths=widths, layers=layers, attention=attention, dropout=dropout,
        sampling_steps=sampling_steps, solver=solver,
    )  # fmt: skip
    return LatentDiffusion(first, denoiser)


ROWS: dict[str, Recipe] = {
    "edm": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="pixel-space diffusion: preconditioned by the spectrum of the data, log-normal noise law, Heun's method",
        citation="Karras, Aittala, Aila and Laine 2022, arXiv:2206.00364",
        train={"lr": 1e-3, "batch": 8, "warmup": 20, "decay": 0.5},
        sampling=("sampling_steps", "solver", "sigma_min", "sigma_max"),
    ),
    "latent_diffusion": Recipe(
        latent_diffusion,
        family="diffusion",
        task="unconditional",
        summary="diffusion in the latents of a frozen autoencoder",
        citation="Rombach et al. 2022, arXiv:2112.10752",
        train={"lr": 1e-3, "batch": 16, "warmup": 20},
        sampling=("sampling_steps", "solver"),
        first="autoencoder",
        first_share=0.3,
    ),
}
