"""InstructPix2Pix (Brooks et al. 2022, arXiv:2211.09800): an image is drawn anew, changed as an instruction says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Told
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising, Instructable

EVALUATIONS = 3  # a step: of nothing, of the image, and of image and instruction


def instruct_pix2pix(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Told,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Sample from noise with the image beside it (section 3.2), by the model's own solver; larger images in tiles.

    See `veridical.editing.edit.Apply`. How much instruction and image count are settings of the run's sampling,
    ``guidance_scale`` and ``image_guidance_scale``.

    Raises
    ------
    InputError
        If the model was not trained on instructions.
    """
    if not isinstance(model, Instructable) or model.sees != "image":
        raise InputError(
            "this run was not trained to follow instructions: give a run of instruct_pix2pix, or use another --how, as sdedit."
        )
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    how: Any = dataclasses.replace(model.sampling, sampling_steps=settings.steps)
    grid = model.grid(how)
    with torch.no_grad(), Progress("edit", quiet) as progress:
        z = space.encode(images)
        cond = {**space.hear(given.target(n), n), "map": z}
        guided = model.instructed(counted(space.denoise, progress, EVALUATIONS * (len(grid) - 1)), how)
        x = grid[0].item() * noise(tuple(z.shape[1:]))
        return Edited(space.decode(model.solved(guided, x, cond, noise, how)))
