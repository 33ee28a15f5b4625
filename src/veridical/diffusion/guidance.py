"""Guidance: from ``denoise`` to ``denoise``, so that every solver runs with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from veridical.core.tokens import NEGATIVE
from veridical.diffusion.solvers import Denoise


def classifier_free(
    denoise: Denoise,
    scale: float,
    interval: tuple[float, float] = (0.0, float("inf")),
    key: str | tuple[str, ...] = "label",
) -> Denoise:
    """Go on from what is expected without a condition to what is expected with it (Ho and Salimans 2022, eq. 6).

    Where there are conditions called ``negative_NAME``, go on from what is expected with these in place of NAME, so away from
    them (a negative prompt; composable diffusion, Liu et al. 2022, arXiv:2206.01714, has the sum of several).

    Parameters
    ----------
    denoise : callable
        Takes conditions with and without `key`.
    scale : float
        1 is the condition alone, 0 none, more than 1 exaggerates it: the paper's ``1 + w``.
    interval : (float, float)
        Noise levels where it acts; elsewhere the condition alone (Kynkäänniemi et al. 2024, arXiv:2404.07724, eq. 5).
    key : str or tuple of str
        The condition in question, or several that say the same; others are always there.
    """
    keys = (key,) if isinstance(key, str) else key

    def guided(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        with_it = denoise(x, sigma, cond)
        if scale == 1 or not cond or not any(name in cond for name in keys) or not _inside(sigma, interval):
            return with_it
        without = denoise(x, sigma, without_condition(cond, *keys))
        return without + scale * (with_it - without)

    return guided


def instructed(
    denoise: Denoise,
    text_scale: float,
    image_scale: float,
    interval: tuple[float, float] = (0.0, float("inf")),
    text: str | tuple[str, ...] = "text",
    image: str = "map",
) -> Denoise:
    """Guidance by an instruction and by the image that it changes, each with a scale (Brooks et al. 2022, arXiv:2211.09800,
    eq. 3).

    From what is expected of nothing towards what is expected of the image alone, and from there to that of image and
    instruction. With a negative text that takes the place of no text.

    Parameters
    ----------
    denoise : callable
        Takes conditions without the one, and without both.
    text_scale, image_scale : float
        1 and 1 are the conditions alone. More of the second keeps more of the image, more of the first changes it more.
    interval : (float, float)
        Noise levels where it acts; elsewhere the conditions alone.
    text, image : str
        Names of the conditions; of a text there may be several that say the same.
    """
    words = (text,) if isinstance(text, str) else text

    def guided(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        full = denoise(x, sigma, cond)
        if (text_scale, image_scale) == (1, 1) or not _inside(sigma, interval):
            return full
        untold = without_condition(cond, *words)
        seen = denoise(x, sigma, untold)
        found = seen + text_scale * (full - seen)
        if image_scale != 1:
            nothing = denoise(x, sigma, {name: value for name, value in untold.items() if name != image})
            found = found + (image_scale - 1) * (seen - nothing)
        return found

    return guided


def without_condition(cond: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Conditions that guidance by `keys` leads away from: none of these names, or the negative ones."""
    kept = {name: value for name, value in cond.items() if name not in keys and not name.startswith(NEGATIVE)}
    return kept | {name.removeprefix(NEGATIVE): value for name, value in cond.items() if name.startswith(NEGATIVE)}


def autoguidance(denoise: Denoise, worse: Denoise, scale: float) -> Denoise:
    """Go on from what a worse model expects to what a better one of the same data expects (Karras et al. 2024,
    arXiv:2406.02507, eq. 3).

    Where both err, they err alike, the worse one more: what it expects and the other does not is what is wrong with it.

    Parameters
    ----------
    denoise, worse : callable
        Such as a network at the end of its training and early in it.
    scale : float
        1 is the better model alone.
    """

    def guided(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        clean = denoise(x, sigma, cond)
        return clean if scale == 1 else clean + (scale - 1) * (clean - worse(x, sigma, cond))

    return guided


def classifier(
    denoise: Denoise,
    log_probability: Callable[[Tensor, Tensor, Any], Tensor],
    scale: float,
    interval: tuple[float, float] = (0.0, float("inf")),
) -> Denoise:
    """Go where a classifier of noisy images is surer (Dhariwal and Nichol 2021, arXiv:2105.05233, eqs. 12 to 14).

    Their algorithm 2, which any solver can take; with `ancestral` and small steps it is their algorithm 1.

    Parameters
    ----------
    denoise : callable
    log_probability : callable
        ``log_probability(x, sigma, cond)``, shape (N,), of the condition given the noisy images x.
    scale : float
        Gradient scale s.
    interval : (float, float)
        Noise levels where it acts.
    """

    def guided(x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
        clean = denoise(x, sigma, cond)
        if scale == 0 or not _inside(sigma, interval):
            return clean
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(log_probability(noisy, sigma, cond).sum(), noisy)
        return clean + scale * sigma.reshape(-1, *[1] * (x.dim() - 1)) ** 2 * gradient

    return guided


def clipped(denoise: Denoise, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]) -> Denoise:
    """Keep expected images in [-1, 1], as images are (static thresholding, Saharia et al. 2022, arXiv:2205.11487, section 2.3).

    `encode` and `decode` lead from images to the space of `denoise` and back.
    """
    return lambda x, sigma, cond: encode(decode(denoise(x, sigma, cond)).clamp(-1, 1))


def _inside(sigma: Tensor, interval: tuple[float, float]) -> bool:
    # A solver asks for all images at one level.
    return interval[0] <= float(sigma.flatten()[0]) <= interval[1]
