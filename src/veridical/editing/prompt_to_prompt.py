"""Prompt-to-prompt (Hertz et al. 2022, arXiv:2208.01626): an image is drawn again by another text, and looks where it looked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.diffusion.deterministic import euler, invert
from veridical.diffusion.solvers import Denoise
from veridical.diffusion.tiles import tiled
from veridical.editing.alignment import Said, changed, exchange, places_of, plain
from veridical.editing.edit import Edited, Given
from veridical.editing.settings import Attended, weights_of
from veridical.editing.space import Space, counted
from veridical.models.contract import Attending, Denoising
from veridical.nets.attention import Place
from veridical.nets.embedding import TOKENS
from veridical.nets.text import Heard

LARGEST = 32**2  # places; self-attention of finer maps is left alone, as published
DEAF = "prompt_to_prompt needs a network that attends to words by themselves, and this one does not: give a run of text_to_image."
BLEND_FROM = 0.2  # share of the steps after which maps of words say where to blend, as published


def prompt_to_prompt(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Attended,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Draw images again by another text, with the attention of the one that they are said to show (algorithm 1).

    See `veridical.editing.edit.Apply`. An image is inverted (DDIM, without guidance) under its source prompt. Then source and
    target are drawn as rows of one batch. The source is put back on its inversion path after every step, so that its attention
    is that to the image itself, and the target is shifted by as much: what both err alike is taken off, and a target that is
    the source comes back as the image (Ju et al. 2023, arXiv:2310.01506, shift the source alone).
    """
    n = len(images)
    space = Space(model, images.shape, size, settings.batch)
    words = given.words
    if words is None or not isinstance(model, Attending):
        raise InputError(DEAF)
    sources = list(given.source_prompt or [""] * n)
    targets = [texts[0] for texts in given.prompt] if given.prompt else [""] * n
    noise = ImageNoise(seed, [*(range(n) if numbers is None else numbers)] * 2, space.device)
    both = Given(
        prompt=[(text,) for text in (*sources, *targets)],
        negative_prompt=[*given.negative_prompt] * 2 if given.negative_prompt else None,
        words=words,
    )  # fmt: skip
    cond = space.hear(both.target(2 * n), 2 * n, noise)
    control = Control(
        cond, [words.places(text) for text in sources], [words.places(text) for text in targets], settings
    )
    grid = space.grid(settings.steps)
    # All rows of a place are seen together.
    wide = tiled(control.watching(space.model), space.model.shape[-1], batch=2 * n * max(1, settings.batch // (2 * n)))
    maps: list[Tensor] = []

    def denoise(x: Tensor, sigma: Tensor, told: Any = None) -> Tensor:
        if told is not cond:  # what guidance leads away from goes its own way
            return space.denoise(x, sigma, told)
        found = wide(x, sigma, told)
        maps.append(found[:, x.shape[1] :])
        return found[:, : x.shape[1]]

    with torch.no_grad(), Progress("edit", quiet) as progress:
        z = space.encode(images)
        alone = {name: value[:n] for name, value in cond.items()}
        shown = counted(space.denoise, progress, 3 * settings.steps)
        path = invert(shown, z, grid, alone)
        inside = torch.ones_like(z[:, :1]) if given.mask is None else space.places(given.mask)
        total = z.new_zeros(())
        x = path[0]
        guided = counted(space.guided(denoise=denoise), progress, settings.steps)
        for k in range(settings.steps):
            control.done = k / settings.steps
            drawn = euler(guided, torch.cat([path[k], x]), grid[k : k + 2], cond)
            x = path[k + 1] + (drawn[n:] - drawn[:n])
            total = total + maps.pop()
            mask = inside
            if settings.blend and control.done >= BLEND_FROM:
                mask = inside * _where(total[:, 0], settings.blend)
            x = torch.where(mask > 0, x, path[k + 1])
        found = None
        if settings.blend:
            found = (space.pixels(mask[:, 0]) > 0.5) & (True if given.mask is None else given.mask)
        pictures = control.pictures(total, space) if settings.maps else {}
        return Edited(space.decode(x), found, pictures)


class Control:
    """What becomes of attention, and what it tells of words.

    Parameters
    ----------
    cond : dict
        What is heard: N sources, then N targets.
    sources, targets : sequence of (word, places)
        Of N images.
    settings : Attended

    Attributes
    ----------
    done : float
        Share of the steps that is over.
    """

    def __init__(
        self, cond: dict[str, Any], sources: Sequence[Said], targets: Sequence[Said], settings: Attended
    ) -> None:
        heard = next((text for text in cond.values() if isinstance(text, Heard)), None)
        if heard is None:
            raise InputError(DEAF)
        sequence = heard.now.sequence
        self.done, self._n, self._settings = 0.0, len(sources), settings
        if isinstance(cond.get("spelled"), Heard):  # what ends a text is attended to, too
            sources, targets = ([_ended(text) for text in texts] for texts in (sources, targets))
        length = sequence.shape[1] + TOKENS * ("embedding" in cond)
        pairs = [exchange(*pair, length) for pair in zip(sources, targets, strict=True)]
        self._matrix, self._own = (
            torch.as_tensor(np.stack(part), device=sequence.device) for part in zip(*pairs, strict=True)
        )
        texts = [*sources, *targets]
        self._factors = torch.ones(self._n, length, device=sequence.device)
        weights = weights_of(settings.weights)
        for word, factor in weights.items():
            _known(word, texts)
            for row, text in zip(self._factors, targets, strict=True):
                row[places_of(word, text)] = factor
        swapped = [changed(*pair) for pair in zip(sources, targets, strict=True)]
        named = [plain(word) for word in settings.blend_words.split(",") if word.strip()]
        for word in named:
            _known(word, texts)
        chosen = [named or [*gone, *weights] for gone, _ in swapped] + [named or [*new, *weights] for _, new in swapped]
        said = [plain(word) for text in (*targets, *sources) for word, _ in text]
        self._texts, self._words = texts, [word for word in dict.fromkeys(said) if word and settings.maps]
        self._picks = torch.zeros(2 * self._n, length, 1 + len(self._words), device=sequence.device)
        for pick, text, words in zip(self._picks, texts, chosen, strict=True):
            for channel, some in enumerate([words, *([word] for word in self._words)]):
                pick[[place for word in some for place in places_of(word, text)], channel] = 1

    def watching(self, model: Any) -> Denoise:
        """`denoise` of tiles, rows of places by 2 N, with the maps of words behind the channels of the image."""

        def watched(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
            self._maps: list[Tensor] = []
            with model.attention(self._replaced):
                clean = model.denoise(x, sigma, cond)
            if not self._maps:
                raise InputError(DEAF)
            maps = [F.interpolate(found, x.shape[-1], mode="bilinear") for found in self._maps]
            return torch.cat([clean, torch.stack(maps).mean(0)], 1)

        return watched

    def _replaced(self, found: Tensor, place: Place) -> Tensor:
        rows = found.unflatten(0, (-1, 2, self._n))
        source, target = rows[:, 0], rows[:, 1]
        if not place.cross:
            near = self.done < self._settings.self_share and found.shape[2] <= LARGEST
            return torch.stack([source, source], 1).flatten(0, 2) if near else found
        behind = self._factors.shape[1]
        front, words = target[..., :-behind], target[..., -behind:]
        if self.done < self._settings.cross_share:
            words = source[..., -behind:] @ self._matrix[:, None] + self._own[:, None, None] * words
            front = source[..., :-behind]
            total = words.sum(-1, keepdim=True) + front.sum(-1, keepdim=True)
            words, front = words / total, front / total
        words = words * self._factors[:, None, None]
        found = torch.stack([source, torch.cat([front, words], -1)], 1).flatten(0, 2)
        side = round(found.shape[2] ** 0.5)
        told = found[..., -behind:].mean(1).unflatten(0, (-1, 2 * self._n)) @ self._picks
        self._maps.append(told.flatten(0, 1).transpose(1, 2).unflatten(-1, (side, side)))
        return found

    def pictures(self, total: Tensor, space: Space) -> dict[str, Images]:
        """Maps of words in pixels, of maximum 1: of the target, or else of the source; NaN where neither has the word."""
        found = {}
        for channel, word in enumerate(self._words, 1):
            rows = []
            for k in range(self._n):
                has = [bool(places_of(word, self._texts[i])) for i in (k, self._n + k)]
                row = total[self._n + k if has[1] else k, channel]
                rows.append(_stretched(row) if any(has) else torch.full_like(row, torch.nan))
            found[re.sub(r"[^\w.+-]+", "_", word)] = space.pixels(torch.stack(rows))
        return found


def _ended(text: Said) -> Said:
    return [*text, ("", (max((place for _, places in text for place in places), default=0) + 1,))]


def _known(word: str, texts: Sequence[Said]) -> None:
    if not any(places_of(word, text) for text in texts):
        raise InputError(f"no prompt says {word!r}: name words as the prompts have them.")


def _where(seen: Tensor, threshold: float) -> Tensor:
    """Where the map of words of source or target, (2 N, h, w), is above a share of its range: (N, 1, h, w).

    The paper has shares of the maximum; networks of minutes attend to a word everywhere, a little more where it is.
    """
    seen = _stretched(F.max_pool2d(seen[:, None], 3, 1, 1))
    source, target = (seen > threshold).chunk(2)
    return (source | target).to(seen.dtype)


def _stretched(maps: Tensor) -> Tensor:
    """Each of (N, ..., h, w) from 0 to 1; a constant one is 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)
