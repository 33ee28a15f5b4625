"""Residual GANs: SAGAN (Zhang et al. 2019) and, with a label in every layer, BigGAN (Brock et al. 2019)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from veridical.models.gan.game import GAN, projected
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import GROUP, minibatch_deviation
from veridical.nets.label import LabelEmbedding
from veridical.nets.resize import down_convolution, up_convolution
from veridical.nets.whole import BatchNorm2d

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def _sn(layer: Layer) -> Layer:
    # Miyato et al. 2018: one power iteration a step keeps the largest singular value at 1.
    nn.init.orthogonal_(layer.weight)
    spectral_norm(layer)
    return layer


class SelfAttention(nn.Module):
    """Every place looks at every other (Zhang et al. 2019, section 3); begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 4)
        self.query, self.key = (_sn(nn.Conv2d(channels, inner, 1, bias=False)) for _ in range(2))
        self.value = _sn(nn.Conv2d(channels, channels // 2, 1, bias=False))
        self.out = _sn(nn.Conv2d(channels // 2, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2).mT
        # Keys and values at half resolution, as in the authors' network: a quarter of the work.
        key, value = F.max_pool2d(self.key(x), 2).flatten(2).mT, F.max_pool2d(self.value(x), 2).flatten(2).mT
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * self.out(seen.mT.unflatten(2, x.shape[2:]))


class ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift come from a vector (de Vries et al. 2017; Brock et al. 2019, appendix B)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, affine=condition == 0)
        self.scale_shift = _sn(nn.Linear(condition, 2 * channels, bias=False)) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self.scale_shift is None:
            return x
        scale, shift = self.scale_shift(condition)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class UpBlock(nn.Module):
    """Residual block that doubles the resolution (Brock et al. 2019, figure 15b)."""

    def __init__(self, inside: int, out: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ConditionalNorm(inside, condition), ConditionalNorm(out, condition)
        self.conv1, self.conv2 = _sn(nn.Conv2d(inside, out, 3, 1, 1)), _sn(nn.Conv2d(out, out, 3, 1, 1))
        self.skip = _sn(nn.Conv2d(inside, out, 1))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y = up_convolution(F.relu(self.norm1(x, condition)), self.conv1.weight, self.conv1.bias)
        # A 1 x 1 convolution and doubling can change places: the convolution is then on a quarter of the pixels.
        return self.conv2(F.relu(self.norm2(y, condition))) + F.interpolate(self.skip(x), scale_factor=2)


class DownBlock(nn.Module):
    """Residual block that halves the resolution (Brock et al. 2019, figure 15c)."""

    def __init__(self, inside: int, out: int, first: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = _sn(nn.Conv2d(inside, out, 3, 1, 1)), _sn(nn.Conv2d(out, out, 3, 1, 1))
        self.skip = _sn(nn.Conv2d(inside, out, 1))
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv1(x if self.first else F.relu(x)))
        return down_convolution(y, self.conv2.weight, self.conv2.bias) + self.skip(F.avg_pool2d(x, 2))


class ResidualGenerator(nn.Module):
    """Vector to image; noise (and label) enter below and, where `skips`, at every resolution.

    Parameters
    ----------
    channels, size, width, latent : int
    classes : int or None
        As in `veridical.models.gan.dcgan.Generator`.
    attention : int
        Resolution that gets self-attention; 0 for none.
    skips : bool
        Condition the norm of every block on noise and label (BigGAN-deep: the whole vector at each).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        latent: int,
        classes: int | None = None,
        attention: int = 16,
        skips: bool = False,
    ) -> None:
        super().__init__()
        levels = halvings(size)
        widths = channel_widths(width, levels)[::-1]
        shared = 0 if classes is None else 64
        self.label = None if classes is None else LabelEmbedding(classes, shared, loud=True)
        condition = latent + shared if skips else 0
        self.widths = [widths[0], *widths]
        self.stem = _sn(nn.Linear(latent, self.widths[0] * 16))
        self.blocks = nn.ModuleList(UpBlock(a, b, condition) for a, b in pairwise(self.widths))
        sides = [4 * 2 ** (k + 1) for k in range(levels)]
        self.attention = nn.ModuleDict(
            {str(k): SelfAttention(widths[k]) for k in range(levels) if sides[k] == attention}
        )
        self.norm, self.out = BatchNorm2d(width), _sn(nn.Conv2d(width, channels, 3, 1, 1))
        self.skips = skips

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] of noise (N, latent)."""
        condition = None
        if self.skips:
            condition = z if self.label is None else torch.cat([z, self.label(label)], 1)
        x = self.stem(z).unflatten(1, (self.widths[0], 4, 4))
        for k, block in enumerate(self.blocks):
            x = block(x, condition)
            if str(k) in self.attention:
                x = self.attention[str(k)](x)
        return torch.tanh(self.out(F.relu(self.norm(x))))


class ResidualDiscriminator(nn.Module):
    """Image to logit (N,), with the label as a projection (Miyato and Koyama 2018)."""

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        classes: int | None = None,
        attention: int = 16,
        deviation: bool = False,
    ) -> None:
        super().__init__()
        levels = halvings(size)
        widths = channel_widths(width, levels)
        self.blocks = nn.ModuleList(
            DownBlock(a + (deviation and k == levels - 1), b, k == 0)
            for k, (a, b) in enumerate(pairwise([channels, *widths]))
        )
        self.deviation = deviation
        sides = [size // 2 ** (k + 1) for k in range(levels)]
        self.attention = nn.ModuleDict(
            {str(k): SelfAttention(widths[k]) for k in range(levels) if sides[k] == attention}
        )
        self.head = _sn(nn.Linear(widths[-1], 1))
        self.label = None if classes is None else LabelEmbedding(classes, widths[-1])

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of images (N, C, S, S)."""
        x = image
        for k, block in enumerate(self.blocks):
            if self.deviation and k == len(self.blocks) - 1:
                # As loud as the differences of all features: spectral norm lets a layer give no single channel more weight.
                x = minibatch_deviation(x, gain=math.sqrt(x.shape[1]))
            x = block(x)
            if str(k) in self.attention:
                x = self.attention[str(k)](x)
        # Summed, not averaged: with spectral norm in every layer, the mean is too small to reach the margins of the hinge loss.
        features = F.relu(x).sum((2, 3))
        return projected(self.head(features).flatten(), features, self.label, label)


def sagan(
    channels: int, size: int, latent: int = 128, width: int = 16, loss: str = "hinge", augmentation: str = "none"
) -> GAN:
    """Self-attention GAN (Zhang et al. 2019): spectral norm in both networks, hinge loss, two learning rates."""
    generator = ResidualGenerator(channels, size, width, latent)
    discriminator = ResidualDiscriminator(channels, size, width)
    return GAN(generator, discriminator, latent, loss, augmentation=augmentation, discriminator_rate=4.0)


def biggan(
    channels: int,
    size: int,
    classes: int,
    latent: int = 128,
    width: int = 16,
    loss: str = "hinge",
    orthogonal: float = 1e-4,
    truncation: float = 0.0,
    augmentation: str = "fixed",
) -> GAN:
    """BigGAN (Brock et al. 2019) small: class-conditional norms from one shared embedding, orthogonal regularisation."""
    generator = ResidualGenerator(channels, size, width, latent, classes, skips=True)
    discriminator = ResidualDiscriminator(channels, size, width, classes, deviation=True)
    return GAN(
        generator, discriminator, latent, loss, augmentation=augmentation, truncation=truncation, orthogonal=orthogonal,
        discriminator_rate=4.0, together=GROUP,
    )  # fmt: skip
