"""CycleGAN: translation between two sets of images without pairs (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.diffusion.canvas import Canvas
from veridical.models.gan.game import adversarial, lazy_r1, r1_penalty
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import mirrored
from veridical.nets.equalised import EqualisedConv2d, Grained, leaky
from veridical.nets.standardise import Standardise
from veridical.nets.style import halve, halving_layers
from veridical.nets.whole import own_rows, whole_batch

GRAIN = 4  # pixels: what is finer is drawn anew in every image


def _grained(inside: int, out: int) -> Grained:
    return Grained(mirrored(inside, out), out)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _grained(width, width), mirrored(width, width)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        return x + self.second(F.relu(self.first(x, noise)))


class ResidualGenerator(nn.Module):
    """Image to image: residual blocks at a quarter of the resolution (after Zhu et al. 2017, appendix 7.2).

    It says what to *add* to its input, at first hardly anything. With that at hand at all resolutions it can hardly move
    things: the label mask of what is translated keeps fitting. Without the paper's instance norm, which takes the mean grey
    level from an image, a grey level means the same in a tile, in its neighbour and in a whole slice (Lim et al. 2017,
    arXiv:1707.02921, section 3.1). Noise comes in as in StyleGAN, of a learned strength for every map: the grain of a scan
    does not follow from what was scanned, and out of nothing a network makes a lattice of it.
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        half, quarter = max(1, width // 2), max(1, width // 4)
        self.first = _grained(4 * channels, half)
        self.down = _grained(4 * half, width)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(blocks))
        self.middle = _grained(width + half, half)
        self.fine = _grained(half + channels, quarter)
        self.finer = _grained(quarter, quarter)
        self.head = mirrored(quarter, channels)

    def forward(self, image: Tensor, noise: Noise) -> Tensor:
        """Image (N, C, H, W) to image; training keeps it near [-1, 1]."""
        height, width = image.shape[2:]
        image = F.pad(image, (0, -width % 4, 0, -height % 4), mode="replicate")
        half = F.relu(self.first(F.pixel_unshuffle(image, 2), noise))
        x = F.relu(self.down(F.pixel_unshuffle(half, 2), noise))
        for block in self.blocks:
            x = block(x, noise)
        x = F.relu(self.middle(torch.cat([F.interpolate(x, scale_factor=2), half], 1), noise))
        x = F.relu(self.fine(torch.cat([F.interpolate(x, scale_factor=2), image], 1), noise))
        return (image + self.head(F.relu(self.finer(x, noise))))[:, :, :height, :width]


class TextureJudge(nn.Module):
    """Image to a map of logits, one for every patch: the residual discriminator of StyleGAN2, cut off after three halvings.

    Without normalisation, which hides grey levels. Grain and contrast are seen in patches of 66 pixels.
    """

    def __init__(self, channels: int, width: int, halved: int = 3) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(halved + 1)]
        self.from_image, self.conv, self.down, self.skip = halving_layers(channels, widths)
        self.last = EqualisedConv2d(widths[-1], widths[-1])
        self.head = EqualisedConv2d(widths[-1], 1, 1, gain=1.0)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, 1, H / 8, W / 8)."""
        x = halve(image, self.from_image, self.conv, self.down, self.skip)
        return self.head(leaky(self.last(x)))


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Mean difference of means over `GRAIN` x `GRAIN` pixels; comparing pixels would punish grain, which is never the same."""
    a, b = (F.avg_pool2d(x, GRAIN, ceil_mode=True) for x in (a, b))
    return F.l1_loss(a, b)


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
        capacity, out = len(self.images), whole_batch(fake.detach()).clone()
        for row, (swap, place) in enumerate(whole_batch(batch.uniform(2)).tolist()):
            count = int(self.filled)
            if count < capacity:
                self.images[count] = out[row]
                self.filled += 1
            elif swap < 0.5:
                old = self.images[int(place * capacity)].clone()
                self.images[int(place * capacity)] = out[row]
                out[row] = old
        return own_rows(out)


class CycleGAN(nn.Module):
    """Translation between two unpaired sets, source and image (Zhu et al. 2017, arXiv:1703.10593, eqs. 1 to 3).

    Parameters
    ----------
    channels, size : int
    width : int
        Channels of the generators at a quarter of the resolution (256 in the paper).
    blocks : int
        Residual blocks of each generator (6 or 9 in the paper).
    cycle : float
        Weight lambda of the cycle loss: there and back again is where it began, but for the grain.
    identity : float
        Weight of the identity loss (section 5.2; half of `cycle` in the paper): what is of a set already is left alone, but
        for its grain. Phantoms became more like a scan without it.
    loss : str
        A name in `ADVERSARIAL`; ``least_squares`` in the paper.
    r1 : float
        Weight gamma of `r1_penalty` on the mean logit of standardised real images, every 16 steps only and then 16 times as
        strong.
    judge_width : int
        Channels of the discriminators at full resolution; twice as many after every halving.
    generator_rate : float
        Learning rate of the generators in units of the discriminators', whose layers have an equalised one. At a quarter
        generators are always ahead, and what they are ahead with looks like nothing.
    pool : int
        Generated images of each direction that are kept for the discriminators.
    augmentation : {"none", "fixed", "adaptive"}
        What the discriminators see, see `Augmentation`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 32,
        blocks: int = 4,
        cycle: float = 10.0,
        identity: float = 5.0,
        loss: str = "nonsaturating",
        r1: float = 0.1,
        judge_width: int = 8,
        generator_rate: float = 0.1,
        pool: int = 50,
        augmentation: str = "none",
    ) -> None:
        super().__init__()
        self.undecided = 0.5 if loss == "least_squares" else 0.0
        self.adversarial = adversarial(loss, "none" if self.undecided else augmentation)
        self.rates = {"generators": generator_rate}
        self.cycle, self.identity, self.r1 = cycle, identity, r1
        # Named by what they make or judge.
        self.generators = nn.ModuleDict({k: ResidualGenerator(channels, width, blocks) for k in ("image", "source")})
        self.discriminators = nn.ModuleDict({k: TextureJudge(channels, judge_width) for k in ("image", "source")})
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
        """Yield the loss of both generators, then that of both discriminators."""
        discriminator_loss, generator_loss = self.adversarial
        real = {"image": batch.image, "source": batch.cond["source"]}
        other = {"image": "source", "source": "image"}
        fake = {k: self.generators[k](real[other[k]], batch.noise) for k in real}
        loss = torch.zeros((), device=batch.image.device)
        for k in real:
            loss = loss + generator_loss(self._judge(k, fake[k], batch))
            loss = loss + self.cycle * _apart(self.generators[k](fake[other[k]], batch.noise), real[k])
            if self.identity:
                loss = loss + self.identity * _apart(self.generators[k](real[k], batch.noise), real[k])
        yield "generators", loss
        loss = torch.zeros((), device=batch.image.device)
        r1 = lazy_r1(self.r1, step)
        for k in real:
            shown = self._seen(k, real[k], batch).requires_grad_(r1 > 0)
            real_score = self.discriminators[k](shown)
            if r1:
                loss = loss + r1 * r1_penalty(real_score, shown)
            pool, augmentation = cast(Pool, self.pools[k]), cast(Augmentation, self.augmentations[k])
            fake_score = self._judge(k, pool.exchange(fake[k], batch), batch)
            augmentation.adapt(real_score - self.undecided, batch)
            loss = loss + discriminator_loss(real_score, fake_score) / 2
        yield "discriminators", loss

    def _judge(self, which: str, image: Tensor, batch: Batch) -> Tensor:
        return self.discriminators[which](self._seen(which, image, batch))

    def _seen(self, which: str, image: Tensor, batch: Batch) -> Tensor:
        return self.augmentations[which](self.standard(image), batch)

    @contextmanager
    def on_canvas(self, canvas: Canvas) -> Iterator[None]:
        """Within this `sample` translates sources of the size of the canvas: convolutions without a norm need no tiles.

        Raises
        ------
        InputError
            If borders are to be periodic.
        """
        if canvas.periodic:
            raise InputError("a translation has the borders of its source: leave out --periodic.")
        yield

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1] of the set `image`, translated from ``cond["source"]`` (n, C, H, W); noise makes their grain."""
        return self.generators["image"](cond["source"], noise).clamp(-1, 1)

    def back(self, images: Tensor, noise: Noise) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] as the set `source` would show them."""
        return self.generators["source"](images, noise).clamp(-1, 1)
