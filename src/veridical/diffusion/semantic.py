"""Guidance towards several changes at once, each where it finds its place: the masks of DiffEdit and LEDITS++."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from veridical.diffusion.solvers import Denoise


class Change(NamedTuple):
    """One change of `semantic`.

    Attributes
    ----------
    cond : dict
        What `attended` is told of it.
    scale : Tensor, shape (N, 1, 1, 1)
        How far to go; below 0 away from it.
    threshold : float
        Share of an image, by attention and by difference each, that it leaves alone.
    """

    cond: Any
    scale: Tensor
    threshold: float


def semantic(
    attended: Denoise,
    changes: Sequence[Change],
    see: Callable[[int, Tensor], None] | None = None,
    inside: Tensor | float = 1.0,
    smooth: Callable[[Tensor], Tensor] = lambda size: size,
    average: bool = False,
) -> Denoise:
    """Go on from what is expected to what is expected with each of some changes, there alone where a change finds its place
    (Brack et al. 2023, arXiv:2311.16711, eqs. 8 to 12).

    Parameters
    ----------
    attended : callable
        Expected images with a further channel: the attention to the words of a change.
    changes : sequence of Change
    see : callable, optional
        Called with the number of a change and its mask (N, 1, H, W), at every evaluation.
    inside : Tensor
        Where anything may change at all, (N, 1, H, W).
    smooth : callable
        What sizes of differences (N, H, W) go through before they are compared.
    average : bool
        Whether they are averaged over all evaluations so far, each in units of its mean. For one way from noise to image.
    """
    sums: list[Tensor | float] = [0.0] * len(changes)

    def guided(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        before = attended(x, sigma, cond)[:, :-1]  # by the same arithmetic: equal texts differ in nothing
        clean = before
        for k, change in enumerate(changes):
            found = attended(x, sigma, change.cond)
            difference, attention = found[:, :-1] - before, found[:, -1:]
            size = smooth(difference.abs().sum(1))
            if average:
                size = sums[k] = sums[k] + size / size.mean((1, 2), keepdim=True).clamp(min=1e-12)
            mask = inside * implicit_mask(size, attention[:, 0], change.threshold)
            if see is not None:
                see(k, mask)
            clean = clean + change.scale * mask * difference
        return clean

    return guided


def implicit_mask(size: Tensor, attention: Tensor, threshold: float) -> Tensor:
    """Where both attention and difference are among the largest of an image (Brack et al. 2023, eqs. 9 to 12).

    Parameters
    ----------
    size : Tensor, shape (N, H, W)
        Of the difference.
    attention : Tensor, shape (N, H, W)
        Equal everywhere, it has no say.
    threshold : float
        The quantile that counts as large.

    Returns
    -------
    Tensor, shape (N, 1, H, W)
        In {0, 1}; 0 where there is no difference.
    """
    large = [v >= torch.quantile(v.flatten(1), threshold, dim=1)[:, None, None] for v in (size, attention)]
    return (large[0] & large[1] & (size > 0))[:, None].to(size.dtype)


def contrast(
    denoise: Denoise, x: Tensor, level: Tensor, source: Any, target: Any, noise: Callable[[], Tensor], draws: int
) -> Tensor:
    """How far two conditions differ in what they expect of noisy images, on average (Couairon et al. 2022, arXiv:2210.11427,
    section 3.2, step 1).

    Guidance would change it by a factor, which `relative` takes away again.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
        Clean.
    level : Tensor
        Noise level.
    source, target : dict
    noise : callable
        Draws noise of the shape of x.
    draws : int

    Returns
    -------
    Tensor, shape (N, H, W)
    """
    total = torch.zeros_like(x[:, 0])
    sigma = level.to(x.dtype).to(x.device).expand(len(x))
    for _ in range(draws):
        noisy = x + level.item() * noise()
        total += (denoise(noisy, sigma, target) - denoise(noisy, sigma, source)).abs().mean(1)
    return total / draws


def relative(found: Tensor, most: float) -> Tensor:
    """A map (N, H, W) as shares of the largest value that counts, `most` times the mean of the image; 0 if all are."""
    top = most * found.mean((1, 2), keepdim=True)
    return torch.where(top > 0, found.minimum(top) / top, 0.0)
