"""Squares of pixels, or cubes of voxels, as channels of a coarser map, and back."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def unshuffle(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) to (N, C * side**2, H / side, W / side); or (N, C, D, H, W) likewise, with side**3."""
    if x.dim() == 4:
        return F.pixel_unshuffle(x, side)
    for axis in (2, 4, 6):
        x = x.unflatten(axis, (-1, side))
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def shuffle(x: Tensor, side: int) -> Tensor:
    """Inverse of `unshuffle`."""
    if x.dim() == 4:
        return F.pixel_shuffle(x, side)
    x = x.unflatten(1, (-1, side, side, side)).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
