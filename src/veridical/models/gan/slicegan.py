"""SliceGAN: a generator of volumes whose critics see sections (Kench and Cooper 2021, arXiv:2102.07708)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.models.gan.dcgan import Discriminator
from veridical.models.gan.game import adversarial, judged, lazy_r1
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.standardise import Standardise
from veridical.nets.whole import BatchNorm2d

SEED = 4  # side of the noise in training: with less the generator does not learn how neighbours overlap (section 2)
BLOCK = 128  # voxels a side that are drawn at a time, about
AXES = 3


class Norm(nn.Module):
    """Batch norm of maps (N, C, D, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(2, 3)).unflatten(2, x.shape[2:4])


class Up(nn.Module):
    """Nearest neighbours at twice the resolution, then a convolution with kernels of 3; each border cut by `cut`.

    Computed as what it is, a transposed convolution of stride 2 with kernels of 4 whose taps of even and of odd places have the
    same sum. With free kernels of 4 a flat input comes out as a lattice (Odena et al. 2016, doi:10.23915/distill.00003), which
    half an hour of training did not undo. With a cut of 2 or more every voxel has as many taps as any other (section 2, rules for
    uniform information density). Weights are kept as the rows of a matrix, as layouts of memory are for images.
    """

    def __init__(self, inside: int, out: int, cut: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(inside, 27 * out))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.out, self.cut = out, cut

    def forward(self, x: Tensor) -> Tensor:
        three = self.weight.unflatten(1, (self.out, 3, 3, 3))
        # Each neighbour at twice the resolution is the same: what a tap of three sees of it, add up.
        four = 8 * nn.functional.avg_pool3d(three, 2, 1, padding=1)
        return nn.functional.conv_transpose3d(x, four, self.bias, 2, self.cut)


class Generator(nn.Module):
    """Noise (N, latent, d, h, w) to volumes with ``size / 2`` voxels for each place of noise, but for two a side.

    Of the noise of a side of 4 come volumes of the side of a tile. The grain of a scan is noise of voxels, of which the paper's
    generator has none: here it is a filtered noise ``grain`` (N, C, D + 2, H + 2, W + 2), as strong as the rest says of each
    place.
    """

    def __init__(self, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        levels = halvings(size) + 1
        widths = [latent, *channel_widths(width, levels - 1)[::-1]]
        layers: list[nn.Module] = []
        for current, following in pairwise(widths):
            layers += [Up(current, following, 2), Norm(following), nn.ReLU()]
        self.net = nn.Sequential(*layers, Up(widths[-1], 2 * channels, 3, bias=True))
        self.filter = nn.Parameter(torch.randn(channels, 27 * channels) / (27 * channels) ** 0.5)
        self.channels, self.step = channels, size // 2

    def forward(self, z: Tensor, grain: Tensor) -> Tensor:
        """Volumes (N, C, D, H, W) in [-1, 1]."""
        level, strength = self.net(z).chunk(2, 1)
        filtered = nn.functional.conv3d(grain, self.filter.unflatten(1, (self.channels, 3, 3, 3)))
        return torch.tanh(level + strength * filtered)


class Critics(nn.Module):
    """One critic of sections, or one for the sections of each axis."""

    def __init__(self, channels: int, size: int, width: int, norm: str, count: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(Discriminator(channels, size, width, norm=norm) for _ in range(count))

    def forward(self, image: Tensor, axis: Tensor) -> Tensor:
        """Logits (N,) of images whose normals are `axis` (N,)."""
        if len(self.each) == 1:
            return self.each[0](image)
        # A batch may have none of an axis: its critic then has a loss, too, of nothing, as has that of other processes.
        rows = [torch.nonzero(axis == k)[:, 0] for k in range(AXES)]
        said = [critic(image[chosen]) for critic, chosen in zip(self.each, rows, strict=True)]
        return torch.cat(said)[torch.cat(rows).argsort()]


class SliceGAN(nn.Module):
    """Volumes of a material of whose sections there are images.

    Each row of a batch is a section of one of a few volumes, normal to each axis in turn; the critic cannot tell which. Of a
    material with a direction there are images of the sections of each axis, and a critic for each.

    Parameters
    ----------
    channels, size : int
    latent, width : int
        Channels of the noise; of the last layer but one, 8 times as many at most in the first.
    critic : int
        Channels of the critic next to the image.
    volumes : int
        Volumes that the sections of a step of the critic are cut from: as many rows as a batch has (the paper cuts volumes into
        all their sections).
    loss : str
        A name in `veridical.models.gan.game.ADVERSARIAL`.
    critic_steps, penalty, r1, augmentation
        As in `veridical.models.gan.game.GAN`.
    classes : int or None
        None for one kind of sections, else 3: those normal to axis 0, 1 and 2 of volumes (D, H, W). Rows and columns of images
        are the other two axes, in that order.

    Raises
    ------
    InputError
        If `size` is not 4 * 2^k, or there are not three classes.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int = 32,
        width: int = 12,
        critic: int = 24,
        volumes: int = 2,
        loss: str = "nonsaturating",
        critic_steps: int = 1,
        penalty: float = 0.0,
        r1: float = 1.0,
        augmentation: str = "none",
        classes: int | None = None,
    ) -> None:
        super().__init__()
        if classes not in (None, AXES):
            raise InputError(
                f"this system learns from three sets of sections, normal to the axes of volumes, not from {classes} classes: put "
                "them into the folders train/0, train/1 and train/2, and give --label folder."
            )
        self.directed, self.arrays = classes is not None, 6
        self.generator = Generator(channels, size, width, latent)
        norm = "group" if loss == "wasserstein" else "none"
        self.discriminator = Critics(channels, size, critic, norm, AXES if self.directed else 1)
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}
        self.size, self.latent, self.volumes = size, latent, volumes
        self.loss = adversarial(loss, augmentation)
        self.critic_steps, self.penalty, self.r1 = critic_steps, penalty, r1
        self.augment, self.standard = Augmentation(augmentation), Standardise()

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images."""
        self.standard.measure(image)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the critic's loss `critic_steps` times, then the generator's."""
        for turn in range(self.critic_steps):
            share = batch.share(turn, self.critic_steps)
            # The last sections of the critic are those of the generator, which does not change in between.
            with torch.set_grad_enabled(turn == self.critic_steps - 1):
                fake, axis = self._sections(share)
            yield "discriminator", self._judge(share, fake.detach(), axis, step)
        yield "generator", self.loss[1](self.discriminator(self._seen(fake, share), axis))

    def _sections(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As many sections (N, C, S, S) as a batch has rows, at random heights, and their axes."""
        count = min(self.volumes, len(batch.image))
        z, side = batch.normal(self.latent, SEED, SEED, SEED)[:count], self.size + 2
        voxels = count * self.generator.channels * side**3
        # A share of each row: grain for as many volumes as there are rows would be a waste.
        grain = batch.normal(-(-voxels // len(batch.image))).flatten()[:voxels].view(count, -1, side, side, side)
        made = self.generator(z, grain)
        row = torch.arange(len(batch.image), device=made.device)
        axis = batch.cond["label"] if self.directed else row // count % AXES
        return sections(made, row % count, axis, batch.uniform()), axis

    def _seen(self, image: Tensor, batch: Batch) -> Tensor:
        """What the critic gets: standardised, then augmented, as grey levels change in units of their deviation."""
        return self.augment(self.standard(image), batch)

    def _judge(self, batch: Batch, fake: Tensor, axis: Tensor, step: int) -> Tensor:
        loss, real_logit = judged(
            lambda image: self.discriminator(image, axis),
            self.loss[0], self._seen(batch.image, batch), self._seen(fake, batch), batch, self.standard,
            penalty=self.penalty, r1=lazy_r1(self.r1, step),
        )  # fmt: skip
        self.augment.adapt(real_logit, batch)
        return loss

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, S, S): a section of a volume each, at a random height."""
        z, place = noise((self.latent, SEED, SEED, SEED)), torch.special.ndtr(noise((2,)))
        grain = noise((self.generator.channels, *(self.size + 2,) * AXES))
        axis = cond["label"] if self.directed else (AXES * place[:, 0]).long().clamp(max=AXES - 1)
        row = torch.zeros(1, dtype=torch.long, device=z.device)
        made = [
            sections(self.generator(z[one], grain[one]), row, axis[one], place[one, 1])
            for one in (slice(k, k + 1) for k in range(n))
        ]
        return torch.cat(made)

    def solid(self, sides: tuple[int, int, int], noise: Noise, periodic: bool, tell: Callable[[float], None]) -> Tensor:
        """A volume (D, H, W) of any size in [-1, 1], of grey images, drawn in blocks that fit to the bit but for rounding.

        Every voxel has all its taps, so that a block is the same whatever is drawn beside it; noise that goes on periodically
        makes a volume that does.

        Raises
        ------
        InputError
            If a periodic volume has a side that is not a multiple of half a tile, or less than a tile.
        """
        step = self.generator.step
        if periodic and any(side % step or side < self.size for side in sides):
            raise InputError(
                f"a periodic volume of this system has sides of a multiple of {step} voxels, {self.size} at least: not "
                f"{'x'.join(map(str, sides))}."
            )
        counts = [-(-side // step) for side in sides]
        beside = 0 if periodic else 2
        z = noise((self.latent, *(count + beside for count in counts)))[:1]
        grain = noise((1, *(count * step + beside for count in counts)))[:1]
        if periodic:
            z, grain = (nn.functional.pad(x, (1,) * 6, mode="circular") for x in (z, grain))
        made = z.new_empty([count * step for count in counts])
        block = max(1, BLOCK // step)
        starts = list(product(*(range(0, count, block) for count in counts)))
        for done, start in enumerate(starts, 1):
            ends = [min(a + block, count) for a, count in zip(start, counts, strict=True)]
            seen = [slice(a, b + 2) for a, b in zip(start, ends, strict=True)]
            place = [slice(a * step, b * step) for a, b in zip(start, ends, strict=True)]
            beneath = [slice(part.start, part.stop + 2) for part in place]
            made[tuple(place)] = self.generator(z[:, :, *seen], grain[:, :, *beneath])[0, 0]
            tell(done / len(starts))
        return made[: sides[0], : sides[1], : sides[2]]


def sections(volumes: Tensor, which: Tensor, axis: Tensor, height: Tensor) -> Tensor:
    """Sections (N, C, S, S) of cubes (V, C, S, S, S): of `which` volume, normal to `axis`, at a share of the side in [0, 1)."""
    side = volumes.shape[-1]
    place = (height * side).long().clamp(max=side - 1)
    rows = [torch.nonzero(axis == k)[:, 0] for k in range(AXES)]
    cut = [volumes.movedim(2 + k, 1)[which[chosen], place[chosen]] for k, chosen in enumerate(rows)]
    return torch.cat(cut)[torch.cat(rows).argsort()]


def slicegan_directed(
    channels: int,
    size: int,
    classes: int,
    latent: int = 32,
    width: int = 12,
    critic: int = 24,
    volumes: int = 2,
    loss: str = "nonsaturating",
    critic_steps: int = 1,
    penalty: float = 0.0,
    r1: float = 1.0,
    augmentation: str = "none",
) -> SliceGAN:
    """`SliceGAN` of a material with a direction: the label of an image is the axis that it is normal to."""
    return SliceGAN(
        channels, size, latent, width, critic, volumes, loss, critic_steps, penalty, r1, augmentation, classes
    )


def slicegan(
    channels: int,
    size: int,
    latent: int = 32,
    width: int = 12,
    critic: int = 24,
    volumes: int = 2,
    loss: str = "nonsaturating",
    critic_steps: int = 1,
    penalty: float = 0.0,
    r1: float = 1.0,
    augmentation: str = "none",
) -> SliceGAN:
    """`SliceGAN` of an isotropic material: one critic for all axes."""
    return SliceGAN(channels, size, latent, width, critic, volumes, loss, critic_steps, penalty, r1, augmentation)
