"""Everything diffusive is one denoiser: a network between scalings, a law of training noise, a grid and a solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..batch import Batch
from ..nets.unet import UNet
from ..samplers import SOLVERS, karras_grid


class Scalings(NamedTuple):
    """``denoise = skip * x + out * net(in_ * x, time)``, and the weight of the squared error of `denoise`."""

    skip: Tensor
    out: Tensor
    in_: Tensor
    time: Tensor
    weight: Tensor


def edm_scalings(sigma: Tensor, sigma_data: float) -> Scalings:
    """Unit-variance input and target at every noise level (Karras et al. 2022, table 1, last column)."""
    total = (sigma**2 + sigma_data**2).sqrt()
    return Scalings(
        skip=sigma_data**2 / total**2,
        out=sigma * sigma_data / total,
        in_=1 / total,
        # The paper feeds log(sigma) / 4 to an embedding whose fastest wave has period 2 pi; diffusers' embedding is made for
        # steps from 0 to 1000.
        time=100 * sigma.log(),
        weight=total**2 / (sigma * sigma_data) ** 2,
    )


def log_normal_noise(normal: Tensor, mean: float, std: float) -> Tensor:
    """Training noise levels ``exp(mean + std * normal)`` (Karras et al. 2022, table 1)."""
    return (mean + std * normal).exp()


class Denoiser(nn.Module):
    """A diffusion model (EDM: Karras et al. 2022).

    Parameters
    ----------
    channels, size : int
        Shape of what is denoised (images, or latents of another model).
    patch, widths, layers, attention, dropout
        The network, see `veridical.nets.unet.UNet`.
    sigma_data : float
        Standard deviation that `encode` gives the data.
    noise_mean, noise_std : float
        Mean and standard deviation of the logarithm of training noise levels.
    sigma_min, sigma_max, sampling_steps, solver
        Sampling grid and solver (`veridical.samplers.SOLVERS`).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        patch: int = 4,
        widths: tuple[int, ...] = (128, 256),
        layers: int = 2,
        attention: tuple[bool, ...] = (False, True),
        dropout: float = 0.0,
        sigma_data: float = 0.5,
        noise_mean: float = -1.2,
        noise_std: float = 1.2,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        sampling_steps: int = 18,
        solver: str = "heun",
    ) -> None:
        super().__init__()
        self.net = UNet(channels, size, patch, widths, layers, attention, dropout)
        self.parts = {"denoiser": self.net}
        self.shape = (channels, size, size)
        self.sigma_data, self.noise_mean, self.noise_std = sigma_data, noise_mean, noise_std
        self.sigma_min, self.sigma_max, self.sampling_steps, self.solver = sigma_min, sigma_max, sampling_steps, solver
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(()))

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Measure mean (per channel) and standard deviation of the data: preconditioning assumes that they are known."""
        self.mean.copy_(image.mean((0, 2, 3), keepdim=True))
        self.std.copy_((image - self.mean).std().clamp(min=1e-3))

    def encode(self, x: Tensor) -> Tensor:
        """Images in [-1, 1] to zero mean and standard deviation `sigma_data`, where the denoiser works."""
        return (x - self.mean) * (self.sigma_data / self.std)

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return z * (self.std / self.sigma_data) + self.mean

    def _denoise(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Scalings]:
        scalings = Scalings(*(s.reshape(-1, 1, 1, 1) for s in edm_scalings(sigma, self.sigma_data)))
        return scalings.skip * x + scalings.out * self.net(scalings.in_ * x, scalings.time.flatten()), scalings

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        """Expected `x0` of ``x = x0 + sigma * noise``, where x0 is an encoded image; x (N, C, H, W), sigma (N,)."""
        return self._denoise(x, sigma)[0]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the weighted squared error of the denoised image (Karras et al. 2022, eq. 8)."""
        z = self.encode(batch.image)
        sigma = log_normal_noise(batch.normal(), self.noise_mean, self.noise_std)
        clean, scalings = self._denoise(z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.shape), sigma)
        yield "denoiser", (scalings.weight * (clean - z).square()).mean()

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Integrate from noise; shape (n, C, H, W), in [-1, 1] for images."""
        grid = karras_grid(self.sampling_steps, self.sigma_min, self.sigma_max)
        return self.decode(SOLVERS[self.solver](self.denoise, noise(self.shape) * self.sigma_max, grid, cond))
