"""SDEdit (Meng et al. 2022, arXiv:2108.01073): noise is added to an image, and taken away as the model sees fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.progress import Progress
from veridical.diffusion.posterior import repaint
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Strength
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising


def sdedit(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Strength,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Add noise up to a level, then sample from there (algorithm 1); with a mask only inside it (algorithm 2).

    See `veridical.editing.edit.Apply`. The noise that each step takes away comes back in part, as ancestral sampling has it:
    an ODE from one noise would keep what a network of minutes gets wrong.
    """
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    cond = space.hear(given.target(n), n, noise)
    grid = space.back(settings.strength, settings.steps)
    with torch.no_grad(), Progress("edit", quiet) as progress:
        z = space.encode(images)
        inside = torch.ones_like(z[:, :1]) if given.mask is None else space.places(given.mask)
        denoise = counted(space.guided(), progress, len(grid) - 1)
        x = z + grid[0].item() * noise(tuple(z.shape[1:]))
        x = repaint(
            denoise, lambda v: v * (1 - inside), z * (1 - inside), x, grid, lambda: noise(tuple(z.shape[1:])),
            resamplings=1, cond=cond,
        )  # fmt: skip
        return Edited(space.decode(x))
