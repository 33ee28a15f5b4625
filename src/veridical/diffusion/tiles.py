"""Images larger than what a model was trained on: overlapping tiles whose results are averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from veridical.diffusion.deterministic import Denoise

GRAPHS = 256  # tiles whose activations are kept; more are computed again when gradients are taken
OVERLAP = 0.25  # least share of a tile that lies on its neighbour


def tiled(denoise: Denoise, size: int, overlap: float = OVERLAP, batch: int = 32) -> Denoise:
    """Denoise images larger than what a model was trained on.

    Averaging the estimates at every noise level makes the tiles one consistent image (MultiDiffusion: Bar-Tal et al. 2023,
    eq. 5), here with weights that fall towards the edges of tiles.

    Parameters
    ----------
    denoise : function
        Takes tiles (N, C, size, size).
    size : int
    overlap : float
    batch : int
        Tiles at a time. Where it is a multiple of the number of images, all images are seen at one place at a time, in their
        order.

    Returns
    -------
    function
        Takes images of any height and width of at least `size`; what it is told is a row an image.
    """

    def whole(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        def one(tiles: Tensor, rows: Tensor) -> Tensor:
            mine = None if cond is None else {name: values[rows] for name, values in cond.items()}
            if x.requires_grad and len(x) * places(x.shape[2:], size, overlap) > GRAPHS:
                clean: Tensor = checkpoint(denoise, tiles, sigma[rows], mine, use_reentrant=False)
                return clean
            return denoise(tiles, sigma[rows], mine)

        if tuple(x.shape[2:]) == (size, size):
            return denoise(x, sigma, cond)
        return mosaic(one, x, size, overlap=overlap, batch=batch)

    return whole


def mosaic(
    function: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    size: int,
    step: int = 1,
    zoom: float = 1.0,
    overlap: float = OVERLAP,
    batch: int = 32,
) -> Tensor:
    """What a function makes of overlapping tiles of maps, averaged.

    Parameters
    ----------
    function : callable
        ``function(tiles, rows)``, of tiles (n, C, size, size) of the maps with these numbers.
    x : Tensor, shape (N, C, H, W)
        Of at least `size`, H and W multiples of `step`.
    size : int
    step : int
        Tiles begin at multiples of it.
    zoom : float
        How much larger than its tile a result is.
    overlap : float
    batch : int
        Tiles at a time.
    """
    n, _, height, width = x.shape
    tops, lefts = starts(height, size, overlap, step), starts(width, size, overlap, step)
    corners = [(i, top, left) for top in tops for left in lefts for i in range(n)]
    made = round(size * zoom)
    ramp = 1 - (torch.arange(made, device=x.device) + 0.5 - made / 2).abs() / (made / 2)
    window = (ramp[:, None] * ramp).to(x.dtype)
    total: Tensor | None = None
    weights = x.new_zeros(round(height * zoom), round(width * zoom))
    for start in range(0, len(corners), batch):
        chosen = corners[start : start + batch]
        tiles = torch.stack([x[i, :, top : top + size, left : left + size] for i, top, left in chosen])
        results = function(tiles, torch.tensor([i for i, _, _ in chosen], device=x.device))
        if total is None:
            total = x.new_zeros(n, results.shape[1], *weights.shape)
        for (i, top, left), result in zip(chosen, results, strict=True):
            y, z = round(top * zoom), round(left * zoom)
            total[i, :, y : y + made, z : z + made] += window * result
            if i == 0:
                weights[y : y + made, z : z + made] += window
    assert total is not None
    return total / weights


def places(shape: tuple[int, ...] | torch.Size, size: int, overlap: float = OVERLAP) -> int:
    """How many tiles an image of this height and width is seen in."""
    return len(starts(shape[0], size, overlap)) * len(starts(shape[1], size, overlap))


def starts(length: int, size: int, overlap: float = OVERLAP, step: int = 1) -> list[int]:
    """First pixels of tiles that cover `length` evenly."""
    count = 1 + -(-(length - size) // max(step, int(size * (1 - overlap)) // step * step))
    return [round(k * (length - size) / max(1, count - 1) / step) * step for k in range(count)]
