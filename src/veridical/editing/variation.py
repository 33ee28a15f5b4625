"""Variations (Ramesh et al. 2022, arXiv:2204.06125, section 3.1): the same kind of image, another instance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.deterministic import invert
from veridical.diffusion.stochastic import ddim, sde_dpm_solver_pp_2m
from veridical.diffusion.tiles import starts
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Alike
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising, Varying


def variation(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Alike,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Draw what has the same embedding; see `veridical.editing.edit.Apply`.

    An image is its embedding, which says what kind it is, and the noise that it comes from by DDIM, which says the rest. Of
    that noise the share `alike` is kept and the rest drawn, at the start and in the same shares at every step (the paper's eta).
    With ``alike=1`` nothing is drawn, and guidance, with which no image is found again, is left out by the same share. With 0
    all is drawn, by SDE-DPM-Solver++(2M): DDIM with all noise drawn anew loses a fifth of the contrast in 25 steps.
    """
    if not isinstance(model, Varying):
        raise InputError(
            "this model draws nothing of the embedding of an image: give a run of unclip or stable_unclip."
        )
    n, alike = len(images), settings.alike
    space = Space(model.decoder, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    grid, drawn = space.grid(settings.steps), (1 - alike**2) ** 0.5
    with torch.no_grad(), Progress("edit", quiet) as progress:
        cond = model.heard(_embedded(model, images, size, space.device), noise)
        scale = 1 + (model.sampling.guidance_scale - 1) * (1 - alike)
        denoise = counted(space.guided(scale), progress, settings.steps * (2 if alike else 1))
        z = space.encode(images)
        x = drawn * grid[0].item() * noise(tuple(z.shape[1:]))
        if alike:
            x = ddim(denoise, x + alike * invert(denoise, z, grid, cond)[0], grid, cond, noise, eta=drawn)
        else:
            x = sde_dpm_solver_pp_2m(denoise, x, grid, cond, noise)
        return Edited(space.decode(x))


def _embedded(model: Varying, images: Images, size: int, device: torch.device) -> Tensor:
    """Embeddings (N, dim) as long as they are; of images larger than a tile in the mean direction of their tiles."""
    x = 2 * torch.as_tensor(images, dtype=torch.float32, device=device) - 1
    tops, lefts = (starts(length, size) for length in x.shape[2:])
    tiles = [x[:, :, top : top + size, left : left + size] for top in tops for left in lefts]
    found = torch.stack([model.embed(tile) for tile in tiles])
    length: Tensor = found.norm(dim=-1, keepdim=True).mean(0)
    return length * F.normalize(found.mean(0), dim=-1)
