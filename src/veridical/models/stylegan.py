"""StyleGAN: styles in every layer instead of noise below (Karras et al. 2019, arXiv:1812.04948; 2020, arXiv:1912.04958)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch, ImageNoise
from ..device import average_over_processes
from ..errors import InputError
from ..nets.augment import Augmentation
from ..nets.convolution import halvings
from ..nets.equalised import (
    GAIN,
    EqualisedConv2d,
    EqualisedLinear,
    channels_last,
    leaky,
    minibatch_deviation,
    pixel_norm,
)
from ..nets.resize import up_convolution
from ..nets.standardise import Standardise
from .gan import ADVERSARIAL, r1_penalty

Noise = Callable[[tuple[int, ...]], Tensor]
MODULATIONS = ("weight", "adain")


class Mapping(nn.Module):
    """Noise z (N, latent) to style w (N, latent) (2019, figure 1b); its layers learn 100 times slower (2019, appendix C)."""

    def __init__(self, latent: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualisedLinear(latent, latent, rate=0.01) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        x = pixel_norm(z)
        for layer in self.layers:
            x = leaky(layer(x))
        return x


class StyledConvolution(nn.Module):
    """Convolution whose feature maps a style scales, followed by noise, bias and leaky ReLU.

    ``weight`` modulates and demodulates the weights (2020, eq. 1 to 3), written as scales of the input and output maps of one
    convolution common to all images: the same numbers as a convolution of its own for every image. ``adain`` normalises
    every output map and gives it scale and shift of the style (2019, eq. 1).

    Parameters
    ----------
    inside, out, latent : int
    modulation : {"weight", "adain"}
    up : bool
        Double the resolution first.
    """

    def __init__(self, inside: int, out: int, latent: int, modulation: str, up: bool = False) -> None:
        super().__init__()
        self.conv = EqualisedConv2d(inside, out, up=up, bias=False)
        self.bias = nn.Parameter(torch.zeros(out, 1, 1))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.weighted, self.up = modulation == "weight", up
        if self.weighted:
            self.style = EqualisedLinear(latent, inside, bias=1.0, gain=1.0)
        else:
            self.style = EqualisedLinear(latent, 2 * out, gain=1.0)

    def forward(self, x: Tensor, w: Tensor, noise: Noise) -> Tensor:
        style = self.style(w)
        if self.weighted:
            weight = self.conv.weight * self.conv.scale
            norm = (style.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt() * GAIN
            x = x * style[:, :, None, None]
            y = up_convolution(x, weight) if self.up else F.conv2d(x, weight, padding=1)
            y = torch.addcmul(self.bias, y, norm[:, :, None, None])
        else:
            y = self.conv(x) + self.bias
        y = leaky(y + noise((1, *y.shape[2:])) * self.noise_strength)
        if self.weighted:
            return y
        scale, shift = style[:, :, None, None].chunk(2, 1)
        return torch.addcmul(shift, F.instance_norm(y), 1 + scale)


class ToImage(nn.Module):
    """1 x 1 convolution to image channels, modulated but not demodulated (2020, section 2.2)."""

    def __init__(self, inside: int, channels: int, latent: int) -> None:
        super().__init__()
        self.conv = EqualisedConv2d(inside, channels, 1, gain=1.0)
        self.style = EqualisedLinear(latent, inside, bias=1.0, gain=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x * self.style(w)[:, :, None, None])


class Synthesis(nn.Module):
    """Styles (N, layers, latent) to image.

    Two styled convolutions a resolution, one at 4 x 4. With ``weight`` every resolution adds to the image, enlarged from the
    one below (2020, figure 7b); with ``adain`` only the last makes it.
    """

    def __init__(self, channels: int, latent: int, widths: list[int], modulation: str) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.first = StyledConvolution(widths[0], widths[0], latent, modulation)
        self.up = nn.ModuleList(StyledConvolution(a, b, latent, modulation, up=True) for a, b in pairwise(widths))
        self.conv = nn.ModuleList(StyledConvolution(b, b, latent, modulation) for b in widths[1:])
        shown = widths if modulation == "weight" else widths[-1:]
        self.to_image = nn.ModuleList(ToImage(b, channels, latent) for b in shown)
        self.layers = 2 * len(widths)

    def forward(self, w: Tensor, noise: Noise) -> Tensor:
        x = self.first(channels_last(self.constant.expand(len(w), -1, -1, -1)), w[:, 0], noise)
        skips = len(self.to_image) > 1
        image = self.to_image[0](x, w[:, 1]) if skips else x
        for k, (up, conv) in enumerate(zip(self.up, self.conv, strict=True), 1):
            # As in the paper's network, the map to the image shares its style with the layer that comes next.
            x = conv(up(x, w[:, 2 * k - 1], noise), w[:, 2 * k], noise)
            if skips:
                below = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
                image = below + self.to_image[k](x, w[:, 2 * k + 1])
        return image if skips else self.to_image[-1](x, w[:, -1])


class Generator(nn.Module):
    """Mapping and synthesis, trained together."""

    def __init__(self, channels: int, latent: int, widths: list[int], modulation: str, mapping: int) -> None:
        super().__init__()
        self.mapping = Mapping(latent, mapping)
        self.synthesis = Synthesis(channels, latent, widths, modulation)


class Discriminator(nn.Module):
    """Image to logit (N,); residual (2020, figure 7c) or plain (2019, as in ProGAN)."""

    def __init__(self, channels: int, widths: list[int], residual: bool) -> None:
        super().__init__()
        down = list(pairwise(reversed(widths)))
        self.from_image = EqualisedConv2d(channels, widths[-1], 1)
        self.conv = nn.ModuleList(EqualisedConv2d(a, a) for a, _ in down)
        self.down = nn.ModuleList(EqualisedConv2d(a, b) for a, b in down)
        self.skip = nn.ModuleList(EqualisedConv2d(a, b, 1, bias=False, gain=1.0) for a, b in down if residual)
        self.last = EqualisedConv2d(widths[0] + 1, widths[0])
        self.head = nn.Sequential(
            nn.Flatten(),
            EqualisedLinear(16 * widths[0], widths[0]),
            nn.LeakyReLU(0.2),
            EqualisedLinear(widths[0], 1, gain=1.0),
        )

    def forward(self, image: Tensor) -> Tensor:
        x = leaky(channels_last(self.from_image(image)))
        for k, (conv, down) in enumerate(zip(self.conv, self.down, strict=True)):
            y = leaky(down(F.avg_pool2d(leaky(conv(x)), 2)))
            x = (y + self.skip[k](F.avg_pool2d(x, 2))) * math.sqrt(0.5) if self.skip else y
        return self.head(leaky(self.last(minibatch_deviation(x)))).flatten()


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

    r1_every = 16
    path_every = 8
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
        r1: float = 0.5,
        path_length: float = 0.0,
        mixing: float = 0.9,
        truncation: float = 1.0,
        augmentation: str = "adaptive",
    ) -> None:
        super().__init__()
        if modulation not in MODULATIONS:
            raise InputError(f"modulation={modulation} is not known: use {' or '.join(MODULATIONS)}.")
        widths = [width * min(2**k, widest) for k in reversed(range(halvings(size) + 1))]
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
        """What the discriminator gets of images: augmented and standardised."""
        return self.standard(self.augment(image, batch))

    def _image(self, w: Tensor, noise: Noise) -> Tensor:
        return self.standard.inverse(self.generator.synthesis(w, noise))

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's loss, then the generator's, each after its regulariser where one is due."""
        noise = lambda shape: batch.normal(*shape)  # noqa: E731
        judge_loss, generator_loss = ADVERSARIAL["nonsaturating"]
        if self.path_length and step % self.path_every == 0:
            yield "generator", self.path_length * self.path_every * self._path_penalty(batch)
        # One set of images for both players: the generator does not change in between.
        fake = self._image(self._training_styles(batch), noise)
        real = self._seen(batch.image, batch)
        if self.r1 and step % self.r1_every == 0:
            real.requires_grad_()
            logit = self.discriminator(real)
            # The last bias has no part in the slope of the logit; zero times the logit gives it a gradient all the same.
            yield "discriminator", self.r1 / 2 * self.r1_every * r1_penalty(logit, real) + 0 * logit.sum()
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
        image = self._image(w, lambda shape: batch.normal(*shape)[:rows])
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
