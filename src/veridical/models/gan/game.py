"""Generative adversarial networks (Goodfellow et al. 2014): the game and its losses.

`GAN` plays the game with any two networks: ``generator(z, label)`` makes images in [-1, 1], ``discriminator(image, label)``
gives one logit an image; both may leave the label unused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError, check_known
from veridical.nets.augment import Augmentation
from veridical.nets.standardise import Standardise

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
    # Mao et al. 2017, eq. 2 with labels 0 and 1, without its factors of a half: Adam does not see them.
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
    check_known("loss", loss, ADVERSARIAL)
    if augmentation == "adaptive" and loss in ("wasserstein", "least_squares"):
        raise InputError(
            f"augmentation=adaptive reads the sign of the logits, which says nothing with loss={loss}: "
            "use augmentation=fixed, or another loss."
        )
    return ADVERSARIAL[loss]


def lazy(weight: float, step: int, every: int) -> float:
    """Weight of a regulariser in this step (Karras et al. 2020, arXiv:1912.04958, section 3.1): 0, but on each `every`-th
    step, where it is `every` times as strong.
    """
    return weight * every if weight > 0 and step % every == 0 else 0.0


def lazy_r1(gamma: float, step: int) -> float:
    """Weight of `r1_penalty` in this step: gamma / 2, taken every 16 steps."""
    return lazy(gamma / 2, step, 16)


def r1_penalty(logit: Tensor, image: Tensor) -> Tensor:
    """Mean squared norm of the discriminator's gradient at real images (Mescheder et al. 2018, eq. 9, without gamma / 2).

    Parameters
    ----------
    logit : Tensor, shape (N,) or a map (N, ...), of which the mean counts
        Of `image`, which must require its gradient.
    image : Tensor, shape (N, C, H, W)
    """
    (gradient,) = torch.autograd.grad(logit.reshape(len(image), -1).mean(1).sum(), image, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean squared deviation from 1 of the critic's gradient norm between real and generated images (Gulrajani et al.
    2017, eq. 3, without lambda); `mix` (N,) in [0, 1] says where between.
    """
    between = torch.lerp(fake, real, mix.reshape(-1, 1, 1, 1)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def judged(
    critic: Callable[[Tensor], Tensor],
    loss: DiscriminatorLoss,
    real: Tensor,
    fake: Tensor,
    batch: Batch,
    standard: Standardise,
    *,
    drift: float = 0.0,
    penalty: float = 0.0,
    r1: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """What the discriminator minimises, and its logits of real images.

    Parameters
    ----------
    critic : callable
        Images as the discriminator gets them, standardised and augmented, to logits.
    loss : callable
    real, fake : Tensor, shape (N, C, H, W)
        Such images, without a gradient.
    batch : Batch
    standard : Standardise
    drift, penalty, r1 : float
        Weights, in this step, of the mean square of the real logits (Karras et al. 2018, section A.1), of `gradient_penalty`,
        whose slope is that at images as they are, and of `r1_penalty` at `real`.
    """
    real_logit = critic(real.requires_grad_(r1 > 0))
    total = loss(real_logit, critic(fake))
    if drift:
        total = total + drift * real_logit.square().mean()
    if penalty:
        ends = standard.inverse(real), standard.inverse(fake)
        total = total + penalty * gradient_penalty(lambda image: critic(standard(image)), *ends, batch.uniform())
    if r1:
        total = total + r1 * r1_penalty(real_logit, real)
    return total, real_logit


def projected(logit: Tensor, features: Tensor, embedding: nn.Module | None, label: Tensor | None) -> Tensor:
    """Logits (N,) and, where labels are embedded, the inner product with the last features (N, dim) (Miyato and Koyama 2018,
    eq. 3).
    """
    return logit if embedding is None else logit + (features * embedding(label)).sum(1)


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
        Weight gamma of `r1_penalty` at images as the discriminator sees them, standardised, so that it does not depend on
        their contrast; computed every 16 steps only and then 16 times as strong (Karras et al. 2020).
    augmentation : str
        What is done to real and generated images in front of the discriminator, see `veridical.nets.augment`.
    truncation : float
        Noise beyond this is drawn in towards zero when sampling (Brock et al. 2019); 0 leaves it as it is.
    orthogonal : float
        Weight of the generator's `orthogonal_penalty`.
    discriminator_rate : float
        Learning rate of the discriminator in units of the generator's (Heusel et al. 2017).
    together : int
        Images that are augmented alike, see `veridical.nets.augment.Augmentation`.
    """

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
        together: int = 1,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.parts = {"discriminator": discriminator, "generator": generator}
        self.rates = {"discriminator": discriminator_rate}
        self.loss = adversarial(loss, augmentation)
        self.critic_steps, self.penalty, self.r1 = critic_steps, penalty, r1
        self.truncation, self.orthogonal = truncation, orthogonal
        self.augment = Augmentation(augmentation, together=together)
        self.standard = Standardise()

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images."""
        self.standard.measure(image)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss `critic_steps` times, then the generator's."""
        for turn in range(self.critic_steps):
            share = batch.share(turn, self.critic_steps)
            label = share.cond.get("label")
            # The last images of the discriminator are those of the generator, which does not change in between.
            with torch.set_grad_enabled(turn == self.critic_steps - 1):
                fake = self.generator(share.normal(self.latent), label)
            yield "discriminator", self._judge(share, fake.detach(), step)
        loss = self.loss[1](self.discriminator(self._seen(fake, share), label))
        yield "generator", loss + self.orthogonal * orthogonal_penalty(self.generator) if self.orthogonal else loss

    def _seen(self, image: Tensor, batch: Batch) -> Tensor:
        """What the discriminator gets: standardised, then augmented, as grey levels change in units of their deviation."""
        return self.augment(self.standard(image), batch)

    def _judge(self, batch: Batch, fake: Tensor, step: int) -> Tensor:
        loss, real_logit = judged(
            lambda image: self.discriminator(image, batch.cond.get("label")),
            self.loss[0], self._seen(batch.image, batch), self._seen(fake, batch), batch, self.standard,
            penalty=self.penalty, r1=lazy_r1(self.r1, step),
        )  # fmt: skip
        self.augment.adapt(real_logit, batch)
        return loss

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
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
