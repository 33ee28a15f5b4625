"""How large an image is drawn by a model of tiles: its sides, its borders, and where its tiles lie at each evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from veridical.core.batch import mix
from veridical.diffusion.deterministic import Denoise
from veridical.diffusion.tiles import Grid, shifted, tiled


@dataclass(frozen=True)
class Canvas:
    """What larger images are drawn on.

    Attributes
    ----------
    height, width : int
        In pixels, or places of a latent space; at least a tile.
    tile : int
        Side of the tiles that the model was trained on.
    periodic : bool
        Whether the image goes on at the opposite side where it ends.
    seed : int
        Of where tiles lie.
    batch : int
        Tiles at a time.
    """

    height: int
    width: int
    tile: int
    periodic: bool = False
    seed: int = 0
    batch: int = 32

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def plain(self) -> bool:
        """Whether it is one tile as it was trained on."""
        return not self.periodic and self.shape == (self.tile, self.tile)

    def tiled(self, denoise: Denoise, moving: bool = True) -> Denoise:
        """`denoise` of tiles (N, C, tile, tile) for the images of the canvas, see `veridical.diffusion.tiles.tiled`.

        Tiles lie elsewhere at every evaluation (in all images at the same places), so that no place is always near the edge of
        one; with ``moving=False`` they stay where they are, for solvers that choose their steps by comparing evaluations.
        """
        rng = np.random.default_rng(mix(self.seed, self.tile))
        return tiled(
            denoise, self.tile, batch=self.batch, grid=lambda _: self.grid(*rng.random(2) if moving else (0.5, 0.5))
        )

    def grid(self, down: float = 0.0, right: float = 0.0) -> Grid:
        """First rows and columns of tiles, moved by shares of their distance."""
        return (
            shifted(self.height, self.tile, down, self.periodic),
            shifted(self.width, self.tile, right, self.periodic),
        )
