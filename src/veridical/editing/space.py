"""What edits work on: the space of a model's denoiser, for images of any size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import Noise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.formulations import SIGMA_DATA
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.solvers import Denoise
from veridical.diffusion.tiles import mosaic, tiled
from veridical.models.contract import Denoising, Diffusive, Hearing, Large

TEXTUAL = ("text", "value", "spelled", "embedding")  # conditions that guidance by words leaves out


class Space:
    """A denoiser of images, or of their latents, larger ones in overlapping tiles.

    Parameters
    ----------
    model : Diffusive
    shape : tuple of int
        Of the images, (N, C, H, W).
    size : int
        Side of the tiles, in pixels, that the model was trained on.
    batch : int
        Tiles at a time.

    Attributes
    ----------
    model : Diffusive
    factor : int
        Pixels a place, along a side; 1 for a model of pixels.
    latent : bool
        Whether it is a space of latents: what is decoded is not to the count what was encoded.
    device : torch.device
    denoise : callable
        That of the model, for images of any size; a ``map`` among the conditions is as large as they are.
    deviation : float
        Standard deviation of encoded images, about.

    Raises
    ------
    InputError
        If the model is none that denoises, or the images are smaller than its tiles.
    """

    def __init__(self, model: Denoising, shape: Sequence[int], size: int, batch: int = 32) -> None:
        if not isinstance(model, Diffusive):
            raise InputError("this model does not denoise images: give a run of a diffusion system, such as edm.")
        height, width = shape[2:]
        if min(height, width) < size:
            raise InputError(
                f"the image has {width} x {height} pixels but the model works on tiles of {size}: give a larger part of it."
            )
        self.model: Any = model
        self.device = next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
        self._side = model.shape[-1]
        batch = min(batch, model.rows) if isinstance(model, Large) else batch
        self.deviation = model.deviation if isinstance(model, Large) else SIGMA_DATA
        self._size, self._batch, self._shape = size, batch, (height, width)
        self.factor = size // self._side
        probe = torch.zeros(1, shape[1], size, size, device=self.device)
        with torch.no_grad():
            self.latent = model.encode(probe).shape != probe.shape
        self.denoise: Denoise = tiled(model.denoise, self._side, batch=batch)

    def encode(self, images: Images) -> Tensor:
        """Images (N, C, H, W) in [0, 1] to their place in the space."""
        x = 2 * torch.as_tensor(images, dtype=torch.float32, device=self.device) - 1
        return self._mapped(
            lambda tiles, *_: self.model.encode(tiles), self._padded(x), self._size, self.factor, 1 / self.factor
        )

    def decode(self, z: Tensor) -> Images:
        """Back to images in [0, 1]."""
        x = self._mapped(lambda tiles, *_: self.model.decode(tiles), z, self._side, 1, float(self.factor))
        height, width = self._shape
        return np.asarray(((x[..., :height, :width] + 1) / 2).clamp(0, 1).float().cpu().numpy())

    def _mapped(self, function: Callable[..., Tensor], x: Tensor, size: int, step: int, zoom: float) -> Tensor:
        """In one piece in a space of pixels, where every pixel goes its own way."""
        with torch.no_grad():
            if not self.latent:
                return function(x)
            return mosaic(function, x, size, step, zoom, batch=self._batch)

    def _padded(self, x: Tensor) -> Tensor:
        height, width = (-length % self.factor for length in x.shape[2:])
        return F.pad(x, (0, width, 0, height), mode="replicate") if height or width else x

    def places(self, mask: NDArray[np.bool_]) -> Tensor:
        """Of a mask (N, H, W) the places of the space, (N, 1, h, w) in {0, 1}, that hold any of its pixels."""
        found = torch.as_tensor(np.asarray(mask, np.float32)[:, None], device=self.device)
        return F.max_pool2d(self._padded(found), self.factor) if self.factor > 1 else found

    def pixels(self, places: Tensor) -> Images:
        """Of a map of places (N, h, w) one of pixels (N, H, W), in between interpolated."""
        found = (
            F.interpolate(places[:, None].float(), scale_factor=self.factor, mode="bilinear")
            if self.factor > 1
            else places[:, None]
        )
        height, width = self._shape
        return np.asarray(found[:, 0, :height, :width].cpu().numpy())

    def smoothed(self, places: Tensor, deviation: float) -> Tensor:
        """A map of places (N, h, w) under a Gaussian of so many pixels: networks differ about a texture pixel by pixel."""
        side = deviation / self.factor
        return torch.from_numpy(gaussian_filter(places.cpu().numpy(), (0, side, side))).to(places)

    def grid(self, steps: int) -> Tensor:
        """So many noise levels along which the model samples, falling to 0, float64."""
        sampling = dataclasses.replace(self.model.sampling, sampling_steps=steps, solver="euler", eta=0.0, churn=0.0)
        return torch.as_tensor(self.model.grid(sampling))

    def back(self, strength: float, steps: int) -> Tensor:
        """Noise levels from part of the way to noise down to 0: the part of `grid` below ``deviation * tan(strength * pi / 2)``.

        With 0.5 noise is as strong as the image (in terms of a cosine schedule, half of its time), with 1 nothing is left.
        """
        grid = self.grid(steps)
        level = (
            min(self.deviation * math.tan(strength * math.pi / 2), grid[0].item()) if strength < 1 else grid[0].item()
        )
        return torch.cat([grid.new_tensor([level]), grid[grid < 0.999 * level]])

    def hear(self, cond: Mapping[str, Tensor], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """Conditions of `n` images in the form that many calls of `denoise` take least time with."""
        with torch.no_grad():
            return self.model.hear(dict(cond), n, noise) if isinstance(self.model, Hearing) else dict(cond)

    def guided(self, scale: float | None = None, denoise: Denoise | None = None) -> Denoise:
        """`denoise` with guidance by words, by default as the model samples."""
        how = self.model.sampling
        low, high = how.guidance_interval
        scale = how.guidance_scale if scale is None else scale
        return classifier_free(denoise or self.denoise, scale, (low, high), TEXTUAL)


def counted(denoise: Denoise, progress: Progress, total: int) -> Denoise:
    """`denoise` that shows one more of `total` evaluations each time."""
    done = 0

    def told(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        nonlocal done
        done += 1
        progress.update(min(1.0, done / total))
        return denoise(x, sigma, cond)

    return told
