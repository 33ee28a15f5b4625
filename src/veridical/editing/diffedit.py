"""DiffEdit (Couairon et al. 2022, arXiv:2210.11427): the words say what changes, and the model where."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.deterministic import invert
from veridical.diffusion.inversion import masked_euler
from veridical.diffusion.semantic import contrast, relative
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import DiffEdit
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising

CLAMP = 3.0  # the multiple of the mean that counts as all


def diffedit(
    model: Denoising,
    images: Images,
    given: Given,
    settings: DiffEdit,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Find where source prompt and prompt differ, lead the image to noise and back, and change it there alone.

    See `veridical.editing.edit.Apply`. A mask that is given takes the place of the one that would be found.
    """
    if given.words is None:
        raise InputError("diffedit compares two texts, and this model hears none: give a run of text_to_image.")
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    source, target = space.hear(given.source(n), n, noise), space.hear(given.target(n), n, noise)
    grid = space.back(settings.strength, settings.steps)
    draws = settings.draws if given.mask is None else 0
    with torch.no_grad(), Progress("edit", quiet) as progress:
        total = 2 * draws + (2 + settings.corrections) * (len(grid) - 1)
        plain = counted(space.denoise, progress, total)
        z = space.encode(images)
        maps = {}
        if given.mask is None:
            level = space.back(settings.level, settings.steps)[0]
            found = contrast(plain, z, level, source, target, lambda: noise(tuple(z.shape[1:])), draws)
            share = relative(space.smoothed(found, settings.smoothing), CLAMP)
            inside = (share > settings.threshold)[:, None].to(z.dtype)
            maps = {"difference": space.pixels(share)}
        else:
            inside = space.places(given.mask)
        path = invert(plain, z, grid, source, settings.corrections)
        guided = counted(space.guided(), progress, total)
        made = space.decode(masked_euler(guided, path, grid, inside, target))
        return Edited(made, given.mask if given.mask is not None else space.pixels(inside[:, 0]) >= 0.5, maps)
