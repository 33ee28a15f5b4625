"""Exact likelihood of a diffusive model: change of variables along the probability-flow ODE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from veridical.core.batch import Noise
from veridical.diffusion.solvers import Denoise


def log_likelihood(
    denoise: Denoise,
    x: Tensor,
    sigma_min: float,
    sigma_max: float,
    noise: Noise,
    cond: Any = None,
    *,
    probes: int = 1,
    tolerance: float = 1e-4,
) -> Tensor:
    """Log density of images under the probability-flow ODE of `denoise` (Song et al. 2021, arXiv:2011.13456, eq. 39).

    The divergence is Hutchinson's estimate (Skilling 1989, Hutchinson 1990; Grathwohl et al. 2019, arXiv:1810.01367), and
    the steps are those of scipy's adaptive Runge-Kutta of order 5.

    Parameters
    ----------
    denoise : callable
    x : Tensor, shape (N, C, H, W)
        In the space of `denoise`.
    sigma_min, sigma_max : float
        Level that counts as no noise, and level at which hardly more than noise is left.
    noise : callable
        Standard normal noise for each image; its signs are the probes.
    cond : optional
        Conditions, as `denoise` takes them.
    probes : int
        Probes of the divergence; more of them scatter less.
    tolerance : float
        Relative and absolute error of a step.

    Returns
    -------
    Tensor, shape (N,), float64
        Nats of each image.
    """
    n, shape, dims = len(x), tuple(x.shape[1:]), x[0].numel()
    signs = [noise(shape).sign().to(x) for _ in range(probes)]

    def slope(log_sigma: float, state: np.ndarray) -> np.ndarray:
        # d x / d log(sigma) = x - denoise(x), whose divergence is dims minus the trace of the Jacobian of denoise.
        place = torch.from_numpy(state[: n * dims]).to(x).reshape(x.shape)
        level = torch.full((n,), math.exp(log_sigma), dtype=x.dtype, device=x.device)
        with torch.enable_grad():
            place = place.detach().requires_grad_()
            clean = denoise(place, level, cond)
            trace = torch.zeros(n, dtype=x.dtype, device=x.device)
            for k, sign in enumerate(signs):
                (row,) = torch.autograd.grad((clean * sign).sum(), place, retain_graph=k + 1 < probes)
                trace = trace + (row * sign).flatten(1).sum(1) / probes
        moving = (place - clean).detach().double().cpu().numpy()
        return np.concatenate([moving.ravel(), -trace.double().cpu().numpy()])

    start = np.concatenate([x.double().cpu().numpy().ravel(), np.zeros(n)])
    times = math.log(sigma_min), math.log(sigma_max)
    end = solve_ivp(slope, times, start, "RK45", rtol=tolerance, atol=tolerance, t_eval=times[1:]).y[:, -1]
    final = torch.from_numpy(end[: n * dims]).reshape(n, dims)
    prior = -final.square().sum(1) / (2 * sigma_max**2) - dims * math.log(sigma_max * math.sqrt(2 * math.pi))
    return prior + torch.from_numpy(end[n * dims :]) + dims * (times[1] - times[0])
