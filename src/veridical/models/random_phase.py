"""The classical texture that learns nothing: a tile's spectrum, random phases and its exact histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..batch import Batch


def surrogates(tiles: NDArray, rng: np.random.Generator, iterations: int = 8) -> NDArray:
    """Random-phase surrogates of `tiles`, one each.

    Phases are replaced by those of white noise, the same shift for every channel so that colours keep together (Galerne,
    Gousseau and Morel 2011); then spectrum and histogram are imposed in turn (IAAFT, Schreiber and Schmitz 1996), the
    histogram last and therefore exact.

    Parameters
    ----------
    tiles : ndarray, shape (N, C, H, W), values in [0, 1]
    rng : numpy.random.Generator
    iterations : int
        Rounds of spectrum, then histogram.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W)
    """
    return _iaaft(tiles, rng.standard_normal((len(tiles), *tiles.shape[2:])), iterations)


def _iaaft(tiles: NDArray, noise: NDArray, iterations: int) -> NDArray:
    spectrum = np.fft.fft2(tiles.astype(np.float64))
    amplitude = np.abs(spectrum)
    turn = np.exp(1j * np.angle(np.fft.fft2(noise)))[:, None]
    # The mean has no phase: keep its sign.
    turn[..., 0, 0] = 1
    current = np.fft.ifft2(spectrum * turn).real
    flat = (*tiles.shape[:2], -1)
    values = np.sort(tiles.reshape(flat), axis=-1)
    for round_ in range(iterations):
        if round_:
            current = np.fft.ifft2(amplitude * np.exp(1j * np.angle(np.fft.fft2(current)))).real
        order = np.argsort(current.reshape(flat), axis=-1, kind="stable")
        ranked = np.empty_like(values)
        np.put_along_axis(ranked, order, values, axis=-1)
        current = ranked.reshape(tiles.shape)
    return current.astype(np.float32)


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

    def sample(self, n: int, cond: dict, noise: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Return images in [-1, 1], shape (n, C, H, W)."""
        pick = torch.special.ndtr(noise(())).mul(len(self.tiles)).long().clamp(max=len(self.tiles) - 1)
        tiles = (self.tiles[pick] + 1) / 2
        grain = noise(self.tiles.shape[2:])
        images = _iaaft(tiles.cpu().numpy(), grain.cpu().numpy(), self.iterations)
        return torch.from_numpy(images).to(self.tiles.device) * 2 - 1
