"""CycleGAN: translation between two sets of images without pairs (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..errors import InputError
from ..nets.augment import Augmentation
from ..nets.convolution import mirrored
from ..nets.standardise import Standardise
from .dcgan import patch_discriminator
from .gan import ADVERSARIAL, r1_penalty


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(mirrored(width, width), nn.ReLU(), mirrored(width, width))

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
        first, narrow = mirrored(4 * channels, width), mirrored(width, width // 4)
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2), first, nn.ReLU(), *residuals, narrow, nn.Upsample(scale_factor=2)
        )
        self.head = nn.Sequential(
            mirrored(width // 4 + channels, width // 2), nn.ReLU(), mirrored(width // 2, channels)
        )

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
