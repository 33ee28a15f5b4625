"""Variational auto-encoder (Kingma and Welling 2014) with a vector of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ..batch import Batch
from ..nets.convolution import Decoder, Encoder


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1), in nats, summed over all but the first axis
    (Kingma and Welling 2014, appendix B). Shape (N,).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2


class VAE(nn.Module):
    """Encoder and decoder trained by the evidence lower bound (Kingma and Welling 2014, eq. 10).

    The likelihood is a Gaussian whose variance is learned (Rybkin, Daniilidis and Levine 2021), so that the weight between
    reconstruction and divergence is the data's own and not a setting.

    Parameters
    ----------
    channels, size : int
    latent : int
        Number of latent variables.
    width : int
        Channels of the outermost layer.
    beta : float
        Weight of the divergence (Higgins et al. 2017); 1 is the bound itself.
    grain : bool
        Sample from the likelihood (decoder mean plus its learned noise) instead of showing the mean.
    """

    def __init__(
        self, channels: int, size: int, latent: int = 64, width: int = 24, beta: float = 1.0, grain: bool = False
    ):
        super().__init__()
        self.latent, self.beta, self.grain, self.shape = latent, beta, grain, (channels, size, size)
        self.encoder = Encoder(channels, size, width, 2 * latent)
        self.decoder = Decoder(channels, size, width, latent)
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.parts = {"vae": self}

    def encode(self, x: Tensor) -> Tensor:
        """Mean of the posterior, shape (N, latent)."""
        return self.encoder(x).chunk(2, 1)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Mean image, shape (N, C, H, W)."""
        return self.decoder(z)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the negative bound in nats a pixel value."""
        mean, log_variance = self.encoder(batch.image).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 10)
        z = mean + (log_variance / 2).exp() * batch.normal(self.latent)
        error = (batch.image - self.decode(z)) * torch.exp(-self.log_sigma)
        likelihood = (error.square() / 2 + self.log_sigma).flatten(1).sum(1)
        yield "vae", (likelihood + self.beta * gaussian_kl(mean, log_variance)).mean() / batch.image[0].numel()

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Decode draws from the prior; images in [-1, 1], shape (n, C, H, W)."""
        images = self.decode(noise((self.latent,)))
        if self.grain:
            images = images + self.log_sigma.exp() * noise(self.shape)
        return images.clamp(-1, 1)
