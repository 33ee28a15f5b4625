"""Inpainting, with words or without, in pixels and in latents (Lugmayr et al. 2022, arXiv:2201.09865)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise, mix
from veridical.core.progress import Progress
from veridical.diffusion.posterior import measured_denoiser, repaint
from veridical.diffusion.solvers import heun
from veridical.editing import restore
from veridical.editing.edit import Edited, Given
from veridical.editing.holes import checked_mask, filled, surroundings
from veridical.editing.seam import continued
from veridical.editing.settings import Settings
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising, Diffusive, Hearing, Seeing


def inpaint(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Settings,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Draw what may lie under a mask; see `veridical.editing.edit.Apply`.

    In pixels what lies under the mask does not matter. In latents it does a little: those beside the hole look into it.
    """
    assert given.mask is not None
    mask, n = checked_mask(images, given.mask), len(images)
    numbers = range(n) if numbers is None else numbers
    cond = heard(model, given, n, seed, numbers)
    made = images.copy()
    # Holes of one image must not decide which surroundings of another are looked at.
    for rows in _alike([surroundings(one, size) for one in mask]):
        made[rows] = paint(
            model, images[rows], mask[rows], {name: value[rows] for name, value in cond.items()}, settings, size=size,
            seed=seed, numbers=[numbers[k] for k in rows], quiet=quiet,
        )  # fmt: skip
    return Edited(made)


def heard(model: Denoising, given: Given, n: int, seed: int, numbers: Sequence[int]) -> dict[str, Any]:
    """Conditions of `n` images by their prompts, as `denoise` takes them."""
    cond = given.target(n)
    if not cond or not isinstance(model, Hearing):
        return dict(cond)
    device = next(iter(cond.values())).device
    with torch.no_grad():
        return model.hear(cond, n, ImageNoise(seed, numbers, device))


def paint(
    model: Denoising,
    images: Images,
    mask: NDArray[np.bool_],
    cond: Mapping[str, Any],
    settings: Settings,
    *,
    size: int,
    seed: int,
    numbers: Sequence[int],
    quiet: bool,
) -> Images:
    """Images (N, C, H, W) with what a model draws under masks (N, H, W), of the conditions `cond`, a row an image."""
    if not isinstance(model, Diffusive) or not (
        _sees(model) or Space(model, images.shape, size, settings.batch).latent
    ):
        scale, interval = 1.0, (0.0, math.inf)
        if isinstance(model, Diffusive):
            scale, (low, high) = model.sampling.guidance_scale, model.sampling.guidance_interval
            interval = low, high
        return restore.inpaint(
            model, images, mask, size=size, settings=settings, seed=seed, numbers=numbers, cond=dict(cond),
            guidance_scale=scale, guidance_interval=interval, quiet=quiet,
        )  # fmt: skip

    def draw(number: int, part: Images, hole: NDArray[np.bool_]) -> Images:
        return _in_space(model, part, hole, cond, settings, size, ImageNoise(mix(seed, number), numbers), quiet)

    return filled(images, mask, size, draw)


def _sees(model: Denoising) -> TypeGuard[Seeing]:
    """Whether its network sees holes."""
    return isinstance(model, Seeing) and model.sees == "hole"


def _in_space(
    model: Diffusive, images: Images, hole: NDArray[np.bool_], cond: Mapping[str, Any], settings: Settings, size: int,
    noise: ImageNoise, quiet: bool,
) -> Images:  # fmt: skip
    """Draw the latents that hold pixels of the hole, with all others put back at every level, and decode them.

    A network that sees the hole, in pixels or latents, draws without that, by the model's own solver (Rombach et al. 2022,
    section 4.5).
    """
    space = Space(model, images.shape, size, settings.batch)
    lost = np.isnan(images).any(1)
    if _sees(model):
        made = _seen(model, space, np.nan_to_num(images, nan=0.5), hole | lost, cond, settings, noise, quiet)
        return _fitted(made, images, hole | lost, space)
    z = space.encode(np.nan_to_num(images, nan=0.5))
    known = 1 - space.places(hole | lost)
    grid = space.grid(settings.steps)

    def keep(v: torch.Tensor) -> torch.Tensor:
        return v * known

    def fresh() -> torch.Tensor:
        return noise(tuple(z.shape[1:])).to(z)

    total = 2 * settings.steps - 1 if settings.iterations else settings.steps * settings.resamplings
    with torch.no_grad(), Progress("edit", quiet) as progress:
        denoise = counted(space.guided(), progress, total)
        x = keep(z) + grid[0].item() * fresh()
        if settings.iterations:
            x = heun(measured_denoiser(denoise, keep, keep(z), 0.0, settings.iterations), x, grid, dict(cond))
        else:
            x = repaint(denoise, keep, keep(z), x, grid, fresh, 0.0, settings.resamplings, dict(cond))
        made = space.decode(x - keep(x) + keep(z))
    return _fitted(made, images, hole | lost, space)


def _seen(
    model: Seeing, space: Space, images: Images, hole: NDArray[np.bool_], cond: Mapping[str, Any], settings: Settings,
    noise: ImageNoise, quiet: bool,
) -> Images:  # fmt: skip
    """Draw whole images with a network that sees what stands outside of a hole, grey in its place."""
    how: Any = dataclasses.replace(model.sampling, sampling_steps=settings.steps)
    with torch.no_grad(), Progress("edit", quiet) as progress:
        z = space.encode(np.where(hole[:, None], np.float32(0.5), images))
        told = {**cond, "map": torch.cat([space.places(hole), z], 1)}
        denoise = counted(space.guided(how.guidance_scale), progress, settings.steps)
        x = model.grid(how)[0].item() * noise(tuple(z.shape[1:])).to(z)
        return space.decode(model.solved(denoise, x, told, noise, how))


def _fitted(made: Images, images: Images, hole: NDArray[np.bool_], space: Space) -> Images:
    """What was drawn, continued from the surroundings, so that no seam shows what a round trip through latents changes."""
    seen = ~hole[:, None]
    return np.asarray(made + continued(np.where(seen, images, made) - made, seen, 2 * space.factor), np.float32).clip(
        0, 1
    )


def _alike(keys: Sequence[Any]) -> list[list[int]]:
    """Numbers of the rows of equal keys."""
    found: list[list[int]] = []
    for k, key in enumerate(keys):
        mine = next((rows for rows in found if keys[rows[0]] == key), None)
        if mine is None:
            found.append([k])
        else:
            mine.append(k)
    return found
