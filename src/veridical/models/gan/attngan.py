"""AttnGAN: every place of the image asks the words of the caption what to draw (Xu et al. 2018, arXiv:1711.10485)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.models.gan.captions import (
    ConditioningAugmentation,
    PairDiscriminator,
    differing,
    matching_loss,
    of_others,
    shrunk,
)
from veridical.models.gan.damsm import Damsm, shares_of_words
from veridical.models.gan.game import adversarial, lazy, lazy_r1, r1_penalty
from veridical.models.gan.stackgan import ResidualBlock, UpBlock
from veridical.models.text.clip import Clip, caption_vectors
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import GROUP
from veridical.nets.standardise import Standardise
from veridical.nets.whole import BatchNorm2d

STAGES = 3


class WordAttention(nn.Module):
    """Each place of a map is told a mixture of words, of those most that are like it (section 3.1, F^attn)."""

    def __init__(self, channels: int, words: int) -> None:
        super().__init__()
        self.word = nn.Linear(words, channels, bias=False)
        # At first nothing is told: words as loud as the noise make one image of a caption.
        self.strength = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, words: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is told (N, C, H, W) and shares (N, L, H, W) of words (N, L, words), of which `keep` (N, L) count."""
        told = self.word(words)
        shares = shares_of_words(told, keep, x.flatten(2).mT)
        return (self.strength * (told.mT @ shares)).unflatten(2, x.shape[2:]), shares.unflatten(2, x.shape[2:])


class Refinement(nn.Module):
    """A map and what words tell it to a map twice as large (section 3.1, F_1 and F_2)."""

    def __init__(self, inside: int, out: int, words: int) -> None:
        super().__init__()
        self.attention = WordAttention(inside, words)
        self.join = nn.Sequential(nn.Conv2d(2 * inside, inside, 1, bias=False), BatchNorm2d(inside), nn.ReLU())
        self.residual = ResidualBlock(inside)
        self.up = UpBlock(inside, out)

    def forward(self, x: Tensor, words: Tensor, keep: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        told, shares = self.attention(x, words, keep)
        x = self.residual(self.join(torch.cat([x, told], 1)))
        return self.up(x, noise), shares


class Generator(nn.Module):
    """Noise, caption and words to images of `STAGES` resolutions."""

    def __init__(self, channels: int, size: int, width: int, latent: int, text: int, words: int, code: int) -> None:
        super().__init__()
        coarse = width * 2 ** (STAGES - 1)
        first = [coarse * w for w in channel_widths(1, halvings(size) - STAGES + 2, 2)][::-1]
        self.augmented = ConditioningAugmentation(text, code)
        self.stem = nn.Sequential(
            nn.Linear(latent + code, 16 * first[0], bias=False), nn.Unflatten(1, (first[0], 4, 4)),
            BatchNorm2d(first[0]), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.ModuleList(UpBlock(a, b) for a, b in pairwise(first))
        widths = [coarse // 2**k for k in range(STAGES)]
        self.refinements = nn.ModuleList(Refinement(a, b, words) for a, b in pairwise(widths))
        self.out = nn.ModuleList(nn.Conv2d(w, channels, 3, 1, 1) for w in widths)
        self.latent = latent

    def forward(
        self, text: Tensor, words: Tensor, keep: Tensor, noise: Noise
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return images from the coarsest to the finest, shares of words in each refinement, and the divergence of the codes."""
        code, divergence = self.augmented(text, noise)
        x = self.stem(torch.cat([noise((self.latent,)), code], 1))
        for block in self.blocks:
            x = block(x, noise)
        images, attention = [torch.tanh(self.out[0](x))], []
        for refinement, out in zip(self.refinements, self.out[1:], strict=True):
            x, shares = refinement(x, words, keep, noise)
            images.append(torch.tanh(out(x)))
            attention.append(shares)
        return images, attention, divergence


class AttnGAN(nn.Module):
    """Images of three resolutions, each judged alone and with the caption; words steer the two that are refined.

    Parameters
    ----------
    channels, size : int
    clip : Clip
        Frozen; it reads the captions, and its regions and words are what `Damsm` compares.
    width, latent : int
        Channels at the finest resolution, 4 times as many at the coarsest of the three; length of the noise.
    code, told : int
        Length of a caption's code in the generator, and of what the discriminators compress it to.
    common : int
        Length of vectors of the space in which regions and words are compared.
    divergence : float
        Weight of `veridical.models.gan.captions.kl_to_standard_normal`.
    damsm : float
        Weight lambda of `Damsm.loss` of generated images, taken every fourth step.
    loss : str
        A name in `veridical.models.gan.game.ADVERSARIAL`.
    r1 : float
        See `veridical.models.gan.game.GAN`.
    augmentation : str
        See `veridical.nets.augment`; images that are compared are changed alike.

    Raises
    ------
    InputError
        If `size` is not 4 * 2^k.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        clip: Clip,
        width: int = 16,
        latent: int = 100,
        code: int = 64,
        told: int = 64,
        common: int = 64,
        divergence: float = 1.0,
        damsm: float = 1.0,
        loss: str = "nonsaturating",
        r1: float = 1.0,
        augmentation: str = "fixed",
    ) -> None:
        super().__init__()
        self.clip = clip.eval().requires_grad_(False)
        self.frozen = {"clip": self.clip}
        halvings(size, 8 * 2 ** (STAGES - 2))
        self.sides = [size // 2**k for k in reversed(range(STAGES))]
        self.generator = Generator(channels, size, width, latent, clip.dim, clip.width, code)
        self.discriminators = nn.ModuleList(
            PairDiscriminator(channels, side, width, clip.dim, told, alone=True) for side in self.sides
        )
        self.matcher = Damsm(clip.images.width, clip.width, common)
        self.parts = {
            **{f"discriminator_{side}": d for side, d in zip(self.sides, self.discriminators, strict=True)},
            "damsm": self.matcher,
            "generator": self.generator,
        }
        self.divergence, self.damsm, self.r1 = divergence, damsm, r1
        self.loss = adversarial(loss, augmentation)
        self.standard = Standardise()
        self.augment = Augmentation(augmentation, together=GROUP)

    def train(self, mode: bool = True) -> AttnGAN:
        """Set the mode of all networks; CLIP stays as it is."""
        super().train(mode)
        self.clip.eval()
        return self

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images."""
        self.standard.measure(image)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of the discriminators from coarse to fine, of the matcher, then of the generator."""
        text, words = caption_vectors(self.clip, batch.cond), self._words(batch.cond)
        fake, _, divergence = self.generator(text, *words, batch.noise)
        critics: Any = self.discriminators
        for side, critic, image in zip(self.sides, critics, fake, strict=True):
            yield (
                f"discriminator_{side}",
                self._judge(critic, shrunk(batch.image, side), image.detach(), text, batch, step),
            )
        unit = F.normalize(text, dim=1)
        yield "damsm", self.matcher.loss(self.clip, batch.image, unit, words, batch.cond)
        total = self.divergence * divergence
        for critic, image in zip(critics, fake, strict=True):
            features = critic.features(self._seen(image, batch))
            total = total + self.loss[1](critic.match(features, text)) + self.loss[1](critic.alone(features).flatten())
        if weight := lazy(self.damsm, step, 4):
            total = total + weight * self.matcher.loss(self.clip, fake[-1], unit, words, batch.cond)
        yield "generator", total

    def _judge(self, critic: Any, real: Tensor, fake: Tensor, text: Tensor, batch: Batch, step: int) -> Tensor:
        real, weight = self._seen(real, batch), lazy_r1(self.r1, step)
        features = critic.features(real.requires_grad_(weight > 0))
        fakes = critic.features(self._seen(fake, batch))
        matched, alone = critic.match(features, text), critic.alone(features).flatten()
        mismatched = critic.match(features, of_others(text))
        loss = matching_loss(self.loss[0], matched, critic.match(fakes, text), mismatched, differing(batch.cond))
        loss = loss + self.loss[0](alone, critic.alone(fakes).flatten())
        if weight:
            loss = loss + weight * r1_penalty(matched + alone, real)
        self.augment.adapt(alone, batch)
        return loss

    def _words(self, cond: dict[str, Any]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.clip.words(cond)

    def _seen(self, image: Tensor, batch: Batch) -> Tensor:
        """What the discriminator gets: standardised, then augmented, as grey levels change in units of their deviation."""
        return self.augment(self.standard(image), batch)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of the captions ``cond["spelled"]``."""
        return self.generator(caption_vectors(self.clip, cond), *self._words(cond), noise)[0][-1]


@torch.no_grad()
def attention_maps(model: AttnGAN, image: Tensor, cond: dict[str, Any]) -> Tensor:
    """Where each word of captions looks in images: maps (N, L, H, W), softmax over regions of its inner products with them,
    enlarged.

    Shares of words (`drawn_maps`) say which word a place hears; where something is seen at all, one of its many words takes it
    and the others lose it. Maps of one word are therefore compared by inner products.

    Parameters
    ----------
    model : AttnGAN
    image : Tensor, shape (N, C, H, W), values in [-1, 1]
        Real or generated.
    cond : dict
        With ``spelled`` (N, L).
    """
    clip: Any = model.clip
    maps, (words, keep) = clip.regions(image), clip.words(cond)
    inner = model.matcher.read(words, keep) @ model.matcher.places(maps).mT
    look = inner.softmax(-1).unflatten(2, maps.shape[2:])
    return F.interpolate(look, size=image.shape[2:], mode="bilinear", align_corners=False)


@torch.no_grad()
def drawn_maps(model: AttnGAN, cond: dict[str, Any], noise: Noise) -> tuple[Tensor, Tensor]:
    """Images as `AttnGAN.sample` draws them, and the shares (N, L, H, W) of words in what each place was told, mean of all
    refinements.
    """
    images, attention, _ = model.generator(caption_vectors(model.clip, cond), *model.clip.words(cond), noise)
    side = images[-1].shape[2:]
    enlarged = [F.interpolate(x, size=side, mode="bilinear", align_corners=False) for x in attention]
    return images[-1], torch.stack(enlarged).mean(0)
