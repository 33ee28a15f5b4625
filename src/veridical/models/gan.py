"""Generative adversarial networks (Goodfellow et al. 2014): the game, its losses, and networks of plain convolutions.

`GAN` plays the game with any two networks: ``generator(z, label)`` makes images in [-1, 1], ``discriminator(image, label)``
gives one logit an image; both may leave the label unused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch
from ..errors import InputError
from ..nets.augment import Augmentation
from ..nets.convolution import halvings
from ..nets.label import LabelEmbedding
from ..nets.standardise import Standardise

DiscriminatorLoss = Callable[[Tensor, Tensor], Tensor]
GeneratorLoss = Callable[[Tensor], Tensor]

# What the discriminator minimises of its logits of real and generated images, and the generator of those of its own.
ADVERSARIAL: dict[str, tuple[DiscriminatorLoss, GeneratorLoss]] = {
    # Goodfellow et al. 2014, eq. 1, with the generator's loss of section 3 that does not vanish where it is losing.
    "nonsaturating": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: F.softplus(-fake).mean(),
    ),
    # Goodfellow et al. 2014, eq. 1 as it stands.
    "minimax": (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: -F.softplus(fake).mean(),
    ),
    # Lim and Ye 2017; Zhang et al. 2019, eq. 4.
    "hinge": (lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()),
    # Arjovsky et al. 2017, eq. 2.
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    # Mao et al. 2017, eq. 2 with labels 0 and 1.
    "least_squares": (
        lambda real, fake: (real - 1).square().mean() + fake.square().mean(),
        lambda fake: (fake - 1).square().mean(),
    ),
}


def adversarial(loss: str, augmentation: str = "none") -> tuple[DiscriminatorLoss, GeneratorLoss]:
    """Losses called `loss`.

    Raises
    ------
    InputError
        With their names, if there are none of this name; if ``adaptive`` augmentation is asked of logits whose sign does not
        tell real from generated.
    """
    if loss not in ADVERSARIAL:
        raise InputError(f"loss={loss} is not known: use {', '.join(ADVERSARIAL)}.")
    if augmentation == "adaptive" and loss in ("wasserstein", "least_squares"):
        raise InputError(
            f"augmentation=adaptive reads the sign of the logits, which says nothing with loss={loss}: "
            "use augmentation=fixed, or another loss."
        )
    return ADVERSARIAL[loss]


def r1_penalty(logit: Tensor, image: Tensor) -> Tensor:
    """Mean squared norm of the discriminator's gradient at real images (Mescheder et al. 2018, eq. 9, without gamma / 2).

    Parameters
    ----------
    logit : Tensor, shape (N, ...)
        Of `image`, which must require its gradient.
    image : Tensor, shape (N, C, H, W)
    """
    (gradient,) = torch.autograd.grad(logit.sum(), image, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean squared deviation from 1 of the critic's gradient norm between real and generated images (Gulrajani et al.
    2017, eq. 3, without lambda); `mix` (N,) in [0, 1] says where between.
    """
    between = torch.lerp(fake, real, mix.reshape(-1, 1, 1, 1)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


class GAN(nn.Module):
    """Two networks, one game.

    Parameters
    ----------
    generator, discriminator : nn.Module
    latent : int
        Length of the noise vector.
    loss : str
        A name in `ADVERSARIAL`.
    critic_steps : int
        Steps of the discriminator before one of the generator, each on its own share of the batch; a remainder is left out.
    penalty : float
        Weight of `gradient_penalty` (10 in WGAN-GP).
    r1 : float
        Weight gamma of `r1_penalty` with respect to standardised images, so that it does not depend on their contrast;
        computed every 16 steps only and then 16 times as strong (Karras et al. 2020).
    augmentation : str
        What is done to real and generated images in front of the discriminator, see `veridical.nets.augment`.
    truncation : float
        Noise beyond this is drawn in towards zero when sampling (Brock et al. 2019); 0 leaves it as it is.
    orthogonal : float
        Weight of the generator's `orthogonal_penalty`.
    discriminator_rate : float
        Learning rate of the discriminator in units of the generator's (Heusel et al. 2017).
    """

    r1_every = 16

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: int,
        loss: str = "nonsaturating",
        critic_steps: int = 1,
        penalty: float = 0.0,
        r1: float = 0.0,
        augmentation: str = "none",
        truncation: float = 0.0,
        orthogonal: float = 0.0,
        discriminator_rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.parts = {"discriminator": discriminator, "generator": generator}
        self.rates = {"discriminator": discriminator_rate}
        self.loss = adversarial(loss, augmentation)
        self.critic_steps, self.penalty, self.r1 = critic_steps, penalty, r1
        self.truncation, self.orthogonal = truncation, orthogonal
        self.augment = Augmentation(augmentation)
        self.standard = Standardise()

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images."""
        self.standard.measure(image)

    def _logit(self, image: Tensor, label: Tensor | None) -> Tensor:
        return self.discriminator(self.standard(image), label)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss `critic_steps` times, then the generator's."""
        for turn in range(self.critic_steps):
            share = batch.share(turn, self.critic_steps)
            label = share.cond.get("label")
            # The last images of the discriminator are those of the generator, which does not change in between.
            with torch.set_grad_enabled(turn == self.critic_steps - 1):
                fake = self.generator(share.normal(self.latent), label)
            yield "discriminator", self._judge(share, fake.detach(), step)
        loss = self.loss[1](self._logit(self.augment(fake, share), label))
        yield "generator", loss + self.orthogonal * orthogonal_penalty(self.generator) if self.orthogonal else loss

    def _judge(self, batch: Batch, fake: Tensor, step: int) -> Tensor:
        label = batch.cond.get("label")
        regularise = self.r1 > 0 and step % self.r1_every == 0
        real = batch.image.detach().requires_grad_(regularise)
        shown, false = self.augment(real, batch), self.augment(fake, batch)
        real_logit = self._logit(shown, label)
        loss = self.loss[0](real_logit, self._logit(false, label))
        if self.penalty:
            critic = lambda image: self._logit(image, label)  # noqa: E731
            loss = loss + self.penalty * gradient_penalty(critic, shown.detach(), false, batch.uniform())
        if regularise:
            loss = loss + self.r1 / 2 * self.r1_every * self.standard.deviation**2 * r1_penalty(real_logit, real)
        self.augment.adapt(real_logit)
        return loss

    def sample(self, n: int, cond: dict[str, Any], noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W)."""
        z = noise((self.latent,))
        return self.generator(truncate(z, self.truncation) if self.truncation else z, cond.get("label"))


def truncate(z: Tensor, limit: float) -> Tensor:
    """Noise of a normal distribution cut off at `limit` from standard normal noise, each number by its own quantile (Brock et
    al. 2019, section 3.1, draw again what is too large).
    """
    normal = torch.distributions.Normal(0.0, 1.0)
    low = normal.cdf(torch.tensor(-limit))
    return normal.icdf(low + normal.cdf(z.double()) * (1 - 2 * low)).to(z.dtype).clamp(-limit, limit)


def orthogonal_penalty(network: nn.Module) -> Tensor:
    """Squared inner products between the filters of every layer (Brock et al. 2019, eq. 3: off-diagonal of W W^T)."""
    total = torch.zeros(())
    for name, weight in network.named_parameters():
        if weight.dim() > 1 and "label" not in name:
            rows = weight.flatten(1)
            # W W^T and W^T W have one Frobenius norm; the smaller is made.
            gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
            total = total.to(rows) + gram.square().sum() - rows.square().sum(1).square().sum()
    return total


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
        self.label = None if classes is None else LabelEmbedding(classes, latent)
        widths = [width * min(2**level, 8) for level in reversed(range(halvings(size)))]
        inputs = latent if classes is None else 2 * latent
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, widths[0], 4, bias=False)]
        for current, following in pairwise(widths):
            up = nn.ConvTranspose2d(current, following, 4, 2, 1, bias=False)
            layers += [nn.BatchNorm2d(current), nn.ReLU(), up]
        last = nn.ConvTranspose2d(width, channels, 4, 2, 1)
        self.net = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU(), last, nn.Tanh())
        self.net.apply(_initialise)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] of noise (N, latent)."""
        if self.label is not None:
            z = torch.cat([z, self.label(label)], 1)
        return self.net(z[:, :, None, None])


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
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        classes: int | None = None,
        norm: str = "batch",
        conditioning: str = "projection",
    ) -> None:
        super().__init__()
        if conditioning not in ("projection", "concatenation"):
            raise InputError(f"conditioning={conditioning} is not known: use projection or concatenation.")
        widths = [width * min(2**level, 8) for level in range(halvings(size))]
        joined = 0 if classes is None or conditioning == "projection" else 8
        layers: list[nn.Module] = [nn.Conv2d(channels + joined, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for current, following in pairwise(widths):
            layers += [nn.Conv2d(current, following, 4, 2, 1, bias=norm == "none")]
            if norm != "none":
                layers += [nn.BatchNorm2d(following) if norm == "batch" else nn.GroupNorm(1, following)]
            layers += [nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(widths[-1], 1, 4)
        self.label = None if classes is None else LabelEmbedding(classes, joined or widths[-1])
        self.conditioning = conditioning
        if norm == "batch":
            self.apply(_initialise)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits (N,) of images (N, C, S, S)."""
        if self.label is None:
            return self.head(self.body(image)).flatten()
        embedded = self.label(label)
        if self.conditioning == "concatenation":
            maps = embedded[:, :, None, None].expand(-1, -1, *image.shape[2:])
            return self.head(self.body(torch.cat([image, maps], 1))).flatten()
        features = self.body(image)
        return self.head(features).flatten() + (features.mean((2, 3)) * embedded).sum(1)


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
    discriminator = Discriminator(channels, size, width, classes, "group", conditioning)
    return GAN(generator, discriminator, latent, loss, r1=r1, augmentation=augmentation)


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


def patch_discriminator(channels: int, width: int, norm: bool = True) -> nn.Sequential:
    """Image (N, C, S, S) to a map of logits, one a patch of 26 pixels (after Isola et al. 2017, appendix 6.1.2)."""
    after = lambda n: [nn.GroupNorm(8, n), nn.LeakyReLU(0.2)] if norm else [nn.LeakyReLU(0.2)]  # noqa: E731
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        *after(2 * width),
        nn.Conv2d(2 * width, 4 * width, 3, 1, 1),
        *after(4 * width),
        nn.Conv2d(4 * width, 1, 3, 1, 1),
    )
