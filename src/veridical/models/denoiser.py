"""Everything diffusive is one denoiser: a network between scalings, a law of training noise, a grid and a solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor, nn

from ..batch import Batch
from ..errors import InputError
from ..nets.cosine import BlockCosine
from ..nets.unet import UNet
from ..samplers import SOLVERS, karras_grid


class Scalings(NamedTuple):
    """``denoise = skip * x + out * net(in_ * x, time)``, and the weight of the squared error of `denoise`."""

    skip: Tensor
    out: Tensor
    in_: Tensor
    time: Tensor
    weight: Tensor


def edm_scalings(sigma: Tensor, sigma_data: Tensor) -> Scalings:
    """Unit-variance input and target at every noise level (Karras et al. 2022, table 1, last column).

    Parameters
    ----------
    sigma : Tensor, shape (N, 1, 1, 1)
    sigma_data : Tensor, shape (1, C, 1, 1)
        Standard deviation of each channel of the data. With one for each the skip connection is the Wiener filter of the
        channels; the paper has one for all.
    """
    total = (sigma**2 + sigma_data**2).sqrt()
    return Scalings(
        skip=sigma_data**2 / total**2,
        out=sigma * sigma_data / total,
        in_=1 / total,
        # The paper feeds log(sigma) / 4 to an embedding whose fastest wave has period 2 pi; diffusers' embedding is made for
        # steps from 0 to 1000.
        time=100 * sigma.log().flatten(),
        weight=total**2 / (sigma * sigma_data) ** 2,
    )


def log_normal_noise(normal: Tensor, mean: float, std: float) -> Tensor:
    """Training noise levels ``exp(mean + std * normal)`` (Karras et al. 2022, table 1)."""
    return (mean + std * normal).exp()


class Denoiser(nn.Module):
    """A diffusion model (EDM: Karras et al. 2022) of block-cosine coefficients.

    Squares of `patch` x `patch` pixels become their orthonormal cosine coefficients, so that isotropic noise stays isotropic
    and the network works on ``patch**2`` times fewer places. Each coefficient has its own standard deviation, measured once:
    smooth and fine structure are then preconditioned alike, and the untrained denoiser is already the blockwise Wiener filter.

    Parameters
    ----------
    channels, size : int
        Shape of what is denoised (images, or latents of another model).
    patch : int
        Side of the squares; 1 keeps pixels.
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
        self.shape = (channels * patch**2, size // patch, size // patch)
        self.net = UNet(*self.shape[:2], widths, layers, attention, dropout)
        self.parts = {"denoiser": self.net}
        self.noise_mean, self.noise_std = noise_mean, noise_std
        self.sigma_min, self.sigma_max, self.sampling_steps, self.solver = sigma_min, sigma_max, sampling_steps, solver
        self.coefficients = BlockCosine(channels, patch)

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviations of the data: preconditioning assumes that they are known."""
        self.coefficients.measure(image)

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to coefficients (N, \\*self.shape), of standard deviation 0.5 on the whole."""
        return self.coefficients.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return self.coefficients.decode(z)

    def _denoise(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Scalings]:
        scalings = edm_scalings(sigma.reshape(-1, 1, 1, 1), self.coefficients.deviation)
        return scalings.skip * x + scalings.out * self.net(scalings.in_ * x, scalings.time), scalings

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        """Expected `x0` of ``x = x0 + sigma * noise``, where x0 is an encoded image; sigma (N,)."""
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
