"""LEDITS++ (Brack et al. 2023, arXiv:2311.16711): several changes at once, each where attention and difference place it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.inversion import noised, replayed, residuals
from veridical.diffusion.semantic import Change, semantic
from veridical.diffusion.solvers import Denoise
from veridical.diffusion.tiles import tiled
from veridical.editing.alignment import unshared
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Ledits
from veridical.editing.space import Space, counted
from veridical.editing.words import Words, signed
from veridical.models.contract import Attending, Denoising
from veridical.nets.attention import Place

COARSE = 4  # attention is read where a place is at least so many places of the space wide, as in the paper
WATCHED = "watched"  # condition (N, L): which tokens are of the words in question


def ledits(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Ledits,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Invert images so that they come back exactly (Huberman-Spiegelglas et al. 2023, arXiv:2304.06140), and change on the way.

    See `veridical.editing.edit.Apply`. Each text of a prompt is a change: from the source prompt, or from nothing said, to the
    text, or away from it if it begins with "-". Attention is that to the words that the source prompt has not.
    """
    if given.words is None or given.prompt is None or not isinstance(model, Attending):
        raise InputError(
            "ledits goes by the attention to words, and this model hears none, or attends to them and to places at once: give a "
            "run of text_to_image."
        )
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    noise = ImageNoise(seed, range(n) if numbers is None else numbers, space.device)
    source = space.hear(given.source(n), n, noise) | {WATCHED: torch.zeros(n, 1, device=space.device)}
    changes = _changes(space, given, given.words, settings, noise)
    grid = space.back(settings.strength, settings.steps)
    steps = len(grid) - 1
    with torch.no_grad(), Progress("edit", quiet) as progress:
        total = (2 + len(changes)) * steps
        watched = counted(tiled(attended(model), space.model.shape[-1], batch=settings.batch), progress, total)
        z = space.encode(images)
        inside = torch.ones_like(z[:, :1]) if given.mask is None else space.places(given.mask)
        shares = z.new_zeros(len(changes), *inside.shape)  # of the steps in which a place was in the mask of a change

        def see(k: int, mask: Tensor) -> None:
            shares[k] += mask / steps

        path = noised(z, grid, noise)
        added = residuals(lambda *told: watched(*told)[:, :-1], path, grid, source)
        guided = semantic(
            watched, changes, see, inside, lambda found: space.smoothed(found, settings.smoothing), settings.average
        )
        z = replayed(guided, path[0], added, grid, source)
        mask = space.pixels((shares.amax(0)[:, 0] > 0).float()) >= 0.5
        maps = {f"change{k + 1}": space.pixels(share[:, 0]) for k, share in enumerate(shares)}
        return Edited(space.decode(z), mask, maps)


def _changes(space: Space, given: Given, words: Words, settings: Ledits, noise: ImageNoise) -> list[Change]:
    """A change for each text of the prompts, which are as many for each image."""
    prompt = given.prompt or ()
    n, several = len(prompt), len(prompt[0])
    values = [value * several if len(value) == 1 else value for value in (settings.scale, settings.threshold)]
    if any(len(value) != several for value in values):
        raise InputError(
            f"scale={settings.scale}, threshold={settings.threshold} and {several} prompts do not fit: give one value, or one "
            "for each prompt."
        )
    changes = []
    for row, scale, threshold in zip(zip(*prompt, strict=True), *values, strict=True):
        signs, texts = zip(*(signed(text) for text in row), strict=True)
        tokens = [
            _new(words, text, source) for text, source in zip(texts, given.source_prompt or [""] * n, strict=True)
        ]
        watched = torch.zeros(n, 1 + max((k for mine in tokens for k in mine), default=0), device=space.device)
        for k, mine in enumerate(tokens if settings.masks == "both" else ()):
            watched[k, mine] = 1
        away = torch.tensor([-scale if sign == "-" else scale for sign in signs], device=space.device)
        heard = space.hear(words.cond(texts), n, noise) | {WATCHED: watched}
        changes.append(Change(heard, away[:, None, None, None], threshold))
    return changes


def _new(words: Words, text: str, source: str) -> list[int]:
    """Places of the words of a text that another does not say there; of all where there are none."""
    mine = words.places(text)
    _, new = unshared(words.places(source), mine)
    return [place for _, places in new or mine for place in places]


def attended(model: Any) -> Denoise:
    """`denoise` with the attention to the words in question, a mean over heads and layers, as a further channel."""

    def denoise(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        watched, maps = cond[WATCHED], []

        def see(found: Tensor, place: Place) -> Tensor:
            if place.cross:
                maps.append(torch.einsum("nhqk,nk->nq", found[..., : watched.shape[1]], watched) / found.shape[1])
            return found

        with model.attention(see):
            clean = model.denoise(x, sigma, {name: value for name, value in cond.items() if name != WATCHED})
        if not maps:
            raise InputError("this model attends to no words: give a run of text_to_image.")
        sizes = [found.shape[1] for found in maps]
        chosen = max((q for q in sizes if q * COARSE**2 <= x[0, 0].numel()), default=min(sizes))
        mean = torch.stack([found for found in maps if found.shape[1] == chosen]).mean(0)
        side = math.isqrt(chosen)
        return torch.cat([clean, F.interpolate(smoothed(mean.unflatten(1, (1, side, side))), x.shape[2:])], 1)

    return denoise


def smoothed(maps: Tensor) -> Tensor:
    """Maps (N, 1, H, W) under a Gaussian of 3 x 3 places that falls to 1 / e in one place."""
    ramp = maps.new_tensor([math.exp(-1), 1.0, math.exp(-1)])
    kernel = ramp[:, None] * ramp / ramp.sum() ** 2
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="reflect"), kernel[None, None])
