"""Learned variances of DDPM's steps, and the bound that teaches them (Nichol and Dhariwal 2021, arXiv:2102.09672)."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from veridical.diffusion.formulations import ddpm_levels


@cache
def variance_bounds(schedule: str) -> tuple[Tensor, Tensor, Tensor]:
    """What a step of DDPM does to ``x = x0 + sigma * noise``.

    Returns
    -------
    pull : Tensor, shape (1000,), float64
        Share of ``denoise`` in the mean after the step, the rest is x.
    small, large : Tensor, shape (1000,), float64
        Logarithms of beta tilde and beta in units of what is left of x0 (see `veridical.diffusion.stochastic`). The step to
        the clean image has no variance; it takes beta tilde from its neighbour, as in the paper's section 3.1.
    """
    now = ddpm_levels(schedule)
    then = torch.cat([now.new_zeros(1), now[:-1]])
    lost = now**2 - then**2
    small, large = then**2 * lost / now**2, (1 + then**2) * lost / (1 + now**2)
    small[0] = small[1] / (1 + now[0] ** 2)
    return lost / now**2, small.log(), large.log()


def variational_bound(clean: Tensor, share: Tensor, x0: Tensor, step: Tensor, schedule: str) -> Tensor:
    """Terms of the variational bound in bits, each coefficient by itself.

    Parameters
    ----------
    clean, x0 : Tensor, shape (N, C, H, W)
        What `denoise` expects, held fixed as in the paper, and what it was.
    share : Tensor, shape (N, C, H, W)
        Where between `small` (0) and `large` (1) the logarithm of the variance is (eq. 15).
    step : Tensor of int64, shape (N,)
        0 to 999; 0 is the step to the clean image, whose term is the negative logarithm of a density.

    Returns
    -------
    Tensor, shape (N, C, H, W)
    """
    pull, small, large = (v.to(step.device)[step].to(clean).reshape(-1, 1, 1, 1) for v in variance_bounds(schedule))
    log_variance = small + share * (large - small)
    square = (pull * (x0 - clean.detach())).square() * (-log_variance).exp()
    divergence = (log_variance - small + (small - log_variance).exp() + square - 1) / 2
    likelihood = (math.log(2 * math.pi) + log_variance + square) / 2
    return torch.where(step.reshape(-1, 1, 1, 1) > 0, divergence, likelihood) / math.log(2)
