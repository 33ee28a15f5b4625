"""Images larger than what a model was trained on: overlapping tiles whose results are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from veridical.diffusion.deterministic import Denoise

GRAPHS = 256  # tiles whose activations are kept; more are computed again when gradients are taken
OVERLAP = 0.25  # least share of a tile that lies on its neighbour

Corners = list[tuple[int, int]]  # first row and column of tiles
Grid = tuple[list[int], list[int]]  # first rows, and first columns, of all tiles


def tiled(
    denoise: Denoise,
    size: int,
    overlap: float = OVERLAP,
    batch: int = 32,
    grid: Callable[[tuple[int, int]], Grid] | None = None,
) -> Denoise:
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
    grid : callable, optional
        Places of tiles in an image of this height and width, asked for at every evaluation; by default always those of `starts`.

    Returns
    -------
    function
        Takes images of any height and width of at least `size`; what it is told is a row an image, or a map an image (as
        high and wide, or a whole number of times as much), of which each tile is told its part. Of a map in place of
        a number (N, H, W), ``label``, each tile is told the mean of its part.
    """

    def whole(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        shape = (x.shape[2], x.shape[3])
        if grid is None and shape == (size, size):
            return denoise(x, sigma, cond)
        found = _even(shape, size, overlap) if grid is None else grid(shape)
        beyond = _beyond(shape, size, found)
        widths: list[
            int
        ] = []  # channels of an estimate and its variance, see `veridical.diffusion.stochastic.ancestral`

        def one(tiles: Tensor, rows: Tensor, corners: Corners) -> Tensor:
            mine = None
            if cond is not None:
                mine = {name: _told(name, values, rows, corners, shape, size, beyond) for name, values in cond.items()}
            if x.requires_grad and len(x) * len(found[0]) * len(found[1]) > GRAPHS:
                clean: Tensor = checkpoint(denoise, tiles, sigma[rows], mine, use_reentrant=False)
                return clean
            made: Any = denoise(tiles, sigma[rows], mine)
            if not isinstance(made, tuple):
                return made
            widths[:] = [part.shape[1] for part in made]
            return torch.cat(made, 1)

        estimates = mosaic(one, x, size, batch=batch, grid=found)
        return estimates.split(widths, 1) if widths else estimates

    return whole


def _told(
    name: str, values: Any, rows: Tensor, corners: Corners, shape: tuple[int, int], size: int, beyond: tuple[int, int]
) -> Any:
    """What tiles are told of a condition: the row of their image, or their part of its map."""
    if not isinstance(values, Tensor) or values.dim() < 3:
        return values[rows]
    maps = values if values.dim() == 4 else values[:, None]
    zoom = -(-maps.shape[-1] // shape[1])
    if (lacking := [zoom * side - found for side, found in zip(shape, maps.shape[2:], strict=True)]) != [0, 0]:
        maps = F.pad(maps, (0, lacking[1], 0, lacking[0]), mode="replicate")  # places of latents reach beyond the image
    if any(beyond):
        maps = _continued(maps, (zoom * beyond[0], zoom * beyond[1]))
    cut = [
        maps[i, :, zoom * top : zoom * (top + size), zoom * left : zoom * (left + size)]
        for i, (top, left) in zip(rows.tolist(), corners, strict=True)
    ]
    found = torch.stack(cut) if values.dim() == 4 else torch.stack(cut)[:, 0]
    return found.mean((1, 2)) if name == "label" else found


def mosaic(
    function: Callable[[Tensor, Tensor, Corners], Tensor],
    x: Tensor,
    size: int,
    step: int = 1,
    zoom: float = 1.0,
    overlap: float = OVERLAP,
    batch: int = 32,
    grid: Grid | None = None,
) -> Tensor:
    """What a function makes of overlapping tiles of maps, averaged.

    Parameters
    ----------
    function : callable
        ``function(tiles, rows, corners)``, of tiles (n, C, size, size) of the maps with these numbers, cut at these corners.
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
    grid : (list of int, list of int), optional
        First rows and columns of tiles; by default those of `starts`. A tile that reaches beyond the last row or column goes on
        at the first.
    """
    n, shape = len(x), (x.shape[2], x.shape[3])
    tops, lefts = _even(shape, size, overlap, step) if grid is None else grid
    beyond = _beyond(shape, size, (tops, lefts))
    if any(beyond):
        x = _continued(x, beyond)
    places = [(i, top, left) for top in tops for left in lefts for i in range(n)]
    made = round(size * zoom)
    ramp = 1 - (torch.arange(made, device=x.device) + 0.5 - made / 2).abs() / (made / 2)
    window = (ramp[:, None] * ramp).to(x.dtype)
    total: Tensor | None = None
    weights = x.new_zeros(round(x.shape[2] * zoom), round(x.shape[3] * zoom))
    for start in range(0, len(places), batch):
        chosen = places[start : start + batch]
        tiles = torch.stack([x[i, :, top : top + size, left : left + size] for i, top, left in chosen])
        rows = torch.tensor([i for i, _, _ in chosen], device=x.device)
        results = function(tiles, rows, [(top, left) for _, top, left in chosen])
        if total is None:
            total = x.new_zeros(n, results.shape[1], *weights.shape)
        for (i, top, left), result in zip(chosen, results, strict=True):
            y, z = round(top * zoom), round(left * zoom)
            total[i, :, y : y + made, z : z + made] += window * result
            if i == 0:
                weights[y : y + made, z : z + made] += window
    assert total is not None
    if any(beyond):
        sides = (round(shape[0] * zoom), round(shape[1] * zoom))
        total, weights = _folded(total, sides), _folded(weights, sides)
    return total / weights


def _continued(x: Tensor, beyond: tuple[int, int]) -> Tensor:
    """Maps (N, C, H, W) with so many of their first rows and columns once more after the last."""
    x = torch.cat([x, x[:, :, : beyond[0]]], 2) if beyond[0] else x
    return torch.cat([x, x[..., : beyond[1]]], 3) if beyond[1] else x


def _folded(total: Tensor, sides: tuple[int, int]) -> Tensor:
    """Sums (..., H, W) whose rows and columns beyond `sides` are added to the first ones."""
    height, width = sides
    rows, columns = total.shape[-2] - height, total.shape[-1] - width
    total = F.pad(total[..., height:, :], (0, 0, 0, height - rows)) + total[..., :height, :]
    return F.pad(total[..., width:], (0, width - columns)) + total[..., :width]


def places(shape: tuple[int, ...] | torch.Size, size: int, overlap: float = OVERLAP) -> int:
    """How many tiles an image of this height and width is seen in."""
    return len(starts(shape[0], size, overlap)) * len(starts(shape[1], size, overlap))


def starts(length: int, size: int, overlap: float = OVERLAP, step: int = 1) -> list[int]:
    """First pixels of tiles that cover `length` evenly."""
    count = 1 + -(-(length - size) // max(step, int(size * (1 - overlap)) // step * step))
    return [round(k * (length - size) / max(1, count - 1) / step) * step for k in range(count)]


def shifted(length: int, size: int, shift: float, periodic: bool = False, overlap: float = OVERLAP) -> list[int]:
    """First pixels of tiles that cover `length`, all but the first and the last moved by a share `shift` of their distance.

    With periodic borders all are moved, and some may reach beyond `length`.
    """
    apart = max(1, int(size * (1 - overlap)))
    if periodic:
        count = -(-length // apart)
        return sorted({int((k + shift) * length / count) % length for k in range(count)})
    inner = range(int(shift * apart), length - size, apart)
    return sorted({0, *inner, length - size})


def _even(shape: Sequence[int], size: int, overlap: float, step: int = 1) -> Grid:
    return starts(shape[0], size, overlap, step), starts(shape[1], size, overlap, step)


def _beyond(shape: tuple[int, int], size: int, grid: Grid) -> tuple[int, int]:
    """How many rows and columns tiles reach beyond an image."""
    return max(0, max(grid[0]) + size - shape[0]), max(0, max(grid[1]) + size - shape[1])
