"""Variational auto-encoder (Kingma and Welling 2014) with a vector of latents, and the beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise, rising
from veridical.core.device import average_over_processes
from veridical.core.errors import check_share
from veridical.nets.convolution import Decoder, Encoder
from veridical.nets.cosine import CosineTransform

SIGMA_MIN = 1e-3  # a grey level of 8 bits is 0.008 wide: nothing finer is worth nats


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1), in nats, summed over all but the first axis
    (Kingma and Welling 2014, appendix B). Shape (N,).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2


class VAE(nn.Module):
    """Encoder and decoder trained by the evidence lower bound (Kingma and Welling 2014, eq. 10).

    The likelihood is a Gaussian whose variance is always the best one, the mean squared error, as a running average (Rybkin,
    Daniilidis and Levine 2021, section 4.2), so that the weight between reconstruction and divergence is the data's own and
    not a setting.

    A sample of the model is the decoder's mean *and* noise. What the mean leaves of real images is not white, so its spectrum
    is measured as training goes on, and the noise has that spectrum. A bound with that spectrum in it would be in vain: a
    coloured Gaussian explains so much of these images that no latent is used.

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
    beta_rise : float
        Share of the training over which `beta` rises from 0.
    capacity : float
        Divergence aimed at, in nats (Burgess et al. 2018, eq. 8); 0 for none.
    capacity_rise : float
        Share of the training over which the capacity rises from 0, so that latents find factors one after another.
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
        beta_rise: float = 0.0,
        capacity: float = 0.0,
        capacity_rise: float = 0.3,
        grain: bool = True,
    ) -> None:
        super().__init__()
        check_share("beta_rise", beta_rise)
        check_share("capacity_rise", capacity_rise)
        self.latent, self.grain, self.shape = latent, grain, (channels, size, size)
        self.beta, self.beta_rise, self.capacity, self.capacity_rise = beta, beta_rise, capacity, capacity_rise
        self.encoder = Encoder(channels, size, width, 2 * latent)
        self.decoder = Decoder(channels, size, width, latent)
        self.transform = CosineTransform(channels, size)
        self.spectrum: Tensor
        self.register_buffer("spectrum", torch.ones(self.shape))
        self.parts = {"vae": self}

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Begin the spectrum of what the mean leaves at that of the data."""
        self.transform.measure(image)
        self.spectrum.copy_(self.transform(image - image.mean(0)).square().mean(0))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latents of images (N, C, H, W); both (N, latent)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance.clamp(-20, 10)

    def encode(self, x: Tensor) -> Tensor:
        """Mean of the posterior, shape (N, latent)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Mean image, shape (N, C, H, W)."""
        return self.decoder(z)

    @torch.no_grad()
    def _measure(self, error: Tensor) -> None:
        power = average_over_processes(self.transform(error).square().mean(0))
        self.spectrum.lerp_(power, 0.01)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the negative bound in nats a pixel value, up to a constant."""
        mean, log_variance = self.posterior(batch.image)
        error = batch.image - self.decode(mean + (log_variance / 2).exp() * batch.normal(self.latent))
        self._measure(error)
        variance = self.spectrum.mean() + SIGMA_MIN**2
        surprise = error.square().mean() / (2 * variance) + variance.log() / 2
        divergence = gaussian_kl(mean, log_variance).mean()
        if self.capacity:
            divergence = (divergence - self.capacity * rising(batch.reached, self.capacity_rise)).abs()
        weight = self.beta * rising(batch.reached, self.beta_rise) / batch.image[0].numel()
        yield "vae", surprise + weight * divergence

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Decode draws from the prior; images in [-1, 1], shape (n, C, H, W)."""
        image = self.decode(noise((self.latent,)))
        if self.grain:
            image = image + self.transform.inverse(self.spectrum.sqrt() * noise(self.shape))
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
