"""Generative adversarial networks (Goodfellow et al. 2014) of plain convolutions (DCGAN, Radford et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..nets.convolution import halvings


def _initialise(module: nn.Module) -> None:
    # Radford et al. 2016, section 4: weights from N(0, 0.02).
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def dcgan_generator(channels: int, size: int, width: int, latent: int) -> nn.Sequential:
    """Vector (N, latent, 1, 1) to image (N, C, S, S) in [-1, 1]: fractionally strided convolutions and batch norm."""
    widths = [width * min(2**level, 8) for level in reversed(range(halvings(size)))]
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], 4, bias=False)]
    for current, following in pairwise(widths):
        layers += [nn.BatchNorm2d(current), nn.ReLU(), nn.ConvTranspose2d(current, following, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*layers).apply(_initialise)


def dcgan_discriminator(channels: int, size: int, width: int) -> nn.Sequential:
    """Image (N, C, S, S) to logit (N, 1, 1, 1): strided convolutions, leaky ReLU, batch norm but in the first layer."""
    widths = [width * min(2**level, 8) for level in range(halvings(size))]
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for current, following in pairwise(widths):
        layers += [nn.Conv2d(current, following, 4, 2, 1, bias=False), nn.BatchNorm2d(following), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4)).apply(_initialise)


class DCGAN(nn.Module):
    """Generator and discriminator with the non-saturating loss (Goodfellow et al. 2014, section 3).

    Parameters
    ----------
    channels, size : int
    latent : int
        Length of the noise vector.
    width : int
        Channels of the layers next to the image (128 for the generator and 64 for the discriminator in the paper).
    """

    def __init__(self, channels: int, size: int, latent: int = 100, width: int = 24) -> None:
        super().__init__()
        self.latent = latent
        self.generator = dcgan_generator(channels, size, width, latent)
        self.discriminator = dcgan_discriminator(channels, size, width)
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, then the generator's."""
        fake = self.generator(batch.normal(self.latent, 1, 1))
        real_logit, fake_logit = self.discriminator(batch.image), self.discriminator(fake.detach())
        yield "discriminator", F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        yield "generator", F.softplus(-self.discriminator(fake)).mean()

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W)."""
        return self.generator(noise((self.latent, 1, 1)))


def patch_discriminator(channels: int, width: int) -> nn.Sequential:
    """Image (N, C, S, S) to a map of logits, one a patch of 22 pixels (after Isola et al. 2017, appendix 6.1.2)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.GroupNorm(8, 2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 3, 1, 1),
        nn.GroupNorm(8, 4 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 1, 3, 1, 1),
    )
