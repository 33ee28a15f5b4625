"""Solvers that add noise: ancestral sampling, stochastic differential equations, Langevin dynamics."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from veridical.core.batch import Noise
from veridical.diffusion.deterministic import Denoise, denoised


def posterior_variance(now: float, then: float) -> tuple[float, float]:
    """Smallest and largest variance of a step of DDPM from level `now` down to `then` (Ho et al. 2020, section 3.2).

    The first is right for data without variance, the second for standard normal data. They are beta tilde and beta, divided
    by the share of the image that is left at `then`.
    """
    lost = now**2 - then**2
    return then**2 * lost / now**2, (1 + then**2) * lost / (1 + now**2)


def ddim(
    denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None, *, eta: float = 0.0
) -> Tensor:
    """DDIM (Song, Meng and Ermon 2021, eqs. 12 and 16).

    Parameters
    ----------
    eta : float
        Share of DDPM's noise: 0 is `euler`, 1 is `ancestral` with the smallest variance.
    """
    for now, then in pairwise(grid.tolist()):
        clean = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        variance = eta**2 * posterior_variance(now, then)[0]
        x = clean + math.sqrt(then**2 - variance) / now * (x - clean)
        if variance:
            x = x + math.sqrt(variance) * _draw(noise, x)
    return x


def ancestral(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    spread: float | None = 0.0,
) -> Tensor:
    """DDPM's sampler (Ho, Jain and Abbeel 2020, algorithm 2).

    Parameters
    ----------
    spread : float or None
        Where between the smallest (0) and the largest (1) the logarithm of the variance is; None: `denoise` returns a pair
        of clean image and spread, like x (Nichol and Dhariwal 2021, eq. 15).
    """
    for now, then in pairwise(grid.tolist()):
        found: Any = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        clean, share = found if spread is None else (found, torch.tensor(spread, dtype=x.dtype, device=x.device))
        x = clean + then**2 / now**2 * (x - clean)
        if then > 0:
            small, large = (math.log(v) for v in posterior_variance(now, then))
            x = x + ((small + share * (large - small)) / 2).exp() * _draw(noise, x)
    return x


def euler_maruyama(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None) -> Tensor:
    """Reverse-time SDE (Song et al. 2021, arXiv:2011.13456, eqs. 6 and 46), without noise in the last step.

    Divided by what is left of the image, VP and sub-VP lose their drift and are VE with noise levels of their own; the step
    is taken there, so that their linear drift is exact.
    """
    for now, then in pairwise(grid.tolist()):
        x = _predicted(denoise, x, now, then, cond, noise)
    return x


def sde_dpm_solver_pp_2m(
    denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None
) -> Tensor:
    """SDE-DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095v2): the reverse-time SDE, solved to second
    order with one evaluation a step.

    As much noise comes back as is taken away, so that what the network got wrong before is forgotten; an ODE keeps it.
    """
    before: tuple[Tensor, float] | None = None  # expected image and its level, of the step before
    for now, then in pairwise(grid.tolist()):
        clean = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        x = expected_step(x, clean, now, then, before)
        if then > 0:
            x = x + then * math.sqrt(-math.expm1(-2 * math.log(now / then))) * _draw(noise, x)
        before = clean, now
    return x


def expected_step(x: Tensor, clean: Tensor, now: float, then: float, before: tuple[Tensor, float] | None) -> Tensor:
    """Where a step of `sde_dpm_solver_pp_2m` from level `now` to `then` leads without its noise.

    Parameters
    ----------
    x, clean : Tensor
        At the level `now`, and what is expected there.
    before : (Tensor, float), optional
        What was expected in the step before, and at which level.
    """
    if then == 0:
        return clean
    step = math.log(now / then)
    weight = -math.expm1(-2 * step)
    x = (then / now) ** 2 * x + weight * clean
    if before is not None:
        x = x + weight / 2 * (step / math.log(before[1] / now)) * (clean - before[0])
    return x


def predictor_corrector(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    snr: float = 0.16,
    corrections: int = 1,
) -> Tensor:
    """`euler_maruyama` and steps of Langevin dynamics at every level (Song et al. 2021, algorithms 1, 2 and 4).

    Parameters
    ----------
    snr : float
        Signal-to-noise ratio r of the corrector, whose step is ``2 * (r * |noise| / |score|)**2``, for each image by itself;
        at most the squared level.
    corrections : int
        Corrector steps at each level.
    """
    for now, then in pairwise(grid.tolist()):
        x = _predicted(denoise, x, now, then, cond, noise)
        for _ in range(corrections if then > 0 else 0):
            score = (denoised(denoise, x, torch.tensor(then, dtype=torch.float64), cond) - x) / then**2
            fresh = _draw(noise, x)
            norms = [v.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.dim() - 1)) for v in (fresh, score)]
            # A network that has learned nothing gives no score, and no step would be long enough.
            step = (2 * (snr * norms[0] / norms[1]) ** 2).clamp(max=then**2)
            x = x + step * score + (2 * step).sqrt() * fresh
    return x


def annealed_langevin(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    corrections: int = 5,
    step: float = 0.0,
) -> Tensor:
    """Annealed Langevin dynamics (Song and Ermon 2020, algorithm 1, denoised at the end).

    Parameters
    ----------
    corrections : int
        Steps T at each level.
    step : float
        Step in units of the squared level, epsilon / sigma_L**2; 0 takes `langevin_step_size`.
    """
    levels = grid[grid > 0].tolist()
    ratio = (levels[0] / levels[-1]) ** (1 / max(len(levels) - 1, 1))
    step = step or langevin_step_size(ratio, corrections)
    for level in levels:
        sigma = torch.tensor(level, dtype=torch.float64)
        for _ in range(corrections):
            x = x + step * (denoised(denoise, x, sigma, cond) - x) + math.sqrt(2 * step) * level * _draw(noise, x)
    return denoised(denoise, x, torch.tensor(levels[-1], dtype=torch.float64), cond)


def langevin_step_size(ratio: float, corrections: int) -> float:
    """Step of `annealed_langevin` that ends a level with the variance it should have (Song and Ermon 2020, technique 4).

    Parameters
    ----------
    ratio : float
        Of neighbouring noise levels, above 1.
    corrections : int
        Steps at each level.

    Returns
    -------
    float
        epsilon / sigma_L**2, the one whose equation (proposition 3) is nearest to 1.
    """

    def error(log_step: float) -> float:
        step = math.exp(log_step)
        limit = 2 * step / (1 - (1 - step) ** 2)
        return ((1 - step) ** (2 * corrections) * (ratio**2 - limit) + limit - 1) ** 2

    return math.exp(minimize_scalar(error, bounds=(math.log(1e-6), math.log(0.9)), method="bounded").x)


def consistency(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None) -> Tensor:
    """Denoise, add noise of the next level, denoise again (Song, Dhariwal, Chen and Sutskever 2023, algorithm 1).

    Right only where one evaluation of `denoise` gives a sample instead of an expectation: for consistency models.
    """
    for now, then in pairwise(grid.tolist()):
        x = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
        if then > 0:
            x = x + then * _draw(noise, x)
    return x


def _predicted(denoise: Denoise, x: Tensor, now: float, then: float, cond: Any, noise: Noise | None) -> Tensor:
    lost = now**2 - then**2
    clean = denoised(denoise, x, torch.tensor(now, dtype=torch.float64), cond)
    x = x + lost / now**2 * (clean - x)
    return x + math.sqrt(lost) * _draw(noise, x) if then > 0 else x


def _draw(noise: Noise | None, x: Tensor) -> Tensor:
    if noise is None:
        raise ValueError("a stochastic solver needs noise")
    return noise(tuple(x.shape[1:])).to(x)
