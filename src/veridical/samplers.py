"""Noise levels and solvers: functions of ``(denoise, x, grid, cond)``.

``denoise(x, sigma, cond)`` returns the expected clean image of ``x = x0 + sigma * noise``; `grid` holds falling noise levels
and ends with 0. The probability-flow ODE is ``dx/dsigma = (x - denoise(x, sigma)) / sigma`` (Karras et al. 2022, eq. 3).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor, Any], Tensor]


def karras_grid(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Noise levels spaced evenly in ``sigma ** (1 / rho)`` (Karras et al. 2022, eq. 5), with a final 0.

    Returns
    -------
    Tensor, shape (steps + 1,), float64
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def _slope(denoise: Denoise, x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
    level = sigma.to(x.dtype).to(x.device)
    return (x - denoise(x, level.expand(len(x)), cond)) / level


def euler(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None) -> Tensor:
    """First-order solver of the probability-flow ODE: one evaluation a step.

    For a denoiser of an epsilon-predicting network this is DDIM with eta = 0 (Song et al. 2021, eq. 13).
    """
    for now, then in pairwise(grid):
        x = x + _slope(denoise, x, now, cond) * (then - now).item()
    return x


def heun(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None) -> Tensor:
    """Second-order solver (Karras et al. 2022, algorithm 1): two evaluations a step, one in the last."""
    for now, then in pairwise(grid):
        slope = _slope(denoise, x, now, cond)
        guess = x + slope * (then - now).item()
        if then > 0:
            slope = (slope + _slope(denoise, guess, then, cond)) / 2
            guess = x + slope * (then - now).item()
        x = guess
    return x


SOLVERS: dict[str, Callable[[Denoise, Tensor, Tensor, Any], Tensor]] = {"euler": euler, "heun": heun}
