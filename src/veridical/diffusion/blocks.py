"""Volumes larger than what a model was trained on: overlapping blocks whose results are averaged."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from veridical.diffusion.deterministic import Denoise

Starts = tuple[list[int], list[int], list[int]]  # first planes, rows and columns of all blocks


def in_blocks(denoise: Denoise, size: int, batch: int, starts: Callable[[], Starts]) -> Denoise:
    """Denoise volumes larger than what a model was trained on, as `veridical.diffusion.tiles.tiled` does images.

    Parameters
    ----------
    denoise : function
        Takes blocks (N, C, size, size, size).
    size : int
    batch : int
        Blocks at a time; changes the volume by no more than rounding.
    starts : callable
        Places of blocks, asked for at every evaluation; one that reaches beyond a face goes on at the opposite one.

    Returns
    -------
    function
        Takes a volume (1, C, D, H, W) of sides of at least `size`.
    """

    def whole(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        shape, found = x.shape[2:], starts()
        ramp = (1 - (torch.arange(size, device=x.device) + 0.5 - size / 2).abs() / (size / 2)).to(x.dtype)
        window = ramp[:, None, None] * ramp[:, None] * ramp
        reach = torch.arange(size, device=x.device)
        # Sums of windows over all places are a product of sums over those of each axis.
        along = [x.new_zeros(side) for side in shape]
        for weight, first in zip(along, found, strict=True):
            for start in first:
                weight[(start + reach) % len(weight)] += ramp
        places = [
            tuple((start + reach) % side for start, side in zip(corner, shape, strict=True))
            for corner in product(*found)
        ]
        total = torch.zeros_like(x)
        for begin in range(0, len(places), batch):
            chosen = [(slice(None), z[:, None, None], y[:, None], c) for z, y, c in places[begin : begin + batch]]
            blocks = torch.stack([x[0][place] for place in chosen])
            for place, made in zip(chosen, denoise(blocks, sigma.expand(len(blocks)), cond), strict=True):
                total[0][place] += window * made
        return total / (along[0][:, None, None] * along[1][:, None] * along[2])

    return whole
