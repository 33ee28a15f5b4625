"""Progressive growing of GANs (Karras et al. 2018, arXiv:1710.10196): both networks begin at 4 x 4 and double."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise, rising
from veridical.core.errors import check_share
from veridical.models.gan.game import adversarial, judged, lazy_r1
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import (
    EqualisedConv2d,
    EqualisedLinear,
    Grained,
    channels_last,
    final_layers,
    final_logit,
    leaky,
    pixel_norm,
)
from veridical.nets.standardise import Standardise


def _double(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2)


def _fade(low: Tensor, high: Tensor, alpha: float) -> Tensor:
    """`high` with what half its resolution cannot show faded out by 1 - alpha (figure 2)."""
    return torch.lerp(low, high, alpha)


def _activated(x: Tensor) -> Tensor:
    return pixel_norm(leaky(x))


class Generator(nn.Module):
    """Vector (N, latent) to image; `widths` from 4 x 4 up."""

    def __init__(self, channels: int, latent: int, widths: list[int], grain: bool) -> None:
        super().__init__()
        self.stem = EqualisedLinear(latent, 16 * widths[0])
        layer: Callable[..., Grained] = lambda a, b, up=False: Grained(EqualisedConv2d(a, b, up=up), b if grain else 0)  # noqa: E731
        self.first = layer(widths[0], widths[0])
        self.up = nn.ModuleList(layer(a, b, up=True) for a, b in pairwise(widths))
        self.conv = nn.ModuleList(layer(b, b) for b in widths[1:])
        self.to_image = nn.ModuleList(EqualisedConv2d(b, channels, 1, gain=1.0) for b in widths)

    def forward(self, z: Tensor, noise: Noise, level: int, alpha: float = 1.0) -> Tensor:
        """Images (N, C, S, S) of side S = 4 * 2^level, the last doubling faded in by `alpha`."""
        x = channels_last(self.stem(pixel_norm(z)).unflatten(1, (-1, 4, 4)))
        x = before = _activated(self.first(_activated(x), noise))
        for up, conv in zip(self.up[:level], self.conv[:level], strict=True):
            before = x
            x = _activated(conv(_activated(up(x, noise)), noise))
        image = self.to_image[level](x)
        return image if alpha == 1 else _fade(_double(self.to_image[level - 1](before)), image, alpha)


class Discriminator(nn.Module):
    """Image to logit (N,): the generator turned round; `widths` from 4 x 4 up."""

    def __init__(self, channels: int, widths: list[int]) -> None:
        super().__init__()
        self.from_image = nn.ModuleList(EqualisedConv2d(channels, b, 1) for b in widths)
        self.conv = nn.ModuleList(EqualisedConv2d(b, b) for b in widths[1:])
        self.down = nn.ModuleList(EqualisedConv2d(b, a) for a, b in pairwise(widths))
        self.last, self.head = final_layers(widths[0])

    def forward(self, image: Tensor, level: int, alpha: float = 1.0) -> Tensor:
        """Logits of images of side 4 * 2^level."""
        x = leaky(channels_last(self.from_image[level](image)))
        for k in reversed(range(level)):
            # Halved before the second convolution and not after it: a quarter of the work.
            x = leaky(self.down[k](F.avg_pool2d(leaky(self.conv[k](x)), 2)))
            if k == level - 1 and alpha < 1:
                x = _fade(leaky(self.from_image[k](F.avg_pool2d(image, 2))), x, alpha)
        return final_logit(x, self.last, self.head)


class ProGAN(nn.Module):
    """Two networks that grow together.

    Training begins at 4 x 4; every further resolution fades in and then is held as long. Layers of resolutions to come take
    no part before: they have no gradient, and the optimiser begins with them when they are first used. Samples come at full
    size at any time, enlarged while the networks grow.

    Parameters
    ----------
    channels : int
    size : int
        4 * 2^k pixels.
    latent : int
        Length of the noise vector.
    width : int
        Channels at full size; they double with every halving, up to 8 times.
    growing : float
        Share of the training after which the last resolution has faded in; 0 begins with the grown networks.
    loss : str
        ``wasserstein``, with gradient penalty and drift term as in the paper, or another name in `gan.ADVERSARIAL`, with
        the lazy gradient penalty R1 on real images.
    penalty, drift : float
        Weights of the gradient penalty and of the mean square of the real logits (section A.1), for ``wasserstein``.
    r1 : float
        Weight gamma of R1 at full size for the other losses, at standardised images, on every 16th step and 16 times as
        strong; at lower resolutions in proportion to the pixels (Karras et al. 2020, arXiv:2006.06676, appendix C), for there
        the same slope is steeper.
    augmentation : str
        See `veridical.nets.augment`.
    grain : bool
        Noise of single pixels in every layer of the generator (Karras et al. 2019, arXiv:1812.04948, section 2 and table 1
        E); ``False`` is the paper of 2018, where grain has to come out of the latent vector.

    Raises
    ------
    InputError
        If `size` is not 4 * 2^k, `growing` is no share, or ``adaptive`` augmentation is asked of a Wasserstein critic, whose
        sign says nothing.
    """

    grown: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int = 128,
        width: int = 8,
        growing: float = 0.2,
        loss: str = "wasserstein",
        penalty: float = 10.0,
        drift: float = 1e-3,
        r1: float = 0.1,
        augmentation: str = "none",
        grain: bool = True,
    ) -> None:
        super().__init__()
        check_share("growing", growing)
        self.levels, self.latent, self.growing = halvings(size), latent, growing
        widths = channel_widths(width, self.levels + 1)[::-1]
        self.standard = Standardise()
        self.generator = Generator(channels, latent, widths, grain)
        self.discriminator = Discriminator(channels, widths)
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}
        self.loss = adversarial(loss, augmentation)
        self.penalty, self.drift, self.r1 = (penalty, drift, 0.0) if loss == "wasserstein" else (0.0, 0.0, r1)
        self.augment = Augmentation(augmentation)
        # How far they have grown, in thousandths of a phase: a whole number, which the averaged copy takes as it is.
        self.register_buffer("grown", torch.zeros((), dtype=torch.int64))

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images: equalised layers expect 0 and 1."""
        self.standard.measure(image)

    def stage(self) -> tuple[int, float]:
        """Level of the moment (resolution 4 * 2^level) and how far it has faded in, in (0, 1]."""
        # The first resolution is held for a phase, every other fades in over one and is held for one.
        phase = int(self.grown) / 1000
        level = math.ceil(phase / 2 - 0.5)
        return level, min(1.0, phase - (2 * level - 1)) if level else 1.0

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, then the generator's, at the resolution of this step."""
        # Never back to less, where a run is made longer.
        self.grown.clamp_(min=round(1000 * 2 * self.levels * rising(batch.reached, self.growing)))
        level, alpha = self.stage()
        # Both networks work on standardised images; grey levels are augmented in units of their deviation.
        real = F.avg_pool2d(self.standard(batch.image), 2 ** (self.levels - level))
        if alpha < 1:
            real = _fade(_double(F.avg_pool2d(real, 2)), real, alpha)
        judge: Callable[[Tensor], Tensor] = lambda image: self.discriminator(image, level, alpha)  # noqa: E731
        # One set of images for both: the generator does not change in between.
        fake = self.generator(batch.normal(self.latent), batch.noise, level, alpha)

        loss, real_logit = judged(
            judge, self.loss[0], self.augment(real, batch), self.augment(fake.detach(), batch), batch, self.standard,
            drift=self.drift, penalty=self.penalty, r1=lazy_r1(self.r1 / 4 ** (self.levels - level), step),
        )  # fmt: skip
        self.augment.adapt(real_logit, batch)
        yield "discriminator", loss
        yield "generator", self.loss[1](judge(self.augment(fake, batch)))

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of full size whatever has been reached."""
        level, alpha = self.stage()
        image = self.standard.inverse(self.generator(noise((self.latent,)), noise, level, alpha))
        return F.interpolate(image, scale_factor=2 ** (self.levels - level)).clamp(-1, 1)
