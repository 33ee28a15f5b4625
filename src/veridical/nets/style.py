"""Networks of StyleGAN: mapping, styled synthesis, discriminator (Karras et al. 2019, arXiv:1812.04948; 2020, 1912.04958)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.nets.equalised import (
    GAIN,
    EqualisedConv2d,
    EqualisedLinear,
    add_noise,
    channels_last,
    final_layers,
    final_logit,
    leaky,
    pixel_norm,
)
from veridical.nets.resize import up_convolution

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
        self.noise_strength = nn.Parameter(torch.zeros(out, 1, 1))
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
        y = leaky(add_noise(y, noise, self.noise_strength))
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


def halving_layers(
    channels: int, widths: list[int], residual: bool = True
) -> tuple[nn.Module, nn.ModuleList, nn.ModuleList, nn.ModuleList]:
    """Layers ``from_image``, ``conv``, ``down`` and ``skip`` for `halve`, from the finest of the `widths`."""
    down = list(pairwise(widths))
    return (
        EqualisedConv2d(channels, widths[0], 1),
        nn.ModuleList(EqualisedConv2d(a, a) for a, _ in down),
        nn.ModuleList(EqualisedConv2d(a, b) for a, b in down),
        nn.ModuleList(EqualisedConv2d(a, b, 1, bias=False, gain=1.0) for a, b in down if residual),
    )


def halve(
    image: Tensor, from_image: nn.Module, convs: nn.ModuleList, downs: nn.ModuleList, skips: nn.ModuleList
) -> Tensor:
    """Maps of images (N, C, H, W), halved for each of `convs`; with `skips` residual connections, too (2020, figure 7c)."""
    x = leaky(channels_last(from_image(image)))
    for k, (conv, down) in enumerate(zip(convs, downs, strict=True)):
        y = leaky(down(F.avg_pool2d(leaky(conv(x)), 2)))
        x = (y + skips[k](F.avg_pool2d(x, 2))) * math.sqrt(0.5) if skips else y
    return x


class Discriminator(nn.Module):
    """Image to logit (N,); residual (2020, figure 7c) or plain (2019, as in ProGAN)."""

    def __init__(self, channels: int, widths: list[int], residual: bool) -> None:
        super().__init__()
        self.from_image, self.conv, self.down, self.skip = halving_layers(channels, widths[::-1], residual)
        self.last, self.head = final_layers(widths[0])

    def forward(self, image: Tensor) -> Tensor:
        x = halve(image, self.from_image, self.conv, self.down, self.skip)
        return final_logit(x, self.last, self.head)
