"""Layers with an equalised learning rate, and what else ProGAN and StyleGAN share (Karras et al. 2018, arXiv:1710.10196)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.nets.resize import up_convolution
from veridical.nets.whole import own_rows, whole_batch

# He's gain of a leaky ReLU, in front of it: the activation itself then needs no second pass over the map.
GAIN = math.sqrt(2)
# Images whose deviation is looked at.
GROUP = 4


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, in place."""
    return F.leaky_relu(x, 0.2, inplace=True)


def channels_last(x: Tensor) -> Tensor:
    """The same map stored place by place, as convolutions of few channels are fastest: on CPUs twice as fast (measured at 16
    channels of 64 x 64). All that follows keeps the layout.
    """
    return x.contiguous(memory_format=torch.channels_last)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide features (N, C, ...) by their root mean square at every place (section 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def minibatch_deviation(x: Tensor, group: int = GROUP, gain: float = 1.0) -> Tensor:
    """Append a map of how much the images of a group differ (section 3).

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
    group : int
        Images compared, fewer where N does not divide by it (none where N is odd). Rows k, k + N / group, ... form one group.
    gain : float
        What the deviation is multiplied by.

    Returns
    -------
    Tensor, shape (N, C + 1, H, W)
        The last channel is the standard deviation over the group, averaged over features and places, times `gain`.
    """
    batch = whole_batch(x)
    count = math.gcd(len(batch), group)
    grouped = batch.unflatten(0, (count, -1))
    deviation = own_rows((gain * (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))).repeat(count))
    return torch.cat([x, deviation.reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], 1)


class MinibatchDeviation(nn.Module):
    """`minibatch_deviation` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return minibatch_deviation(x)


def add_noise(x: Tensor, noise: Noise, strength: Tensor) -> Tensor:
    """Maps (N, C, H, W) and noise of single pixels, of a learned strength (C, 1, 1) for every map (Karras et al. 2019,
    arXiv:1812.04948, section 2 and appendix C).

    The second paper of StyleGAN has one strength for all maps: with one, noise can hardly be made into grain, and grain becomes
    a lattice.
    """
    return torch.addcmul(x, noise((1, *x.shape[2:])), strength)


class Grained(nn.Module):
    """A convolution and, where `maps` says how many it makes, `add_noise`."""

    def __init__(self, conv: nn.Module, maps: int) -> None:
        super().__init__()
        self.conv = conv
        self.strength = nn.Parameter(torch.zeros(maps, 1, 1)) if maps else None

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        x = self.conv(x)
        return x if self.strength is None else add_noise(x, noise, self.strength)


class EqualisedLinear(nn.Module):
    """Linear layer whose weights are N(0, 1) and scaled when used, so that Adam moves all layers alike (section 4.1).

    Parameters
    ----------
    inside, out : int
    bias : float
        First value of the bias.
    rate : float
        Learning rate in units of the optimiser's.
    gain : float
        Standard deviation of the output for an input of standard deviation 1.
    """

    def __init__(self, inside: int, out: int, bias: float = 0.0, rate: float = 1.0, gain: float = GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inside) / rate)
        self.bias = nn.Parameter(torch.full((out,), bias / rate))
        self.rate, self.scale = rate, gain * rate / math.sqrt(inside)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConv2d(nn.Module):
    """Convolution that keeps the size, with weights as in `EqualisedLinear`.

    Parameters
    ----------
    inside, out, kernel : int
    up : bool
        Double the resolution first.
    bias : bool
    gain : float
    """

    def __init__(
        self, inside: int, out: int, kernel: int = 3, up: bool = False, bias: bool = True, gain: float = GAIN
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inside, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.up, self.scale = up, gain / math.sqrt(inside * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return up_convolution(x, self.weight * self.scale, self.bias)
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


def final_layers(width: int) -> tuple[EqualisedConv2d, nn.Sequential]:
    """Layers ``last`` and ``head`` of a discriminator of `width` maps of 4 x 4, for `final_logit`."""
    return EqualisedConv2d(width + 1, width), nn.Sequential(
        nn.Flatten(),
        EqualisedLinear(16 * width, width),
        nn.LeakyReLU(0.2),
        EqualisedLinear(width, 1, gain=1.0),
    )


def final_logit(x: Tensor, last: nn.Module, head: nn.Module) -> Tensor:
    """Logits (N,) of the maps, which are first shown how much the images of a group differ (table 2)."""
    return head(leaky(last(minibatch_deviation(x)))).flatten()
