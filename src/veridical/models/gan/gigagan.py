"""GigaGAN, small: a style generator that hears every word (Kang et al. 2023, arXiv:2303.05511).

The half that draws images from words; its other half, which enlarges images, is left to the recipe `upsampler`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.models.gan.captions import differing, matching_loss, of_others, shrunk
from veridical.models.gan.game import ADVERSARIAL, lazy, lazy_r1, projected, r1_penalty
from veridical.models.text.clip import Clip, caption_vectors, contrastive_loss
from veridical.nets.adaptive import AdaptiveConvolution, PlacesAndWords
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import GROUP, EqualisedConv2d, EqualisedLinear, final_layers, leaky, minibatch_deviation
from veridical.nets.standardise import Standardise
from veridical.nets.style import Mapping, ToImage, halve, halving_layers
from veridical.nets.whole import whole_batch

ENTRIES = 3


class Generator(nn.Module):
    """Noise, caption and its words to images of the last `ENTRIES` resolutions.

    Parameters
    ----------
    channels, latent, text, words, bank, mapping : int
        Lengths of noise, caption and word; kernels of a layer; layers between noise and style.
    widths : list of int
        Channels of each resolution from 4 x 4 on.
    attention : tuple of int
        Resolutions with attention.
    """

    def __init__(
        self, channels: int, latent: int, text: int, words: int, widths: list[int], bank: int, mapping: int,
        attention: tuple[int, ...],
    ) -> None:  # fmt: skip
        super().__init__()
        style = 2 * latent
        self.told = EqualisedLinear(text, latent, gain=1.0)
        self.mapping = Mapping(style, mapping)
        self.constant = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.first = AdaptiveConvolution(widths[0], widths[0], style, bank)
        self.up = nn.ModuleList(AdaptiveConvolution(a, b, style, bank, up=True) for a, b in pairwise(widths))
        self.conv = nn.ModuleList(AdaptiveConvolution(b, b, style, bank) for b in widths[1:])
        self.attention = nn.ModuleDict(
            {str(k): PlacesAndWords(b, words) for k, b in enumerate(widths) if 4 * 2**k in attention}
        )
        self.to_image = nn.ModuleList(ToImage(b, channels, style) for b in widths)

    def style(self, z: Tensor, text: Tensor) -> Tensor:
        """Styles (N, 2 latent) of noise (N, latent) and captions (N, text)."""
        return self.mapping(torch.cat([z, self.told(text)], 1))

    def forward(self, w: Tensor, words: Tensor, keep: Tensor, noise: Noise) -> list[Tensor]:
        """Images from the finest to coarser ones, of styles and of words (N, L, words) with `keep` (N, L)."""
        x = self.first(self.constant.expand(len(w), -1, -1, -1), w, noise)
        image = self.to_image[0](x, w)
        images = [image]
        for k, (up, conv) in enumerate(zip(self.up, self.conv, strict=True), 1):
            x = conv(up(x, w, noise), w, noise)
            if str(k) in self.attention:
                x = self.attention[str(k)](x, words, keep)
            image = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False) + self.to_image[k](x, w)
            images.append(image)
        return images[: -1 - ENTRIES : -1]


class Discriminator(nn.Module):
    """Images of several resolutions and a caption to logits (section 3.2).

    Each resolution has an entry of its own to the same layers and is judged by itself: what a coarse image shows cannot be
    outvoted by detail. The caption comes in as a projection.
    """

    def __init__(self, channels: int, widths: list[int], text: int) -> None:
        super().__init__()
        finest_first, widest = widths[::-1], widths[0]
        entry, self.conv, self.down, self.skip = halving_layers(channels, finest_first)
        others = (EqualisedConv2d(channels, width, 1) for width in finest_first[1:ENTRIES])
        self.entries = nn.ModuleList([entry, *others])
        self.last, self.head = final_layers(widest)
        self.told = EqualisedLinear(text, widest, gain=widest**-0.5)

    def features(self, images: list[Tensor]) -> Tensor:
        """Features (entries, N, width) of images of each resolution, finest first, to be compared with captions."""
        found = []
        for k, (image, entry) in enumerate(zip(images, self.entries, strict=True)):
            x = halve(image, entry, self.conv[k:], self.down[k:], self.skip[k:])
            found.append(self.head[:-1](leaky(self.last(minibatch_deviation(x)))))
        return torch.stack(found)

    def match(self, features: Tensor, text: Tensor) -> Tensor:
        """Logits (entries, N) of features with captions (N, text)."""
        told = self.told(text)
        return torch.stack([projected(self.head[-1](x).flatten(), x, nn.Identity(), told) for x in features])


class GigaGAN(nn.Module):
    """Text to image in one pass: adaptive kernels, attention to words, matching-aware discriminator and CLIP's own opinion.

    Parameters
    ----------
    channels, size : int
    clip : Clip
        Frozen; its text tower reads the captions, both towers say how well images fit them.
    latent, mapping : int
        Length of the noise, and of what a caption adds to it; layers from both to the style.
    width, widest : int
        Channels at the finest resolution; they double with every halving, up to `widest` times.
    bank : int
        Kernels that each layer of the generator mixes.
    attention : tuple of int
        Resolutions at which places look at each other and at words.
    r1 : float
        Weight gamma of R1 at real images, as augmented, every 16 steps.
    contrast : float
        Weight of CLIP's loss of images among captions, taken every second step.
    augmentation : str
        See `veridical.nets.augment`; images that are compared are changed alike.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        clip: Clip,
        latent: int = 64,
        width: int = 8,
        widest: int = 8,
        mapping: int = 4,
        bank: int = 4,
        attention: tuple[int, ...] = (8, 16),
        r1: float = 0.1,
        contrast: float = 0.3,
        augmentation: str = "adaptive",
    ) -> None:
        super().__init__()
        self.clip = clip.eval().requires_grad_(False)
        self.frozen = {"clip": self.clip}
        widths = channel_widths(width, halvings(size) + 1, widest)[::-1]
        self.latent, self.r1, self.contrast = latent, r1, contrast
        self.generator = Generator(channels, latent, clip.dim, clip.width, widths, bank, mapping, attention)
        self.discriminator = Discriminator(channels, widths, clip.dim)
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}
        self.standard = Standardise()
        self.augment = Augmentation(augmentation, together=GROUP)

    def train(self, mode: bool = True) -> GigaGAN:
        """Set the mode of both networks; CLIP stays as it is."""
        super().train(mode)
        self.clip.eval()
        return self

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images: equalised layers expect 0 and 1."""
        self.standard.measure(image)

    def _draw(self, text: Tensor, cond: dict[str, Any], noise: Noise) -> list[Tensor]:
        with torch.no_grad():
            words, keep = self.clip.words(cond)
        return self.generator(self.generator.style(noise((self.latent,)), text), words, keep, noise)

    def _seen(self, images: list[Tensor], batch: Batch) -> list[Tensor]:
        """Standardised images of each resolution, augmented alike: enlarged, changed together, and made small again."""
        size, channels = images[0].shape[-1], images[0].shape[1]
        large = [F.interpolate(image, size=(size, size)) for image in images]
        changed = self.augment(torch.cat(large, 1), batch).split(channels, 1)
        return [shrunk(one, image.shape[-1]) for one, image in zip(changed, images, strict=True)]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, then the generator's."""
        judge_loss, generator_loss = ADVERSARIAL["nonsaturating"]
        critic, text = self.discriminator, caption_vectors(self.clip, batch.cond)
        other, differ = of_others(text), differing(batch.cond)
        fake = self._draw(text, batch.cond, batch.noise)
        whole = self.standard(batch.image)
        pyramid = [shrunk(whole, image.shape[-1]) for image in fake]
        real, weight = self._seen(pyramid, batch), lazy_r1(self.r1, step)
        for image in real:
            image.requires_grad_(weight > 0)
        real_features = critic.features(real)
        fake_features = critic.features(self._seen([image.detach() for image in fake], batch))
        real_logit = critic.match(real_features, text)
        # Neither a real nor a generated image goes with the caption of another (eq. 7).
        mismatched = torch.cat([critic.match(of, other) for of in (real_features, fake_features)])
        loss = matching_loss(judge_loss, real_logit, critic.match(fake_features, text), mismatched, differ)
        if weight:
            loss = loss + weight * sum(r1_penalty(logit, image) for logit, image in zip(real_logit, real, strict=True))
        self.augment.adapt(real_logit[0], batch)
        yield "discriminator", loss
        loss = generator_loss(critic.match(critic.features(self._seen(fake, batch)), text))
        if weight := lazy(self.contrast, step, 2):
            loss = loss + weight * self._contrast(self.standard.inverse(fake[0]), text, batch)
        yield "generator", loss

    def _contrast(self, image: Tensor, text: Tensor, batch: Batch) -> Tensor:
        """CLIP's loss of generated images among the captions of the batch (section 3.3)."""
        spelled = whole_batch(batch.cond["spelled"])
        vectors = F.normalize(whole_batch(text), dim=1)
        alike = (spelled[:, None] == spelled).all(-1)
        return contrastive_loss(whole_batch(self.clip.embed_image(image)), vectors, self.clip.scale(), alike)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of the captions ``cond["spelled"]``."""
        image = self._draw(caption_vectors(self.clip, cond), cond, noise)[0]
        return self.standard.inverse(image).clamp(-1, 1)
