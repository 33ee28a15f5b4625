"""The classical texture that learns nothing: a tile's spectrum, random phases and its exact histogram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.metrics.surrogates import iaaft


class RandomPhase(nn.Module):
    """Keeps some training tiles and samples surrogates of them: the line that a learned generator has to beat.

    Parameters
    ----------
    channels, size : int
    tiles : int
        How many training tiles to keep.
    iterations : int
        Rounds of spectrum, then histogram (see `surrogates`).
    """

    def __init__(self, channels: int, size: int, tiles: int = 256, iterations: int = 8) -> None:
        super().__init__()
        self.iterations = iterations
        self.parts: dict[str, nn.Module] = {}
        self.tiles: Tensor
        self.register_buffer("tiles", torch.zeros(tiles, channels, size, size))

    def prepare(self, image: Tensor) -> None:
        """Keep tiles, repeated where there are too few."""
        repeats = -(-len(self.tiles) // len(image))
        self.tiles.copy_(image.repeat(repeats, 1, 1, 1)[: len(self.tiles)])

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """There is nothing to minimise."""
        yield from ()

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Return images in [-1, 1], shape (n, C, H, W)."""
        pick = torch.special.ndtr(noise(())).mul(len(self.tiles)).long().clamp(max=len(self.tiles) - 1)
        tiles = (self.tiles[pick] + 1) / 2
        grain = noise(self.tiles.shape[2:])
        images = iaaft(tiles.cpu().numpy(), grain.cpu().numpy(), self.iterations)
        return torch.from_numpy(images).to(self.tiles.device) * 2 - 1
