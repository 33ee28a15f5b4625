"""Variational auto-encoder (Kingma and Welling 2014) with a vector of latents, and the beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from ..batch import Batch
from ..nets.convolution import Decoder, Encoder

SIGMA_MIN = 1e-3  # a grey level of 8 bits is 0.008 wide: nothing finer is worth nats


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1), in nats, summed over all but the first axis
    (Kingma and Welling 2014, appendix B). Shape (N,).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2


def rising(step: int, steps: int) -> float:
    """From 0 at step 0 linearly to 1 at step `steps`, and 1 from there on."""
    return min(1.0, step / steps) if steps else 1.0


class CosineTransform(nn.Module):
    """Orthonormal cosine transform over channels, rows and columns.

    Over three channels it is the turn to grey and two opponent colours, so that noise of coefficients is no coloured specks
    in images without colour.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.colour: Tensor
        self.line: Tensor
        for name, n in (("colour", channels), ("line", size)):
            matrix = torch.from_numpy(dct(np.eye(n), norm="ortho", axis=0)).float()
            self.register_buffer(name, matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients of images, both (N, C, S, S)."""
        return torch.einsum("dc,nchw->ndhw", self.colour, self.line @ x @ self.line.T)

    def inverse(self, x: Tensor) -> Tensor:
        """Images of coefficients."""
        return torch.einsum("dc,ndhw->nchw", self.colour, self.line.T @ x @ self.line)


class VAE(nn.Module):
    """Encoder and decoder trained by the evidence lower bound (Kingma and Welling 2014, eq. 10).

    The bound is that of a Gaussian likelihood whose variance is always the best one, the mean squared error (Rybkin, Daniilidis
    and Levine 2021, section 4.2), so that the weight between reconstruction and divergence is the data's own and not a setting.

    A sample of the model is the decoder's mean *and* noise. Beside the mean the decoder gives the standard deviation of every
    pixel (Kingma and Welling 2014, appendix C.2), small inside a grain and large at an edge, which it learns without drawing
    the mean away from what is hard (Stirn et al. 2023, arXiv:2212.09184); and the noise has the spectrum that what the mean
    leaves has, measured as training goes on. A bound with that spectrum in it would be in vain: a coloured Gaussian explains
    so much of these images that no latent is used.

    Parameters
    ----------
    channels, size : int
    latent : int
        Number of latent variables.
    width : int
        Channels of the outermost layer.
    beta : float
        Weight of the divergence (Higgins et al. 2017, eq. 4); 1 is the bound itself. With a capacity, the weight gamma of the
        divergence's distance from it.
    beta_steps : int
        Steps over which `beta` rises from 0.
    capacity : float
        Divergence aimed at, in nats (Burgess et al. 2018, eq. 8); 0 for none.
    capacity_steps : int
        Steps over which the capacity rises from 0, so that latents find factors one after another.
    grain : bool
        Sample the likelihood, mean and noise, instead of showing the mean.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int = 64,
        width: int = 24,
        beta: float = 1.0,
        beta_steps: int = 0,
        capacity: float = 0.0,
        capacity_steps: int = 1000,
        grain: bool = True,
    ) -> None:
        super().__init__()
        self.latent, self.grain, self.shape = latent, grain, (channels, size, size)
        self.beta, self.beta_steps, self.capacity, self.capacity_steps = beta, beta_steps, capacity, capacity_steps
        self.encoder = Encoder(channels, size, width, 2 * latent)
        self.decoder = Decoder(channels + 1, size, width, latent)
        # The deviation begins as one number, that of the data.
        for parameter in self.decoder.head.parameters():
            nn.init.zeros_(parameter[channels:])
        self.transform = CosineTransform(channels, size)
        self.spectrum: Tensor
        self.deviation: Tensor
        self.register_buffer("spectrum", torch.ones(self.shape))
        self.register_buffer("deviation", torch.ones(()))
        self.parts = {"vae": self}

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Begin deviation and spectrum of the noise at those of the data."""
        error = image - image.mean(0)
        self.deviation.copy_(error.std().clamp(min=SIGMA_MIN))
        self.spectrum.copy_(self.transform(error / self.deviation).square().mean(0))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latents of images (N, C, H, W); both (N, latent)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance.clamp(-20, 10)

    def encode(self, x: Tensor) -> Tensor:
        """Mean of the posterior, shape (N, latent)."""
        return self.posterior(x)[0]

    def _likelihood(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (N, C, H, W) and logarithm of the standard deviation (N, 1, H, W) of the images of latents."""
        mean, log_ratio = self.decoder(z).split([self.shape[0], 1], 1)
        return mean, (self.deviation.log() + log_ratio).clamp(math.log(SIGMA_MIN), 0)

    def decode(self, z: Tensor) -> Tensor:
        """Mean image, shape (N, C, H, W)."""
        return self._likelihood(z)[0]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the negative bound and the surprise at the noise, in nats a pixel value, up to a constant."""
        mean, log_variance = self.posterior(batch.image)
        image, log_sigma = self._likelihood(mean + (log_variance / 2).exp() * batch.normal(self.latent))
        error = batch.image - image
        noise = error.detach() * torch.exp(-log_sigma)
        with torch.no_grad():
            self.spectrum.lerp_(self.transform(noise).square().mean(0), 0.01)
        # An image at a time, so that processes that share a batch follow the losses of one.
        surprise = (error.square().flatten(1).mean(1) + SIGMA_MIN**2).log().mean() / 2
        divergence = gaussian_kl(mean, log_variance).mean()
        if self.capacity:
            divergence = (divergence - self.capacity * rising(step, self.capacity_steps)).abs()
        weight = self.beta * rising(step, self.beta_steps) / batch.image[0].numel()
        yield "vae", surprise + weight * divergence + (noise.square() / 2 + log_sigma).mean()

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Decode draws from the prior; images in [-1, 1], shape (n, C, H, W)."""
        image, log_sigma = self._likelihood(noise((self.latent,)))
        if self.grain:
            image = image + log_sigma.exp() * self.transform.inverse(self.spectrum.sqrt() * noise(self.shape))
        return image.clamp(-1, 1)


@torch.no_grad()
def divergences(model: VAE, images: Tensor) -> Tensor:
    """Mean divergence of each latent over images (N, C, H, W) in [-1, 1], in nats, shape (latent,): what it tells of them."""
    mean, log_variance = model.posterior(images)
    return gaussian_kl(mean.T, log_variance.T) / len(images)


@torch.no_grad()
def traverse(model: VAE, start: Tensor, latents: Sequence[int], span: Sequence[float]) -> Tensor:
    """Move one latent and hold the rest (Higgins et al. 2017, figure 2).

    Parameters
    ----------
    model : VAE
    start : Tensor
        Where the rest is held: an image (C, H, W) in [-1, 1], or a vector of latents (latent,).
    latents : sequence of int
        Which to move, one a row.
    span : sequence of float
        Values it takes, one a column; of the prior, nearly all lie between -3 and 3.

    Returns
    -------
    Tensor, shape (len(latents), len(span), C, H, W)
        Mean images in [-1, 1].
    """
    z = model.encode(start[None])[0] if start.dim() == 3 else start
    moved = z.repeat(len(latents), len(span), 1)
    for row, latent in enumerate(latents):
        moved[row, :, latent] = torch.as_tensor(span, dtype=z.dtype, device=z.device)
    return model.decode(moved.flatten(0, 1)).clamp(-1, 1).unflatten(0, moved.shape[:2])
