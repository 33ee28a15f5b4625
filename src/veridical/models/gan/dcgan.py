"""GANs of plain convolutions: DCGAN (Radford et al. 2016) and what came of changing its losses, its norms or its labels."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from veridical.core.errors import check_known
from veridical.models.gan.game import GAN, projected
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.equalised import GROUP, MinibatchDeviation
from veridical.nets.label import LabelEmbedding
from veridical.nets.whole import BatchNorm2d


def _initialise(module: nn.Module) -> None:
    # Radford et al. 2016, section 4: weights from N(0, 0.02).
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


class Generator(nn.Module):
    """Vector to image by fractionally strided convolutions and batch norm (Radford et al. 2016).

    Parameters
    ----------
    channels, size, width, latent : int
    classes : int or None
        Number of classes, 0 for a number as label, None without label. Its embedding joins the noise (Mirza and Osindero
        2014, section 4.1).
    """

    def __init__(self, channels: int, size: int, width: int, latent: int, classes: int | None = None) -> None:
        super().__init__()
        self.label = None if classes is None else LabelEmbedding(classes, latent, loud=True)
        widths = channel_widths(width, halvings(size))[::-1]
        inputs = latent if classes is None else 2 * latent
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, widths[0], 4, bias=False)]
        for current, following in pairwise(widths):
            up = nn.ConvTranspose2d(current, following, 4, 2, 1, bias=False)
            layers += [BatchNorm2d(current), nn.ReLU(), up]
        last = nn.ConvTranspose2d(width, channels, 4, 2, 1)
        self.net = nn.Sequential(*layers, BatchNorm2d(width), nn.ReLU(), last, nn.Tanh())
        self.net.apply(_initialise)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] of noise (N, latent)."""
        if self.label is not None:
            z = torch.cat([z, self.label(label)], 1)
        return self.net(z[:, :, None, None])


def halving_body(widths: list[int], norm: str, deviation: bool) -> nn.Sequential:
    """Layers that halve maps once for each step of `widths`, their channels; `norm` and `deviation` as in `Discriminator`."""
    layers: list[nn.Module] = []
    for level, (current, following) in enumerate(pairwise(widths), 1):
        if deviation and level == len(widths) - 1:
            layers += [MinibatchDeviation()]
            current += 1
        layers += [nn.Conv2d(current, following, 4, 2, 1, bias=norm == "none" or level == 1)]
        if norm != "none" and level > 1:
            layers += [BatchNorm2d(following) if norm == "batch" else nn.GroupNorm(1, following)]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class Discriminator(nn.Module):
    """Image to logit (N,) by strided convolutions, leaky ReLU and, but in the first layer, norm (Radford et al. 2016).

    Parameters
    ----------
    channels, size, width : int
    classes : int or None
        As in `Generator`.
    norm : {"batch", "group", "none"}
    conditioning : {"projection", "concatenation"}
        How the label comes in: the inner product of its embedding with the last features (Miyato and Koyama 2018, eq. 3), or
        as further image channels (Mirza and Osindero 2014).
    deviation : bool
        Show the last halving how much the images of a batch differ (Karras et al. 2018, section 3), whatever their labels.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        classes: int | None = None,
        norm: str = "batch",
        conditioning: str = "projection",
        deviation: bool = False,
    ) -> None:
        super().__init__()
        check_known("conditioning", conditioning, ("projection", "concatenation"))
        widths = channel_widths(width, halvings(size))
        joined = 0 if classes is None or conditioning == "projection" else 8
        self.body = halving_body([channels + joined, *widths], norm, deviation)
        self.head = nn.Conv2d(widths[-1], 1, 4)
        self.label = None if classes is None else LabelEmbedding(classes, joined or widths[-1])
        self.conditioning = conditioning
        if norm == "batch":
            self.apply(_initialise)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of images (N, C, S, S)."""
        projection = self.label
        if self.label is not None and self.conditioning == "concatenation":
            maps = self.label(label)[:, :, None, None].expand(-1, -1, *image.shape[2:])
            image, projection = torch.cat([image, maps], 1), None
        features = self.body(image)
        return projected(self.head(features).flatten(), features.mean((2, 3)), projection, label)


def vanilla_gan(
    channels: int,
    size: int,
    latent: int = 100,
    width: int = 24,
    loss: str = "nonsaturating",
    r1: float = 0.1,
    augmentation: str = "none",
) -> GAN:
    """The game of Goodfellow et al. (2014): its discriminator has no normalisation.

    The generator has batch norm, without which its images stay nearly empty, and `r1` keeps the discriminator from winning.
    """
    generator, discriminator = (
        Generator(channels, size, width, latent),
        Discriminator(channels, size, width, norm="none"),
    )
    return GAN(generator, discriminator, latent, loss, r1=r1, augmentation=augmentation)


def dcgan(
    channels: int,
    size: int,
    latent: int = 100,
    width: int = 24,
    loss: str = "nonsaturating",
    augmentation: str = "none",
) -> GAN:
    """Deep convolutional GAN (Radford et al. 2016; 128 channels next to the image there)."""
    generator = Generator(channels, size, width, latent)
    return GAN(generator, Discriminator(channels, size, width), latent, loss, augmentation=augmentation)


def cgan(
    channels: int,
    size: int,
    classes: int,
    latent: int = 100,
    width: int = 24,
    loss: str = "nonsaturating",
    conditioning: str = "projection",
    r1: float = 1.0,
    augmentation: str = "fixed",
) -> GAN:
    """DCGAN with a label in both networks (Mirza and Osindero 2014; Miyato and Koyama 2018).

    Without augmentation the discriminator learns few images with their labels by heart, without R1 the generator draws one.
    """
    generator = Generator(channels, size, width, latent, classes)
    discriminator = Discriminator(channels, size, width, classes, "group", conditioning, deviation=True)
    return GAN(generator, discriminator, latent, loss, r1=r1, augmentation=augmentation, together=GROUP)


def wgan_gp(
    channels: int,
    size: int,
    latent: int = 100,
    width: int = 24,
    critic_steps: int = 5,
    penalty: float = 10.0,
    augmentation: str = "none",
) -> GAN:
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, algorithm 1): no batch norm in the critic."""
    generator = Generator(channels, size, width, latent)
    critic = Discriminator(channels, size, width, norm="group")
    return GAN(generator, critic, latent, "wasserstein", critic_steps, penalty, augmentation=augmentation)


def patch_discriminator(channels: int, width: int) -> nn.Sequential:
    """Image (N, C, S, S) to a map of logits, each of a patch of 26 pixels (after Isola et al. 2017, appendix 6.1.2)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1), nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 3, 1, 1), nn.GroupNorm(8, 4 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 1, 3, 1, 1),
    )  # fmt: skip
