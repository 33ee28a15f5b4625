"""Image-to-image adversarial networks: pix2pix for pairs (mask to image), CycleGAN for two unpaired sets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..errors import InputError
from ..nets.augment import Augmentation
from ..nets.convolution import halvings
from ..nets.standardise import Standardise
from .dcgan import patch_discriminator
from .gan import ADVERSARIAL, r1_penalty


def one_hot(mask: Tensor, classes: int) -> Tensor:
    """Class numbers (N, H, W) to (N, classes, H, W) of 0 and 1; other numbers are 0 throughout."""
    numbers = torch.arange(classes, device=mask.device).reshape(1, -1, 1, 1)
    return (mask.unsqueeze(1) == numbers).float()


def _initialise(module: nn.Module) -> None:
    # Isola et al. 2017, appendix 6.2, and Zhu et al. 2017, appendix: weights from N(0, 0.02).
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(channels: int) -> nn.GroupNorm:
    # Both papers normalise one image at a time. By groups of channels, an image of one class only is not wiped out.
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    # Mirrored borders: zeros would tell where the border is, and normalising a mask of one class makes a pattern of that.
    return nn.Conv2d(inputs, outputs, kernel, stride, 1, padding_mode="reflect")


def _upsample(inputs: int, outputs: int) -> nn.Sequential:
    # The paper's fractionally strided convolution draws a checkerboard into flat grey, and takes thousands of steps to stop.
    return nn.Sequential(_conv(inputs, outputs), _norm(outputs), nn.Upsample(scale_factor=2))


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
        widths = [width * min(2**level, 8) for level in range(halvings(size))]
        self.down = nn.ModuleList([nn.Sequential(_conv(inputs, width, 4, 2), nn.LeakyReLU(0.2))])
        for current, following in pairwise(widths):
            conv = _conv(current, following, 4, 2)
            self.down.append(nn.Sequential(conv, _norm(following), nn.LeakyReLU(0.2)))
        self.up = nn.ModuleList()
        previous = widths[-1]
        for skip in reversed(widths[:-1]):
            self.up.append(_upsample(previous, skip))
            previous = 2 * skip
        self.up.append(_upsample(previous, width))
        # The input itself is the skip connection of full resolution: edges of the image lie on edges of the mask.
        self.head = nn.Sequential(_conv(width + inputs, width), nn.LeakyReLU(0.2), _conv(width, outputs), nn.Tanh())
        self.apply(_initialise)

    def forward(self, x: Tensor, keep: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
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

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), of the masks ``cond["mask"]`` (n, H, W); each noise another image."""
        threshold = statistics.NormalDist().inv_cdf(self.dropout)
        return self.generator(one_hot(cond["mask"], self.classes), lambda shape: noise(shape) >= threshold)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGenerator(nn.Module):
    """Image to image: residual blocks at half resolution (after Zhu et al. 2017, appendix 7.2).

    It says what to *add* to its input, at first hardly anything (and not nothing, where the cycle loss would hold it: there
    it has its kink). Halved once instead of twice, by sorting pixels into
    channels, and with the input at hand again at full resolution, it hardly can move things: the label mask of what is
    translated keeps fitting. Without the paper's instance norm, which takes the mean grey level from an image, a grey level
    means the same in a tile, in its neighbour and in a whole slice (Lim et al. 2017, arXiv:1707.02921, section 3.1). Any even
    height and width will do.
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        residuals = [_Residual(width) for _ in range(blocks)]
        first, narrow = _conv(4 * channels, width), _conv(width, width // 4)
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2), first, nn.ReLU(), *residuals, narrow, nn.Upsample(scale_factor=2)
        )
        self.head = nn.Sequential(_conv(width // 4 + channels, width // 2), nn.ReLU(), _conv(width // 2, channels))

    def forward(self, image: Tensor) -> Tensor:
        """Image (N, C, H, W) to image; training keeps it near [-1, 1]."""
        return image + self.head(torch.cat([self.body(image), image], 1))


def _texture_judge(channels: int, width: int) -> nn.Sequential:
    """A patch discriminator that sees grey levels: normalising each image hides them, and they would not be learned.

    Without it, the signal must not fade from layer to layer (He et al. 2015, arXiv:1502.01852, eq. 14).
    """
    judge = patch_discriminator(channels, width, norm=False, halved=3)
    for layer in judge:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, 0.2)
            nn.init.zeros_(cast(Tensor, layer.bias))
    return judge


class Pool(nn.Module):
    """The last images of a generator, so that its discriminator does not forget what it saw (Shrivastava et al. 2017)."""

    def __init__(self, capacity: int, channels: int, size: int) -> None:
        super().__init__()
        self.images: Tensor
        self.filled: Tensor
        self.register_buffer("images", torch.zeros(capacity, channels, size, size))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, fake: Tensor, batch: Batch) -> Tensor:
        """Give back each image, or with probability 1/2 an older one whose place it takes (Zhu et al. 2017, section 4)."""
        capacity, out = len(self.images), fake.detach().clone()
        for row, (swap, place) in enumerate(batch.uniform(2).tolist()):
            count = int(self.filled)
            if count < capacity:
                self.images[count] = out[row]
                self.filled += 1
            elif swap < 0.5:
                old = self.images[int(place * capacity)].clone()
                self.images[int(place * capacity)] = out[row]
                out[row] = old
        return out


class CycleGAN(nn.Module):
    """Translation between two unpaired sets, source and image (Zhu et al. 2017, arXiv:1703.10593, eqs. 1 to 3).

    Parameters
    ----------
    channels, size : int
    width : int
        Channels of the generators at half resolution (128 in the paper) and of the discriminators' first layer.
    blocks : int
        Residual blocks of each generator (6 or 9 in the paper).
    cycle : float
        Weight lambda of the cycle loss: there and back again is where it began.
    identity : float
        Weight of the identity loss (section 5.2; half of `cycle` in the paper): what is of a set already is left alone.
    r1 : float
        Weight gamma of `r1_penalty` on the mean logit of standardised real images, every 16 steps only and then 16 times as
        strong: without it or a norm discriminators may run away.
    pool : int
        Generated images of each direction that are kept for the discriminators.
    augmentation : {"none", "fixed", "adaptive"}
        What the discriminators see, see `Augmentation`.
    """

    r1_every = 16

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 32,
        blocks: int = 4,
        cycle: float = 10.0,
        identity: float = 5.0,
        r1: float = 1.0,
        pool: int = 50,
        augmentation: str = "none",
    ) -> None:
        super().__init__()
        if size % 2 or size < 8:
            raise InputError(f"--size {size}: this system halves its images, so give an even size of at least 8.")
        self.cycle, self.identity, self.r1 = cycle, identity, r1
        # Named by what they make or judge.
        self.generators = nn.ModuleDict({k: ResidualGenerator(channels, width, blocks) for k in ("image", "source")})
        self.discriminators = nn.ModuleDict({k: _texture_judge(channels, width) for k in ("image", "source")})
        self.pools = nn.ModuleDict({k: Pool(pool, channels, size) for k in ("image", "source")})
        self.augmentations = nn.ModuleDict({k: Augmentation(augmentation) for k in ("image", "source")})
        self.standard = Standardise()
        self.parts = {"discriminators": self.discriminators, "generators": self.generators}

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images: a discriminator hardly sees low contrast.

        Images of the source are standardised by the same numbers.
        """
        self.standard.measure(image)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the loss of both generators, then that of both discriminators (least squares, section 4)."""
        discriminator_loss, generator_loss = ADVERSARIAL["least_squares"]
        real = {"image": batch.image, "source": batch.cond["source"]}
        other = {"image": "source", "source": "image"}
        fake = {k: self.generators[k](real[other[k]]) for k in real}
        loss = torch.zeros((), device=batch.image.device)
        for k in real:
            loss = loss + generator_loss(self._judge(k, fake[k], batch))
            loss = loss + self.cycle * F.l1_loss(self.generators[k](fake[other[k]]), real[k])
            if self.identity:
                loss = loss + self.identity * F.l1_loss(self.generators[k](real[k]), real[k])
        yield "generators", loss
        loss = torch.zeros((), device=batch.image.device)
        regularise = self.r1 > 0 and step % self.r1_every == 0
        for k in real:
            shown = self._seen(k, real[k], batch).requires_grad_(regularise)
            real_score = self.discriminators[k](shown)
            if regularise:
                loss = loss + self.r1 / 2 * self.r1_every * r1_penalty(real_score.mean((1, 2, 3)), shown)
            pool, augmentation = cast(Pool, self.pools[k]), cast(Augmentation, self.augmentations[k])
            fake_score = self._judge(k, pool.exchange(fake[k], batch), batch)
            augmentation.adapt(real_score - 0.5, batch)  # 1 is real, 0 is not
            loss = loss + discriminator_loss(real_score, fake_score) / 2
        yield "discriminators", loss

    def _judge(self, which: str, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminators[which](self._seen(which, image, batch))

    def _seen(self, which: str, image: Tensor, batch: Batch) -> Tensor:
        return self.augmentations[which](self.standard(image), batch)

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Images in [-1, 1] of the set `image`, translated from ``cond["source"]`` (n, C, H, W); noise plays no part."""
        return self.generators["image"](cond["source"]).clamp(-1, 1)

    def back(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] as the set `source` would show them."""
        return self.generators["source"](images).clamp(-1, 1)
