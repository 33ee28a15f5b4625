"""Ways back from an image to noise that edits start from, beside `veridical.diffusion.deterministic.invert`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from veridical.core.batch import Noise
from veridical.diffusion.deterministic import Denoise, denoised, euler
from veridical.diffusion.stochastic import expected_step

RATE = 0.01  # of Adam, as in the paper of null-text optimisation


def null_text(
    denoise: Denoise,
    path: Sequence[Tensor],
    grid: Tensor,
    told: Callable[[Sequence[Tensor]], Any],
    start: Sequence[Tensor],
    iterations: int,
) -> list[list[Tensor]]:
    """What to say in place of nothing at each step, so that guided sampling follows a path (Mokady et al. 2022,
    arXiv:2211.09794, algorithm 1).

    Each step begins where the last one of these led, and with what was found for it.

    Parameters
    ----------
    denoise : callable
        With guidance.
    path : sequence of Tensor
        Images at each level of `grid`, from `invert`.
    grid : Tensor
        Falling noise levels that end with 0.
    told : callable
        Makes of the tensors that are learned what `denoise` is told.
    start : sequence of Tensor
        Those tensors, a row an image, as the model has them.
    iterations : int
        Of Adam at each step.

    Returns
    -------
    list of list of Tensor
        The tensors of each step.
    """
    x, learned, found = path[0], list(start), []
    for k, (now, then) in enumerate(pairwise(grid)):
        ends = torch.stack([now, then])
        learned = [part.detach().clone().requires_grad_() for part in learned]
        optimiser = torch.optim.Adam(learned, lr=RATE * (1 - k / len(grid)))
        for _ in range(iterations):
            with torch.enable_grad():
                made = euler(denoise, x, ends, told(learned))
                # A sum over images: Adam goes by each entry, so that images do not heed one another.
                loss = (made - path[k + 1]).square().flatten(1).mean(1).sum()
            if not loss.requires_grad:  # outside the interval of guidance
                break
            for part, gradient in zip(learned, torch.autograd.grad(loss, learned, allow_unused=True), strict=True):
                part.grad = gradient
            optimiser.step()
        learned = [part.detach() for part in learned]
        with torch.no_grad():
            x = euler(denoise, x, ends, told(learned))
        found.append(learned)
    return found


def masked_euler(denoise: Denoise, path: Sequence[Tensor], grid: Tensor, inside: Tensor, cond: Any = None) -> Tensor:
    """`euler` inside a mask, from the beginning of a path that is put back outside at every level (Couairon et al. 2022,
    arXiv:2210.11427, section 3.2, step 3).

    Parameters
    ----------
    path : sequence of Tensor
        Images at each level of `grid`, from `invert`.
    inside : Tensor, shape (N, 1, H, W)
        1 where images may change, else 0.
    """
    x = path[0]
    for ends, kept in zip(pairwise(grid), path[1:], strict=True):
        x = inside * euler(denoise, x, torch.stack(ends), cond) + (1 - inside) * kept
    return x


def noised(x: Tensor, grid: Tensor, noise: Noise) -> list[Tensor]:
    """Images at each level of `grid` but the last, each with noise of its own, and `x` itself (Huberman-Spiegelglas et al. 2023,
    arXiv:2304.06140, eq. 4): no path of a sampler, but one that edits leave more of.
    """
    return [*(x + level * noise(tuple(x.shape[1:])) for level in grid[:-1].tolist()), x]


def residuals(denoise: Denoise, path: Sequence[Tensor], grid: Tensor, cond: Any = None) -> list[Tensor]:
    """What each step of `replayed` has to add to follow a path (Huberman-Spiegelglas et al. 2023, eq. 5, in units of images).

    That of the last step is among them, so that the image comes back to the rounding (Brack et al. 2023, arXiv:2311.16711,
    section 3.1).

    Parameters
    ----------
    path : sequence of Tensor
        Images at each level of `grid`.
    grid : Tensor
        Falling noise levels.
    """
    found: list[Tensor] = []
    before, x = None, path[0]
    for (now, then), following in zip(pairwise(grid.tolist()), path[1:], strict=True):
        clean = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        expected = expected_step(x, clean, now, then, before)
        found.append(following - expected)
        before, x = (clean, now), expected + found[-1]  # what rounding leaves of `following`, lest errors add up
    return found


def replayed(denoise: Denoise, x: Tensor, added: Sequence[Tensor], grid: Tensor, cond: Any = None) -> Tensor:
    """`sde_dpm_solver_pp_2m` with `residuals` in place of its noise, from x at the level ``grid[0]``."""
    before = None
    for (now, then), residual in zip(pairwise(grid.tolist()), added, strict=True):
        clean = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        x = expected_step(x, clean, now, then, before) + residual
        before = clean, now
    return x
