"""StyleGAN: styles in every layer instead of noise below (Karras et al. 2019, arXiv:1812.04948; 2020, arXiv:1912.04958)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, ImageNoise, Noise
from veridical.core.device import average_over_processes
from veridical.core.errors import check_known
from veridical.models.gan.game import ADVERSARIAL, lazy, lazy_r1, r1_penalty
from veridical.nets.augment import Augmentation
from veridical.nets.convolution import channel_widths, halvings
from veridical.nets.standardise import Standardise
from veridical.nets.style import MODULATIONS, Discriminator, Generator


class StyleGAN(nn.Module):
    """StyleGAN2 with adaptive discriminator augmentation, or with the layers of the first StyleGAN.

    The non-saturating loss with two lazy regularisers (2020, section 3.1), each a step of its own before that of the loss: R1
    every 16 steps, path length every 8. Neither version grows (2020, section 4). The learning rate and decays of Adam stay as
    they are; the paper takes 16 / 17 and 8 / 9 of the rate for the steps between.

    Parameters
    ----------
    channels : int
    size : int
        4 * 2^k pixels.
    latent : int
        Length of noise and style.
    width : int
        Channels at the finest resolution; they double with every halving, up to `widest` times.
    widest : int
    modulation : {"weight", "adain"}
        How styles act, see `StyledConvolution`; with ``weight`` come skips in the generator and residuals in the discriminator.
    mapping : int
        Layers between noise and style.
    r1 : float
        Weight gamma of R1, taken at real images as augmented.
    path_length : float
        Weight of the path-length penalty (2 in the paper); 0 leaves it out.
    mixing : float
        Share of the training images made of two styles (2019, section 3.1).
    truncation : float
        Psi: styles are drawn in towards the mean style by this factor when sampling (2019, appendix B); 1 leaves them. May be
        set on a trained model.
    augmentation : str
        See `veridical.nets.augment`.

    Raises
    ------
    InputError
        If `size` is not 4 * 2^k or `modulation` is not known.
    """

    mean_style: Tensor
    mean_path: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int = 64,
        width: int = 8,
        widest: int = 8,
        modulation: str = "weight",
        mapping: int = 4,
        r1: float = 0.1,
        path_length: float = 0.0,
        mixing: float = 0.9,
        truncation: float = 1.0,
        augmentation: str = "adaptive",
    ) -> None:
        super().__init__()
        check_known("modulation", modulation, MODULATIONS)
        widths = channel_widths(width, halvings(size) + 1, widest)[::-1]
        self.latent, self.truncation = latent, truncation
        self.r1, self.path_length, self.mixing = r1, path_length, mixing
        self.standard = Standardise()
        self.generator = Generator(channels, latent, widths, modulation, mapping)
        self.discriminator = Discriminator(channels, widths, residual=modulation == "weight")
        self.parts = {"discriminator": self.discriminator, "generator": self.generator}
        self.augment = Augmentation(augmentation)
        self.register_buffer("mean_style", torch.zeros(latent))
        self.register_buffer("mean_path", torch.zeros(()))

    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the training images: equalised layers expect 0 and 1."""
        self.standard.measure(image)

    def _seen(self, image: Tensor, batch: Batch) -> Tensor:
        """What the discriminator gets: standardised, then augmented, as grey levels change in units of their deviation."""
        return self.augment(self.standard(image), batch)

    def _image(self, w: Tensor, noise: Noise) -> Tensor:
        return self.standard.inverse(self.generator.synthesis(w, noise))

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, then the generator's, each after its regulariser where one is due."""
        judge_loss, generator_loss = ADVERSARIAL["nonsaturating"]
        if weight := lazy(self.path_length, step, 8):
            yield "generator", weight * self._path_penalty(batch)
        # One set of images for both players: the generator does not change in between.
        fake = self._image(self._training_styles(batch), batch.noise)
        real = self._seen(batch.image, batch)
        if weight := lazy_r1(self.r1, step):
            real.requires_grad_()
            logit = self.discriminator(real)
            # The last bias has no part in the slope of the logit; zero times the logit gives it a gradient all the same.
            yield "discriminator", weight * r1_penalty(logit, real) + 0 * logit.sum()
            real = real.detach()
        real_logit = self.discriminator(real)
        loss = judge_loss(real_logit, self.discriminator(self._seen(fake.detach(), batch)))
        self.augment.adapt(real_logit, batch)
        yield "discriminator", loss
        yield "generator", generator_loss(self.discriminator(self._seen(fake, batch)))

    def _training_styles(self, batch: Batch) -> Tensor:
        """Styles (rows, layers, latent): of most images those after a random layer come from another noise."""
        w = self.generator.mapping(torch.cat([batch.normal(self.latent), batch.normal(self.latent)]))
        with torch.no_grad():
            self.mean_style.lerp_(average_over_processes(w.mean(0)), 0.005)
        one, other = w[:, None].chunk(2)
        layers = self.generator.synthesis.layers
        chance = batch.uniform(2)
        crossover = 1 + (chance[:, 0] * (layers - 1)).floor()
        crossover[chance[:, 1] >= self.mixing] = layers
        coarse = torch.arange(layers, device=w.device) < crossover[:, None]
        return torch.where(coarse[:, :, None], one, other)

    def _path_penalty(self, batch: Batch) -> Tensor:
        """Squared deviation of the length of J^T y from its running mean (2020, eq. 4), on half of the rows."""
        rows = max(1, len(batch.image) // 2)
        w = self._training_styles(batch)[:rows]
        image = self._image(w, lambda shape: batch.noise(shape)[:rows])
        y = batch.normal(*image.shape[1:])[:rows] / math.sqrt(image.shape[2] * image.shape[3])
        (slope,) = torch.autograd.grad((image * y).sum(), w, create_graph=True)
        length = slope.square().sum(2).mean(1).sqrt()
        with torch.no_grad():
            # The first measurement is the mean; the running mean of the paper would begin by shrinking all paths to zero.
            mean = average_over_processes(length.mean())
            self.mean_path.copy_(torch.where(self.mean_path == 0, mean, self.mean_path.lerp(mean, 0.01)))
        return (length - self.mean_path).square().mean() + 0 * image.sum()

    def styles(self, z: Tensor) -> Tensor:
        """Truncated styles (N, layers, latent) of noise (N, latent)."""
        w = torch.lerp(self.mean_style, self.generator.mapping(z), self.truncation)
        return w[:, None].expand(-1, self.generator.synthesis.layers, -1)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W)."""
        return self._image(self.styles(noise((self.latent,))), noise).clamp(-1, 1)


@torch.no_grad()
def style_mixing(model: StyleGAN, sources: int, n: int, seed: int = 0, crossover: int = 16) -> Tensor:
    """Coarse styles of some images with the fine styles of others (Karras et al. 2019, figure 3).

    Parameters
    ----------
    model : StyleGAN
    sources : int
        Images whose coarse styles are used: those that `sample` draws first from `seed`.
    n : int
        Images whose fine styles are used: those that it draws next.
    seed : int
    crossover : int
        Resolution from which on styles (and noise) are those of the fine source.

    Returns
    -------
    Tensor, shape (sources + 1, n + 1, C, H, W), values in [-1, 1]
        ``[r + 1, c + 1]`` mixes the coarse source ``[r + 1, 0]`` and the fine source ``[0, c + 1]``; ``[0, 0]`` is white.
    """
    device = model.mean_style.device
    coarse, fine = range(sources), range(sources, sources + n)
    rows = model.sample(sources, {}, ImageNoise(seed, coarse, device))
    columns = model.sample(n, {}, ImageNoise(seed, fine, device))
    grid = torch.ones(sources + 1, n + 1, *rows.shape[1:], device=device)
    grid[1:, 0], grid[0, 1:] = rows, columns
    layer = 2 * halvings(crossover) - 1 if crossover > 4 else 0
    for r, w in enumerate(model.styles(ImageNoise(seed, coarse, device)((model.latent,)))):
        noise = ImageNoise(seed, fine, device)
        styles = model.styles(noise((model.latent,))).clone()
        styles[:, :layer] = w[:layer]
        grid[r + 1, 1:] = model._image(styles, noise).clamp(-1, 1)
    return grid
