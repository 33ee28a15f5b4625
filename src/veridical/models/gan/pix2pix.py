"""pix2pix: label mask to image, learned from pairs (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.models.gan.dcgan import patch_discriminator
from veridical.models.gan.game import ADVERSARIAL
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings, mirrored


def one_hot(mask: Tensor, classes: int) -> Tensor:
    """Class numbers (N, H, W) to (N, classes, H, W) of 0 and 1; other numbers are 0 throughout."""
    numbers = torch.arange(classes, device=mask.device).reshape(1, -1, 1, 1)
    return (mask.unsqueeze(1) == numbers).float()


def _initialise(module: nn.Module) -> None:
    # Isola et al. 2017, appendix 6.2: weights from N(0, 0.02).
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(channels: int) -> nn.GroupNorm:
    # The paper normalises one image at a time. By groups of channels, an image of one class only is not wiped out.
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _upsample(inputs: int, outputs: int) -> nn.Sequential:
    # The paper's fractionally strided convolution draws a checkerboard into flat grey, and takes thousands of steps to stop.
    return nn.Sequential(mirrored(inputs, outputs), _norm(outputs), nn.Upsample(scale_factor=2))


class UNetGenerator(nn.Module):
    """Encoder and decoder with skip connections (Isola et al. 2017, section 3.2.1 and appendix 6.1.1).

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    size : int
        Side of the images; it is halved down to 4.
    width : int
        Channels of the finest level.
    dropout : float
        Share of the decoder's features that is dropped: the only noise of the generator.
    """

    def __init__(self, inputs: int, outputs: int, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        widths = channel_widths(width, halvings(size))
        self.down = nn.ModuleList([nn.Sequential(mirrored(inputs, width, 4, 2), nn.LeakyReLU(0.2))])
        for current, following in pairwise(widths):
            conv = mirrored(current, following, 4, 2)
            self.down.append(nn.Sequential(conv, _norm(following), nn.LeakyReLU(0.2)))
        self.up = nn.ModuleList()
        previous = widths[-1]
        for skip in reversed(widths[:-1]):
            self.up.append(_upsample(previous, skip))
            previous = 2 * skip
        self.up.append(_upsample(previous, width))
        # The input itself is the skip connection of full resolution: edges of the image lie on edges of the mask.
        self.head = nn.Sequential(
            mirrored(width + inputs, width), nn.LeakyReLU(0.2), mirrored(width, outputs), nn.Tanh()
        )
        self.apply(_initialise)

    def forward(self, x: Tensor, keep: Noise) -> Tensor:
        """Input (N, inputs, S, S) to image (N, outputs, S, S) in [-1, 1].

        ``keep(shape)`` says which features (N, \\*shape) to keep, each with probability 1 - dropout.
        """
        maps = [x]
        for block in self.down:
            maps.append(block(maps[-1]))
        x = maps.pop()
        for block in self.up:
            x = block(x)
            x = F.relu(x * keep(tuple(x.shape[1:])) / (1 - self.dropout))
            x = torch.cat([x, maps.pop()], 1)
        return self.head(x)


class Pix2Pix(nn.Module):
    """Label mask to image: conditional adversarial loss and L1 (Isola et al. 2017, arXiv:1611.07004, eq. 4).

    Parameters
    ----------
    channels, size : int
    classes : int
        Classes of the masks, numbered from 0; pixels of other numbers are given as no class.
    width : int
        Channels of generator and discriminator next to the image (64 in the paper).
    l1 : float
        Weight lambda of the L1 loss.
    dropout : float
        Share of features dropped in the decoder, in training and in sampling: the noise z of the paper.
    augmentation : {"none", "fixed", "adaptive"}
        What the discriminator sees of pairs of mask and image, see `Augmentation`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int = 2,
        width: int = 24,
        l1: float = 100.0,
        dropout: float = 0.5,
        augmentation: str = "none",
    ) -> None:
        super().__init__()
        if not 0 < dropout < 1:
            raise InputError(f"dropout={dropout} must lie between 0 and 1: it is the only noise of the images.")
        self.classes, self.l1, self.dropout = classes, l1, dropout
        self.generator = UNetGenerator(classes, channels, size, width, dropout)
        self.discriminator = patch_discriminator(classes + channels, width)
        self.augmentation = Augmentation(augmentation)
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, halved as in appendix 6.2, then the generator's."""
        mask = one_hot(batch.cond["mask"], self.classes)
        fake = self.generator(mask, lambda shape: batch.uniform(*shape) >= self.dropout)
        real_logit = self._judge(mask, batch.image, batch)
        fake_logit = self._judge(mask, fake.detach(), batch)
        self.augmentation.adapt(real_logit, batch)
        discriminator_loss, generator_loss = ADVERSARIAL["nonsaturating"]
        yield "discriminator", discriminator_loss(real_logit, fake_logit) / 2
        yield "generator", generator_loss(self._judge(mask, fake, batch)) + self.l1 * F.l1_loss(fake, batch.image)

    def _judge(self, mask: Tensor, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(self.augmentation(image, batch, beside=mask))

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of the masks ``cond["mask"]`` (n, H, W); each noise another image."""
        threshold = statistics.NormalDist().inv_cdf(self.dropout)
        return self.generator(one_hot(cond["mask"], self.classes), lambda shape: noise(shape) >= threshold)
