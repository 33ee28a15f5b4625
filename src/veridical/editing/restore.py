"""Data-consistent uses of a trained denoiser: fill, clean and interpolate images without training again.

All are functions over ``model.denoise``, ``encode`` and ``decode``; they return draws from what the model believes given the
measurement, so that the mean over several draws is the best guess and their spread says how sure it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise, mix
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.posterior import measured_denoiser, repaint
from veridical.diffusion.solvers import Denoise, heun, karras_grid
from veridical.diffusion.tiles import tiled
from veridical.editing.holes import checked_mask, filled
from veridical.editing.operators import Operator, hidden, rings, streaks, wedge
from veridical.editing.settings import Settings
from veridical.editing.space import TEXTUAL, counted
from veridical.models.contract import Denoising, Encoding

__all__ = ["Operator", "Settings", "hidden", "inpaint", "interpolate", "restore", "rings", "streaks", "wedge"]

BLUR = 1.5  # pixels over which neighbouring slices are compared
SIGMA_MIN, SIGMA_MAX = 0.01, 20.0  # encoded images have a standard deviation of about 0.5


def restore(
    model: Denoising,
    measured: Images,
    operator: Operator | tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]],
    *,
    size: int | None = None,
    deviation: float | Images = 0.0,
    settings: Settings | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    cond: dict[str, Tensor] | None = None,
    guidance_scale: float = 1.0,
    guidance_interval: tuple[float, float] = (0.0, math.inf),
    quiet: bool = True,
) -> Images:
    """Draw images that the model finds likely and that give what was measured, ``y = A x + noise``.

    Parameters
    ----------
    model : Denoising
        With ``denoise``, ``encode`` and ``decode``, in pixels (a trained ``edm``, say).
    measured : ndarray of float32, shape (N, ...)
        What `operator` gives of images (N, C, H, W) in [0, 1]. Repeat a measurement for several draws.
    operator : Operator or pair of functions
        ``forward`` and ``pseudoinverse``, linear functions of tensors; see `rings`, `streaks`, `wedge`, `hidden`.
    size : int, optional
        Side of the tiles that the model was trained on; larger images are denoised in overlapping tiles. By default images
        are taken whole.
    deviation : float or ndarray
        Standard deviation of the noise of ``pseudoinverse(measured)``, where 1 is the range of images; an array is one for
        each pixel, where the operator keeps each pixel or none of it. 0: what was measured is kept exactly.
    settings : Settings, optional
    seed : int
    numbers : sequence of int, optional
        Image k depends on `seed` and ``numbers[k]``, by default k, not on N (to rounding).
    cond : dict of tensors, optional
        Conditions, a row an image.
    guidance_scale : float
        Of guidance by a text among them; 1 is the text alone.
    guidance_interval : (float, float)
        Noise levels where it acts.
    quiet : bool
        Show no progress.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W), values in [0, 1]

    Raises
    ------
    InputError
        If the model is none that denoises pixels, or if images are smaller than its tiles.

    References
    ----------
    Lugmayr et al. 2022, arXiv:2201.09865, with the range and null space of Wang et al. 2023, arXiv:2212.00490, in place of
    a mask; Rozet et al. 2024, arXiv:2405.13712; for large images Bar-Tal et al. 2023, arXiv:2302.08113.
    """
    settings = settings or Settings()
    if not (np.isfinite(deviation).all() and np.min(deviation) >= 0):
        raise InputError(
            f"deviation={deviation} cannot be: give the noise as a share of the range of images, 0 for none."
        )
    forward, pseudoinverse = operator
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    back = pseudoinverse(torch.as_tensor(measured, dtype=torch.float32, device=device))
    denoise = _pixel_denoiser(model, back, size, settings.batch)

    def keep(x: Tensor) -> Tensor:
        return pseudoinverse(forward(x))

    known = keep(model.encode(2 * back - 1))
    level = torch.as_tensor(deviation, dtype=torch.float32, device=device) * _contrast(model, back)
    noise = ImageNoise(seed, range(len(back)) if numbers is None else numbers, device)
    denoise = classifier_free(denoise, guidance_scale, guidance_interval, TEXTUAL)
    grid = karras_grid(settings.steps, SIGMA_MIN, SIGMA_MAX)
    total = 2 * settings.steps - 1 if settings.iterations else settings.steps * settings.resamplings
    with torch.no_grad(), Progress("restore", quiet) as progress:
        denoise = counted(denoise, progress, total)
        x = known + noise(back.shape[1:]) * SIGMA_MAX
        if settings.iterations:
            x = heun(measured_denoiser(denoise, keep, known, level, settings.iterations), x, grid, cond)
        else:
            draw = partial(noise, back.shape[1:])
            x = repaint(denoise, keep, known, x, grid, draw, level, settings.resamplings, cond)
        if not level.any():
            x = x - keep(x) + known
        return ((model.decode(x) + 1) / 2).clamp(0, 1).float().cpu().numpy()


def inpaint(
    model: Denoising,
    image: Images,
    mask: NDArray[np.bool_],
    *,
    size: int | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    cond: dict[str, Any] | None = None,
    guidance_scale: float = 1.0,
    guidance_interval: tuple[float, float] = (0.0, math.inf),
    quiet: bool = True,
) -> Images:
    """Draw what may lie under a mask.

    Parameters
    ----------
    model, size, settings, seed, numbers, cond, guidance_scale, guidance_interval, quiet
        As for `restore`. Of images larger than `size` only the surroundings of holes are looked at, half a tile to every side.
    image : ndarray of float32, shape (N, C, H, W), values in [0, 1]
        What lies under the mask does not matter. NaN where nothing was measured: it stays, and nothing is drawn after it.
    mask : ndarray of bool, shape (H, W) or (N, H, W)
        True where to fill.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W), values in [0, 1]
        Equal to `image` outside the mask.

    Raises
    ------
    InputError
        If mask and image differ in size, or if the mask leaves nothing to fill or nothing to go by.
    """
    mask = checked_mask(image, mask)

    def draw(number: int, part: Images, hole: NDArray[np.bool_]) -> Images:
        unknown = hidden(hole[:, None] | np.isnan(part).any(1, keepdims=True))
        return restore(
            model, np.nan_to_num(part, nan=0.0), unknown, size=size, settings=settings, seed=mix(seed, number),
            numbers=numbers, cond=cond, guidance_scale=guidance_scale, guidance_interval=guidance_interval, quiet=quiet,
        )  # fmt: skip

    return filled(np.where(mask[:, None], np.float32(0), image), mask, size, draw)


def interpolate(
    model: Denoising,
    before: Images,
    after: Images,
    fraction: float = 0.5,
    *,
    size: int | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    cond: dict[str, Tensor] | None = None,
    guidance_scale: float = 1.0,
    quiet: bool = True,
) -> Images:
    """Draw the slice between two neighbours of a stack.

    Along the stack grey levels are taken for Brownian bridges, as structures with sharp edges have variograms that rise
    linearly: the linear mean of the neighbours is a measurement whose noise has the variance
    ``fraction * (1 - fraction) * (after - before)^2``, averaged over a few pixels. Where neighbours agree the slice is theirs,
    where they do not the model decides.

    Parameters
    ----------
    model, size, settings, seed, numbers, cond, guidance_scale, quiet
        As for `restore`.
    before, after : ndarray of float32, shape (N, C, H, W), values in [0, 1]
    fraction : float
        Where the slice lies, from 0 (`before`) to 1 (`after`).

    Returns
    -------
    ndarray of float32, shape (N, C, H, W), values in [0, 1]

    Raises
    ------
    InputError
        If the neighbours differ in size, or if `fraction` lies outside [0, 1].
    """
    if before.shape[2:] != after.shape[2:]:
        sizes = " and ".join("{3} x {2}".format(*x.shape) for x in (before, after))
        raise InputError(f"slices of {sizes} pixels do not fit: cut both to one size.")
    if before.shape != after.shape:
        raise InputError(f"neighbours of shapes {before.shape} and {after.shape} do not fit: cut them to one size.")
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction={fraction} lies outside the slices: give a number from 0 to 1.")
    mean = (1 - fraction) * before + fraction * after
    change = ndimage.gaussian_filter(np.square(after - before), (0, 0, BLUR, BLUR))
    deviation = np.sqrt(fraction * (1 - fraction) * change)
    return restore(
        model, mean, Operator(_same, _same), size=size, deviation=deviation, settings=settings, seed=seed, numbers=numbers,
        cond=cond, guidance_scale=guidance_scale, quiet=quiet,
    )  # fmt: skip


def _same(x: Tensor) -> Tensor:
    return x


def _pixel_denoiser(model: Denoising, image: Tensor, size: int | None, batch: int) -> Denoise:
    if not isinstance(model, Denoising):
        raise InputError("this model does not denoise images: give a run of a diffusion system in pixels, such as edm.")
    size = size or min(image.shape[2:])
    if min(image.shape[2:]) < size:
        raise InputError(
            f"the image has {image.shape[3]} x {image.shape[2]} pixels but the model works on tiles of {size}: "
            "give a larger part of it."
        )
    tile = image[:1, :, :size, :size]
    if model.encode(tile).shape != tile.shape:
        raise InputError("this model denoises latents, where no pixel can be kept: give a run in pixels, such as edm.")
    return tiled(model.denoise, size, batch=batch)


def _contrast(model: Encoding, image: Tensor) -> float:
    """Encoded values a unit of images in [0, 1]."""
    zeros = torch.zeros_like(image[:1])
    return 2 * (model.encode(zeros + 1) - model.encode(zeros)).mean().item()
