"""What GANs of captions share: captions of other images, a caption as noisy code, a discriminator of pairs.

A discriminator that only asks whether an image looks real lets the generator draw anything for a caption. It is therefore shown
real images with captions of others, too, and has to tell them from their own (Reed et al. 2016, arXiv:1605.05396, algorithm 1).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.models.gan.dcgan import halving_body
from veridical.models.gan.game import DiscriminatorLoss
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.whole import own_rows, whole_batch


def of_others(x: Tensor) -> Tensor:
    """Rows of the batch, each in the place of the next: what is said of another image."""
    return own_rows(whole_batch(x).roll(1, 0))


def differing(cond: dict[str, Any]) -> Tensor:
    """Which rows (N,) have another caption than the image before: only those are mismatched by `of_others`."""
    return (cond["spelled"] != of_others(cond["spelled"])).any(1)


def matching_loss(loss: DiscriminatorLoss, real: Tensor, fake: Tensor, mismatched: Tensor, differ: Tensor) -> Tensor:
    """What the discriminator minimises: real pairs count as real, generated and mismatched ones as fake, half each.

    Parameters
    ----------
    loss : callable
        See `veridical.models.gan.game.ADVERSARIAL`.
    real, fake, mismatched : Tensor, shape (..., N)
        Logits of real images with their captions, of generated ones with theirs, and of images with captions of others.
    differ : Tensor of bool, shape (N,)
        Where those captions do differ; the others count as neither.
    """
    if not differ.any():
        return loss(real, fake)
    return (loss(real, fake) + loss(real, mismatched[..., differ])) / 2


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1), mean over all numbers.

    Zhang et al. 2017 (eq. 4) sum over the code; as in their program the mean is taken here, which does not silence the
    caption however long the code is.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2


class ConditioningAugmentation(nn.Module):
    """Caption (N, text) to a random code (N, code) near it (Zhang et al. 2017, arXiv:1612.03242, section 3.2).

    Few captions fill little of the space that they lie in; noise of a learned strength fills what is between them.
    """

    def __init__(self, text: int, code: int) -> None:
        super().__init__()
        self.net = nn.Linear(text, 2 * code)
        self.code = code

    def forward(self, text: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return codes and `kl_to_standard_normal` of their distribution."""
        mean, log_variance = self.net(text).chunk(2, 1)
        # Beyond this the code is all noise, or none.
        log_variance = log_variance.clamp(-8, 4)
        return mean + (log_variance / 2).exp() * noise((self.code,)), kl_to_standard_normal(mean, log_variance)


class PairDiscriminator(nn.Module):
    """Image and caption to a logit: maps of 4 x 4 and the compressed caption at each place are looked at together (Zhang et al.
    2017, section 3.3).

    Parameters
    ----------
    channels, size, width : int
    text, code : int
        Length of the caption's vector, and of what it is compressed to.
    alone : bool
        Judge images by themselves, too.
    """

    def __init__(self, channels: int, size: int, width: int, text: int, code: int, alone: bool = False) -> None:
        super().__init__()
        widths = channel_widths(width, halvings(size))
        self.body = halving_body([channels, *widths], "group", deviation=True)
        self.code = nn.Sequential(nn.Linear(text, code), nn.LeakyReLU(0.2))
        self.joint = nn.Sequential(nn.Conv2d(widths[-1] + code, widths[-1], 1), nn.LeakyReLU(0.2))
        self.head = nn.Conv2d(widths[-1], 1, 4)
        self.alone = nn.Conv2d(widths[-1], 1, 4) if alone else None

    def features(self, image: Tensor) -> Tensor:
        """Maps (N, width, 4, 4) of images, which may be compared with several captions."""
        return self.body(image)

    def match(self, features: Tensor, text: Tensor) -> Tensor:
        """Logits (N,) of `features` with captions (N, text)."""
        code = self.code(text)[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.head(self.joint(torch.cat([features, code], 1))).flatten()

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return self.match(self.features(image), text)


def shrunk(image: Tensor, size: int) -> Tensor:
    """Images (N, C, S, S) averaged down to `size`, which divides S."""
    return image if image.shape[-1] == size else F.avg_pool2d(image, image.shape[-1] // size)
