"""Convolutions at one resolution and a change of it, in one step: the same numbers for 4/9 of the work."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def up_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1) -> Tensor:
    """3 x 3 convolution of `x` after nearest-neighbour doubling, as one transposed convolution.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
    weight : Tensor, shape (D, C / groups, 3, 3)
    bias : Tensor, shape (D,), optional
    groups : int
        Equal shares of the channels that are convolved apart.

    Returns
    -------
    Tensor, shape (N, D, 2H, 2W)
    """
    # Each stored pixel reaches the output through two neighbouring taps in each direction: their sum is its weight.
    kernel = _four_shifts(weight.flip(2, 3))
    kernel = kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1, groups=groups)


def down_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """3 x 3 convolution of `x`, then averages of 2 x 2, as one strided convolution.

    Parameters
    ----------
    x : Tensor, shape (N, C, 2H, 2W)
    weight : Tensor, shape (D, C, 3, 3)
    bias : Tensor, shape (D,), optional

    Returns
    -------
    Tensor, shape (N, D, H, W)
    """
    return F.conv2d(x, _four_shifts(weight) / 4, bias, stride=2, padding=1)


def _four_shifts(weight: Tensor) -> Tensor:
    """Sum of a 3 x 3 kernel at the four places that two by two neighbours give it: 4 x 4."""
    kernel = F.pad(weight, (1, 1, 1, 1))
    return kernel[..., 1:, 1:] + kernel[..., 1:, :-1] + kernel[..., :-1, 1:] + kernel[..., :-1, :-1]
