"""Noise levels, and solvers of the probability-flow ODE."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from veridical.core.batch import Noise

Denoise = Callable[[Tensor, Tensor, Any], Tensor]
Solver = Callable[..., Tensor]


def karras_grid(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Noise levels spaced evenly in ``sigma ** (1 / rho)`` (Karras et al. 2022, eq. 5), with a final 0.

    Returns
    -------
    Tensor, shape (steps + 1,), float64
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def geometric_grid(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Noise levels of constant ratio (Song and Ermon 2019, section 3.1), with a final 0; float64, shape (steps + 1,)."""
    ends = math.log(sigma_max), math.log(sigma_min)
    levels = torch.linspace(*ends, steps, dtype=torch.float64).exp()
    return torch.cat([levels, levels.new_zeros(1)])


def denoised(denoise: Denoise, x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
    """`denoise` at one level (0-dimensional) for all images; 0 is taken as it is."""
    return denoise(x, sigma.to(x.dtype).to(x.device).expand(len(x)), cond)


def _slope(denoise: Denoise, x: Tensor, sigma: Tensor, cond: Any) -> Tensor:
    level = sigma.to(x.dtype).to(x.device)
    return (x - denoised(denoise, x, sigma, cond)) / level


def _churned(
    x: Tensor,
    now: Tensor,
    steps: int,
    noise: Noise | None,
    churn: float,
    churn_range: tuple[float, float],
    extra: float,
) -> tuple[Tensor, Tensor]:
    """Raise the noise level of x a little (Karras et al. 2022, algorithm 2, lines 4 to 6)."""
    if not churn or not churn_range[0] <= now <= churn_range[1]:
        return x, now
    if noise is None:
        raise ValueError("churn needs noise")
    raised = now * (1 + min(churn / steps, math.sqrt(2) - 1))
    return x + (raised**2 - now**2).sqrt().item() * extra * noise(tuple(x.shape[1:])), raised


def euler(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    churn: float = 0.0,
    churn_range: tuple[float, float] = (0.0, math.inf),
    churn_noise: float = 1.0,
) -> Tensor:
    """First-order solver of the probability-flow ODE: one evaluation a step.

    The same as DDIM with eta = 0 (Song, Meng and Ermon 2021, eq. 13), and as Euler's method for flow matching. With `churn`
    it is the first order of `heun` with churn.
    """
    for now, then in pairwise(grid):
        x, now = _churned(x, now, len(grid) - 1, noise, churn, churn_range, churn_noise)
        x = x + _slope(denoise, x, now, cond) * (then - now).item()
    return x


def heun(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    churn: float = 0.0,
    churn_range: tuple[float, float] = (0.0, math.inf),
    churn_noise: float = 1.0,
) -> Tensor:
    """Second-order solver (Karras et al. 2022, algorithm 1): two evaluations a step, one in the last.

    Parameters
    ----------
    churn, churn_range, churn_noise : float, (float, float), float
        S_churn, (S_tmin, S_tmax) and S_noise of algorithm 2: noise that is added before every step; 0 adds none.
    """
    for now, then in pairwise(grid):
        x, now = _churned(x, now, len(grid) - 1, noise, churn, churn_range, churn_noise)
        slope = _slope(denoise, x, now, cond)
        guess = x + slope * (then - now).item()
        if then > 0:
            slope = (slope + _slope(denoise, guess, then, cond)) / 2
            guess = x + slope * (then - now).item()
        x = guess
    return x


def invert(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, corrections: int = 0) -> list[Tensor]:
    """Image to noise: `euler` run backwards (DDIM inversion, Song, Meng and Ermon 2021, section 4.3).

    Parameters
    ----------
    x : Tensor
        Clean images in the space of `denoise`.
    grid : Tensor
        As for a solver, falling to 0.
    corrections : int
        Fixed-point iterations a step (Pan et al. 2023, arXiv:2309.04907, eq. 8), an evaluation each: they lead to the very place
        from which a step of `euler` comes back. 0 is the published inversion, which takes the slope of the wrong end.

    Returns
    -------
    list of Tensor
        Images at each level of `grid`, the noisiest first and `x` last: from any of them `euler` comes back to `x`, to first
        order in the steps, and with corrections to the rounding where they have converged.
    """
    path = [x]
    for now, then in pairwise(grid.flip(0)):
        step = (then - now).item()
        # There is no slope at level 0: the one of the first level is taken, where the image without noise hardly differs.
        noisier = x + _slope(denoise, x, now if now > 0 else then, cond) * step
        for _ in range(corrections):
            noisier = x + _slope(denoise, noisier, then, cond) * step
        x = noisier
        path.append(x)
    return path[::-1]


def _velocity(denoise: Denoise, x: Tensor, time: float, cond: Any) -> Tensor:
    """Velocity of the path ``(1 - time) * x0 + time * noise`` (Lipman et al. 2023, section 4.1; their time runs backwards)."""
    sigma = torch.tensor(time / (1 - time), dtype=torch.float64)
    return (x - denoised(denoise, x / (1 - time), sigma, cond)) / time


def midpoint(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None) -> Tensor:
    """Midpoint rule in the time of flow matching, ``sigma / (1 + sigma)``: two evaluations a step."""
    times = (grid / (1 + grid)).tolist()
    x = x * (1 - times[0])
    for now, then in pairwise(times):
        middle = (now + then) / 2
        guess = x + _velocity(denoise, x, now, cond) * (middle - now)
        x = x + _velocity(denoise, guess, middle, cond) * (then - now)
    return x / (1 - times[-1])


def dopri5(
    denoise: Denoise,
    x: Tensor,
    grid: Tensor,
    cond: Any = None,
    noise: Noise | None = None,
    *,
    tolerance: float = 1e-4,
) -> Tensor:
    """Adaptive Runge-Kutta of order 5 (Dormand and Prince 1980, scipy's RK45) in the time of flow matching.

    Steps are its own; `grid` gives first and last noise level. Every image is integrated alone: steps that suit all images of
    a batch would make an image depend on its neighbours.

    Parameters
    ----------
    tolerance : float
        Absolute and relative error of a step, for data of standard deviation about 0.5.
    """
    first, last = grid[0].item(), grid[grid > 0][-1].item()
    rows = []
    for k, row in enumerate(x):
        mine = {name: values[k : k + 1] for name, values in cond.items()} if cond else cond

        def slope(time: float, flat: np.ndarray, row: Tensor = row, mine: Any = mine) -> np.ndarray:
            state = torch.from_numpy(flat).to(row).reshape(1, *row.shape)
            return _velocity(denoise, state, time, mine).double().cpu().numpy().ravel()

        times = first / (1 + first), last / (1 + last)
        start = (row.double() / (1 + first)).cpu().numpy().ravel()
        end = solve_ivp(slope, times, start, "RK45", rtol=tolerance, atol=tolerance, t_eval=times[1:]).y[:, -1]
        rows.append(torch.from_numpy(end * (1 + last)).to(row).reshape(row.shape))
    x = torch.stack(rows)
    return x if grid[-1] > 0 else denoised(denoise, x, grid[grid > 0][-1], cond)


def dpm_solver_pp_2m(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2): second order, one evaluation a step."""
    return _multistep(denoise, x, grid, cond, correct=False)


def unipc(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any = None, noise: Noise | None = None) -> Tensor:
    """UniPC of order 2 with B_2(h) (Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2): one evaluation a step.

    What `dpm_solver_pp_2m` predicts is corrected with the evaluation at the predicted place, which the next step needs anyway.
    """
    return _multistep(denoise, x, grid, cond, correct=True)


def _multistep(denoise: Denoise, x: Tensor, grid: Tensor, cond: Any, correct: bool) -> Tensor:
    # Time is minus the logarithm of sigma; `cleans` holds denoised images, the newest last, at the levels of grid[: k + 1].
    cleans: list[Tensor] = []
    times = (-grid.log()).tolist()
    start = x
    for k, (now, then) in enumerate(pairwise(times)):
        cleans.append(denoised(denoise, x, grid[k], cond))
        if correct and k > 0:
            x = _corrected(start, cleans, times[max(0, k - 2) : k + 1])
        start = x
        step = then - now
        shrink = math.exp(-step)
        direction = cleans[-1]
        if k > 0 and then < math.inf:
            ratio = (now - times[k - 1]) / step
            direction = direction + (cleans[-1] - cleans[-2]) / (2 * ratio)
        x = shrink * x + (1 - shrink) * direction
        cleans = cleans[-2:]
    return x


def _corrected(start: Tensor, cleans: list[Tensor], times: list[float]) -> Tensor:
    """UniC over the step that ends at ``times[-1]``, of order 2 where there are three times (Zhao et al. 2023, eq. 5 and 7)."""
    last, new = cleans[-2:]
    h = times[-2] - times[-1]  # negative, as the paper has it for predictions of x0
    grown = math.expm1(h)
    x = (1 + grown) * start - grown * last
    if len(times) < 3:
        return x - grown * 0.5 * (new - last)
    ratio = (times[-3] - times[-2]) / (times[-1] - times[-2])
    phi = grown / h - 1
    both, second = phi / grown, 2 * (phi / h - 0.5) / grown
    weight = (both - second) / (1 - ratio)
    return x - grown * (weight * (cleans[-3] - last) / ratio + (both - weight) * (new - last))
