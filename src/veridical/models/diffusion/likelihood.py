"""Bits that a denoiser of images needs for them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from veridical.core.batch import Noise
from veridical.core.errors import InputError
from veridical.diffusion.likelihood import log_likelihood
from veridical.models.contract import DenoisesImages


def bits_per_dim(
    model: object,
    images: Tensor,
    noise: Noise,
    cond: dict[str, Any] | None = None,
    *,
    levels: int = 256,
    probes: int = 1,
    tolerance: float = 1e-4,
) -> Tensor:
    """Bits per dimension that a model of pixels needs for images of so many grey levels: the lower, the better.

    Within its grey level each number is made continuous by uniform noise (Theis, van den Oord and Bethge 2016,
    arXiv:1511.01844, section 3.1), so that this is an upper bound.

    Parameters
    ----------
    model : DenoisesImages
    images : Tensor, shape (N, C, H, W)
        In [-1, 1].
    noise : callable
        Standard normal noise for each image.
    cond : dict, optional
    levels : int
        Grey levels of the files.
    probes, tolerance
        See `log_likelihood`.

    Returns
    -------
    Tensor, shape (N,), float64

    Raises
    ------
    InputError
        For a model whose `encode` loses something: there is no likelihood of images then.
    """
    if not isinstance(model, DenoisesImages):
        raise InputError(
            "this model has no likelihood of images: take edm, dit, ddpm, ncsn, score_sde, flow_matching or cfg."
        )
    width = 2 / (levels - 1)
    x = images + width * (torch.special.ndtr(noise(tuple(images.shape[1:]))).to(images) - 0.5)
    low, high = model.ends()
    nats = log_likelihood(model.denoise, model.encode(x), low, high, noise, cond, probes=probes, tolerance=tolerance)
    log_scale = math.log(model.contrast())
    return -(nats / images[0].numel() + log_scale + math.log(width)) / math.log(2)
