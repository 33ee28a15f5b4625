"""What a model gets: a batch of training tiles with its own noise, and per-image noise for sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# Standard normal noise (N, *shape) of a shape for one image, each row from a stream of its own: see `ImageNoise`.
Noise = Callable[[tuple[int, ...]], Tensor]


def mix(*numbers: int) -> int:
    """Mix whole numbers into one 63-bit seed (SplitMix64 finaliser, so that neighbouring seeds are unrelated)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def rising(reached: float, share: float) -> float:
    """From 0 linearly to 1 when `share` of the training is reached, and 1 from there on."""
    return min(1.0, reached / share) if share else 1.0


@dataclass(frozen=True)
class Batch:
    """Rows `start` to `stop` of the batch of one training step.

    Noise is drawn for the whole batch and cut to these rows: what tile k meets in step s depends on the seed, s and k alone,
    whichever process works on it and however often training was interrupted.

    Attributes
    ----------
    image : Tensor, shape (stop - start, C, H, W), values in [-1, 1]
    cond : dict of str to Tensor
        Conditions of the same rows (label, text, mask, source); empty where the recipe needs none.
    reached : float
        Share of the training (steps or minutes) that is over, in [0, 1): what schedules of a model go by.
    """

    image: Tensor
    cond: dict[str, Any]
    generator: torch.Generator = field(repr=False)
    start: int
    stop: int
    total: int
    reached: float = 0.0

    @classmethod
    def at(
        cls,
        image: Tensor,
        cond: dict[str, Any],
        *,
        seed: int,
        step: int,
        start: int,
        total: int,
        reached: float = 0.0,
    ) -> Batch:
        """Make the batch of step `step`, whose rows begin at `start` of `total`."""
        generator = torch.Generator().manual_seed(mix(seed, step))
        return cls(image, cond, generator, start, start + len(image), total, reached)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, shape (rows, \\*shape)."""
        return self._rows(torch.randn(self.total, *shape, generator=self.generator))

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        """`normal` as a `Noise`, for networks that draw as much as they need."""
        return self.normal(*shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1), shape (rows, \\*shape)."""
        return self._rows(torch.rand(self.total, *shape, generator=self.generator))

    def share(self, turn: int, turns: int) -> Batch:
        """Part `turn` of `turns` equal parts of the rows, for models that take several steps on one batch."""
        size = len(self.image) // turns
        rows, start = slice(turn * size, (turn + 1) * size), self.start // turns
        cond = {name: values[rows] for name, values in self.cond.items()}
        return Batch(self.image[rows], cond, self.generator, start, start + size, self.total // turns, self.reached)

    def _rows(self, noise: Tensor) -> Tensor:
        return noise[self.start : self.stop].to(self.image.device)


class ImageNoise:
    """Standard normal noise for images with given numbers: image k gets the same whatever else is sampled.

    Parameters
    ----------
    seed : int
    numbers : iterable of int
        Numbers k of the images, one a row.
    device : torch.device or str
    """

    def __init__(self, seed: int, numbers: Iterable[int], device: torch.device | str = "cpu") -> None:
        self._generators = [torch.Generator().manual_seed(mix(seed, k)) for k in numbers]
        self._device = device

    def __len__(self) -> int:
        return len(self._generators)

    def __call__(self, shape: Iterable[int]) -> Tensor:
        """Draw noise of shape (images, \\*shape); each call goes on where the last one stopped."""
        shape = tuple(shape)
        return torch.stack([torch.randn(shape, generator=g) for g in self._generators]).to(self._device)
