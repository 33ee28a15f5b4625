"""StackGAN: a small image of a caption, then a large one of both (Zhang et al. 2017, arXiv:1612.03242)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.models.gan.captions import (
    ConditioningAugmentation,
    PairDiscriminator,
    differing,
    matching_loss,
    of_others,
    shrunk,
)
from veridical.models.gan.game import adversarial, lazy_r1, r1_penalty
from veridical.models.text.clip import Clip, caption_vectors
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import GROUP, add_noise
from veridical.nets.resize import up_convolution
from veridical.nets.standardise import Standardise
from veridical.nets.whole import BatchNorm2d


class UpBlock(nn.Module):
    """Double the resolution: nearest neighbour, convolution, grain, batch norm, ReLU (section 3.5; without grain there)."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, out, 3, 1, 1, bias=False)
        self.norm = BatchNorm2d(out)
        self.strength = nn.Parameter(torch.zeros(out, 1, 1))

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        return F.relu(self.norm(add_noise(up_convolution(x, self.conv.weight), noise, self.strength)))


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm beside a skip connection (section 3.4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class FirstStage(nn.Module):
    """Noise and caption to a small image (section 3.3)."""

    def __init__(self, channels: int, size: int, width: int, latent: int, text: int, code: int) -> None:
        super().__init__()
        widths = channel_widths(width, halvings(size) + 1)[::-1]
        self.augmented = ConditioningAugmentation(text, code)
        self.stem = nn.Sequential(
            nn.Linear(latent + code, 16 * widths[0], bias=False), nn.Unflatten(1, (widths[0], 4, 4)),
            BatchNorm2d(widths[0]), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.ModuleList(UpBlock(a, b) for a, b in pairwise(widths))
        self.out = nn.Conv2d(width, channels, 3, 1, 1)
        self.latent = latent

    def forward(self, text: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Images in [-1, 1] of captions (N, text), and the divergence of their codes."""
        code, divergence = self.augmented(text, noise)
        x = self.stem(torch.cat([noise((self.latent,)), code], 1))
        for block in self.blocks:
            x = block(x, noise)
        return torch.tanh(self.out(x)), divergence


class SecondStage(nn.Module):
    """The small image and its caption to an image twice as large (section 3.4)."""

    def __init__(self, channels: int, width: int, text: int, code: int, blocks: int) -> None:
        super().__init__()
        self.augmented = ConditioningAugmentation(text, code)
        widest = 4 * width
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, widest, 4, 2, 1, bias=False), BatchNorm2d(widest), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.join = nn.Sequential(
            nn.Conv2d(widest + code, widest, 3, 1, 1, bias=False), BatchNorm2d(widest), nn.ReLU(),
            *(ResidualBlock(widest) for _ in range(blocks)),
        )  # fmt: skip
        self.blocks = nn.ModuleList(UpBlock(a, b) for a, b in pairwise([widest, 2 * width, width, width // 2]))
        self.out = nn.Conv2d(width // 2, channels, 3, 1, 1)

    def forward(self, image: Tensor, text: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Images in [-1, 1] of small ones and captions (N, text), and the divergence of the captions' codes."""
        code, divergence = self.augmented(text, noise)
        x = self.encoder(image)
        x = self.join(torch.cat([x, code[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1))
        for block in self.blocks:
            x = block(x, noise)
        return torch.tanh(self.out(x)), divergence


class StackGAN(nn.Module):
    """Two GANs, one behind the other, that both hear the caption.

    The second begins when a share `second` of the training is over: it corrects and sharpens what the first draws. The first
    goes on learning beside it (the paper stops it).

    Parameters
    ----------
    channels, size : int
    clip : Clip
        Frozen; its text tower reads the captions.
    width, latent : int
        Channels next to the images; length of the noise.
    code, told : int
        Length of a caption's code in the generators, and of what the discriminators compress it to.
    blocks : int
        Residual blocks of the second stage.
    second : float
        When the second stage begins.
    divergence : float
        Weight of `veridical.models.gan.captions.kl_to_standard_normal`.
    loss : str
        A name in `veridical.models.gan.game.ADVERSARIAL`.
    r1 : float
        See `veridical.models.gan.game.GAN`.
    augmentation : str
        See `veridical.nets.augment`; images that are compared are changed alike.
    """

    begun: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        clip: Clip,
        width: int = 24,
        latent: int = 100,
        code: int = 64,
        told: int = 64,
        blocks: int = 2,
        second: float = 0.4,
        divergence: float = 1.0,
        loss: str = "nonsaturating",
        r1: float = 1.0,
        augmentation: str = "fixed",
    ) -> None:
        super().__init__()
        if second >= 1:
            raise InputError(
                f"second={second} leaves no training for the second stage: give a share below 1, such as 0.4."
            )
        self.clip = clip.eval().requires_grad_(False)
        self.frozen = {"clip": self.clip}
        text = clip.dim
        self.small, self.second, self.divergence, self.r1 = size // 2, second, divergence, r1
        self.loss = adversarial(loss, augmentation)
        self.networks = nn.ModuleDict(
            {
                "discriminator": PairDiscriminator(channels, size // 2, width, text, told),
                "generator": FirstStage(channels, size // 2, width, latent, text, code),
                "second_discriminator": PairDiscriminator(channels, size, width, text, told),
                "second_generator": SecondStage(channels, width, text, code, blocks),
            }
        )
        self.parts = dict(self.networks.items())
        self.standard = Standardise()
        self.augment = Augmentation(augmentation, together=GROUP)
        self.register_buffer("begun", torch.tensor(False))

    def train(self, mode: bool = True) -> StackGAN:
        """Set the mode of both stages; the text tower stays as it is."""
        super().train(mode)
        self.clip.eval()
        return self

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images."""
        self.standard.measure(image)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of the first discriminator and generator, then, once it has begun, of those of the second stage."""
        text = caption_vectors(self.clip, batch.cond)
        first, divergence = self.parts["generator"](text, batch.noise)
        yield from self._game("", shrunk(batch.image, self.small), first, divergence, text, batch, step)
        if batch.reached >= self.second:
            self.begun.fill_(True)
            image, divergence = self.parts["second_generator"](first.detach(), text, batch.noise)
            yield from self._game("second_", batch.image, image, divergence, text, batch, step)

    def _game(
        self, which: str, real: Tensor, fake: Tensor, divergence: Tensor, text: Tensor, batch: Batch, step: int
    ) -> Iterator[tuple[str, Tensor]]:
        critic: Any = self.parts[f"{which}discriminator"]
        real, weight = self._seen(real, batch), lazy_r1(self.r1, step)
        features = critic.features(real.requires_grad_(weight > 0))
        real_logit = critic.match(features, text)
        fake_logit = critic(self._seen(fake.detach(), batch), text)
        mismatched = critic.match(features, of_others(text))
        loss = matching_loss(self.loss[0], real_logit, fake_logit, mismatched, differing(batch.cond))
        if weight:
            loss = loss + weight * r1_penalty(real_logit, real)
        self.augment.adapt(real_logit, batch)
        yield f"{which}discriminator", loss
        adversarial = self.loss[1](critic(self._seen(fake, batch), text))
        yield f"{which}generator", adversarial + self.divergence * divergence

    def _seen(self, image: Tensor, batch: Batch) -> Tensor:
        """What the discriminator gets: standardised, then augmented, as grey levels change in units of their deviation."""
        return self.augment(self.standard(image), batch)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of the captions ``cond["spelled"]``; before the second stage has begun those of
        the first, enlarged.
        """
        text = caption_vectors(self.clip, cond)
        image, _ = self.parts["generator"](text, noise)
        if not self.begun:
            return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        return self.parts["second_generator"](image, text, noise)[0]
