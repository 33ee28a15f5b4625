"""DDIM inversion (Song et al. 2021, Dhariwal and Nichol 2021): an image to its noise, and back with other words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.core.tokens import NEGATIVE
from veridical.diffusion.deterministic import euler, invert
from veridical.diffusion.inversion import null_text
from veridical.diffusion.solvers import Denoise
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Inversion
from veridical.editing.space import Space, counted
from veridical.models.contract import Denoising
from veridical.nets.text import Heard, Read


def ddim_inversion(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Inversion,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Lead images to noise under the source prompt without guidance, and back under the prompt with guidance.

    See `veridical.editing.edit.Apply`. With `null_text` what guidance leads away from is learned at each step, so that with the
    source prompt the same guidance leads back to the image (Mokady et al. 2022, arXiv:2211.09794).
    """
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    source, target = space.hear(given.source(n), n, noise), space.hear(given.target(n), n, noise)
    grid = space.back(settings.strength, settings.steps)
    steps = len(grid) - 1
    with torch.no_grad(), Progress("edit", quiet) as progress:
        total = steps * (2 + settings.corrections + settings.null_text + (settings.null_text > 0))
        plain = counted(space.denoise, progress, total)
        guided = counted(space.guided(), progress, total)
        path = invert(plain, space.encode(images), grid, source, settings.corrections)
        if not settings.null_text:
            return Edited(space.decode(euler(guided, path[0], grid, target)))
        return Edited(space.decode(_replaced(guided, path, grid, source, target, settings.null_text)))


def _replaced(
    guided: Denoise, path: list[Tensor], grid: Tensor, source: dict[str, Any], target: dict[str, Any], iterations: int
) -> Tensor:
    key = next((name for name, value in source.items() if isinstance(value, Heard) and name.startswith(NEGATIVE)), "")
    if not key:
        raise InputError(
            "null_text learns a text, and this model hears none: leave it out, or give a run of text_to_image."
        )
    nothing = source[key].now
    parts = [nothing.sequence, *([] if nothing.whole is None else [nothing.whole])]

    def of(cond: dict[str, Any], learned: Sequence[Tensor]) -> dict[str, Any]:
        return cond | {key: Heard(Read(learned[0], nothing.there, learned[1] if len(learned) > 1 else None), None)}

    found = null_text(guided, path, grid, lambda learned: of(source, learned), parts, iterations)
    x = path[0]
    for k, learned in enumerate(found):
        x = euler(guided, x, grid[k : k + 2], of(target, learned))
    return x
