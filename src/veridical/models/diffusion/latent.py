"""Latent diffusion (Rombach et al. 2022): a denoiser of the latents of a frozen first stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.solvers import Denoise
from veridical.diffusion.tiles import mosaic
from veridical.models.contract import Latent
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Sampling
from veridical.nets.attention import Control


class LatentDiffusion(nn.Module):
    """A `Denoiser` between `encode` and `decode` of another model.

    Parameters
    ----------
    first : Latent
        Trained first stage; it is frozen.
    denoiser : Denoiser
        Denoiser of that shape.
    frozen : mapping of str to nn.Module, optional
        All frozen stages by name, where the denoiser holds some, too; by default the first stage is the only one.
    """

    def __init__(self, first: Latent, denoiser: Denoiser, frozen: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.first: Any = cast(nn.Module, first).eval().requires_grad_(False)
        self.denoiser, self.sampling = denoiser, denoiser.sampling
        self.shape, self.parts = denoiser.shape, dict(denoiser.parts)
        self.frozen = {"first": self.first} if frozen is None else dict(frozen)
        self._pixels: Canvas | None = None

    def train(self, mode: bool = True) -> LatentDiffusion:
        """Set the mode of the denoiser; frozen stages stay as they are."""
        super().train(mode)
        for stage in self.frozen.values():
            stage.eval()
        return self

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Measure mean and standard deviation of the latents."""
        self.denoiser.prepare(self.first.encode(image))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Normalised latents of images."""
        return self.denoiser.encode(self.first.encode(x))

    def decode(self, z: Tensor) -> Tensor:
        """Images of normalised latents."""
        return self.first.decode(self.denoiser.decode(z))

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected clean latents of ``x = x0 + sigma * noise``."""
        return self.denoiser.denoise(x, sigma, cond)

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """See `Denoiser.hear`."""
        return self.denoiser.hear(cond, n)

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """See `Denoiser.attention`."""
        return self.denoiser.attention(control)

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """See `Denoiser.ends`."""
        return self.denoiser.ends(sampling or self.sampling)

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """See `Denoiser.grid`."""
        return self.denoiser.grid(sampling or self.sampling)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """See `Denoiser.start`."""
        return self.denoiser.start(noise, sigma)

    @contextmanager
    def on_canvas(self, canvas: Canvas) -> Iterator[None]:
        """See `Denoiser.on_canvas`; latents that reach beyond the image are cut off when they are decoded.

        Raises
        ------
        InputError
            If borders are to be periodic and no whole number of latents fits between them.
        """
        factor = canvas.tile // self.shape[-1]
        down, right = (-(-side // factor) for side in canvas.shape)
        if canvas.periodic and (factor * down, factor * right) != canvas.shape:
            raise InputError(
                f"{canvas.width}x{canvas.height} cannot be periodic: give multiples of {factor}, the pixels of a latent."
            )
        self._pixels = canvas
        try:
            with self.denoiser.on_canvas(dataclasses.replace(canvas, height=down, width=right, tile=self.shape[-1])):
                yield
        finally:
            self._pixels = None

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss on the latents of the batch."""
        with torch.no_grad():
            latents = self.first.encode(batch.image)
        yield from self.denoiser.losses(dataclasses.replace(batch, image=latents), step)

    def sample(
        self,
        n: int,
        cond: dict[str, Any],
        noise: Noise,
        sampling: Sampling | None = None,
        guide: Callable[[Denoise], Denoise] | None = None,
    ) -> Tensor:
        """Sample latents and decode them; images in [-1, 1]. See `Denoiser.sample`."""
        return self._decoded(self.denoiser.sample(n, cond, noise, sampling or self.sampling, guide))

    def _decoded(self, z: Tensor) -> Tensor:
        """Images of latents of any size, in tiles: the first stage has seen no larger ones."""
        canvas, pixels = self.denoiser.canvas, self._pixels
        if canvas is None or pixels is None:
            return self.first.decode(z)
        zoom = pixels.tile / canvas.tile
        image = mosaic(
            lambda tiles, *_: self.first.decode(tiles),
            z,
            canvas.tile,
            zoom=zoom,
            batch=canvas.batch,
            grid=canvas.grid(),
        )
        return image[..., : pixels.height, : pixels.width]
