"""Everything diffusive is one denoiser: a network between scalings, a law of training noise, a grid and a solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..errors import InputError
from ..nets.spectrum import Spectrum
from ..nets.unet import UNet
from ..samplers import SOLVERS, karras_grid

SIGMA_DATA = 0.5  # standard deviation of encoded images


def log_normal_noise(normal: Tensor, mean: float, std: float) -> Tensor:
    """Training noise levels ``exp(mean + std * normal)`` (Karras et al. 2022, table 1)."""
    return (mean + std * normal).exp()


class Denoiser(nn.Module):
    """A diffusion model (EDM: Karras et al. 2022) whose skip connection is the Wiener filter of the data.

    EDM's skip connection is the best linear denoiser of white images. Here it is that of images with the spectrum of the data,
    measured once (`veridical.nets.spectrum.Spectrum`): the untrained model already draws a Gaussian texture with the right
    spectrum, and the network learns only what a spectrum does not say. For a flat spectrum the scalings are those of Karras
    et al. 2022, table 1. The network sees the noisy image and the Wiener estimate, with squares of `patch` x `patch` pixels as
    channels.

    Parameters
    ----------
    channels, size : int
        Shape of what is denoised (images, or latents of another model).
    patch : int
        Side of the squares.
    widths, layers, attention, dropout
        The network, see `veridical.nets.unet.UNet`.
    noise_mean, noise_std : float
        Mean and standard deviation of the logarithm of training noise levels, for data of standard deviation 0.5.
    sigma_min, sigma_max, sampling_steps, solver
        Sampling grid and solver (`veridical.samplers.SOLVERS`).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        patch: int = 4,
        widths: tuple[int, ...] = (64, 128),
        layers: int = 1,
        attention: tuple[bool, ...] = (False, True),
        dropout: float = 0.0,
        noise_mean: float = -1.2,
        noise_std: float = 1.5,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        sampling_steps: int = 18,
        solver: str = "heun",
    ) -> None:
        super().__init__()
        if size % patch:
            raise InputError(f"tiles of {size} pixels do not divide by patch={patch}: choose another --size.")
        if solver not in SOLVERS:
            raise InputError(f"there is no solver {solver!r}: use one of {', '.join(SOLVERS)}.")
        self.shape, self.patch = (channels, size, size), patch
        inside = channels * patch**2
        self.net = UNet(2 * inside, inside, size // patch, widths, layers, attention, dropout)
        self.parts = {"denoiser": self.net}
        self.noise_mean, self.noise_std = noise_mean, noise_std
        self.sigma_min, self.sigma_max, self.sampling_steps, self.solver = sigma_min, sigma_max, sampling_steps, solver
        self.spectrum = Spectrum(channels, size)

    def prepare(self, image: Tensor) -> None:
        """Measure mean and spectrum of the data: preconditioning assumes that they are known."""
        self.spectrum.measure(image)

    def encode(self, x: Tensor) -> Tensor:
        """Images to images of mean 0 and standard deviation 0.5."""
        return self.spectrum.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return self.spectrum.decode(z)

    def _denoise(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The denoised image, and the error (N, 1, 1, 1) that the Wiener filter alone would leave."""
        level = sigma.reshape(-1, 1, 1, 1)
        estimate, error = self.spectrum.wiener(x, level)
        seen = torch.cat([x * (level**2 + SIGMA_DATA**2).rsqrt(), estimate / SIGMA_DATA], 1)
        # The paper feeds log(sigma) / 4 to an embedding whose fastest wave has period 2 pi; diffusers' embedding is made for
        # steps from 0 to 1000.
        change = self.net(F.pixel_unshuffle(seen, self.patch), 100 * sigma.log())
        return estimate + error * F.pixel_shuffle(change, self.patch), error

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        """Expected `x0` of ``x = x0 + sigma * noise``, where x0 is an encoded image; sigma (N,)."""
        return self._denoise(x, sigma)[0]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the squared error of the denoised image, in units of the Wiener filter's (Karras et al. 2022, eq. 8)."""
        z = self.encode(batch.image)
        sigma = log_normal_noise(batch.normal(), self.noise_mean, self.noise_std)
        clean, error = self._denoise(z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.shape), sigma)
        yield "denoiser", ((clean - z) / error).square().mean()

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Integrate from noise; shape (n, C, H, W), in [-1, 1] for images."""
        grid = karras_grid(self.sampling_steps, self.sigma_min, self.sigma_max)
        return self.decode(SOLVERS[self.solver](self.denoise, noise(self.shape) * self.sigma_max, grid, cond))
