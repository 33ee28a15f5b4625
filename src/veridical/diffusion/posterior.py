"""From a denoiser to the denoiser of what was measured: functions of ``denoise(x, sigma, cond)``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from veridical.diffusion.solvers import Denoise

TOLERANCE = 1e-2  # of residuals of conjugate gradients


def measured_denoiser(
    denoise: Denoise,
    keep: Callable[[Tensor], Tensor],
    known: Tensor,
    deviation: float | Tensor = 0.0,
    iterations: int = 4,
) -> Denoise:
    """Expected clean image given its noisy version and a measurement: ``E[x0 | x, y]`` where ``y = keep(x0) + noise``.

    Given x, x0 is taken for Gaussian with the mean ``denoise(x)`` and the covariance ``sigma^2 d denoise(x) / dx``, which are
    the exact moments for any distribution of images (Efron 2011; Boys et al. 2023); the correction is then that of linear
    regression (Rozet et al. 2024, eq. 8 and algorithm 3), solved by conjugate gradients through the network. For Gaussian
    images it is exact.

    Parameters
    ----------
    denoise : function
    keep : function
        Orthogonal projection of images (N, C, H, W) onto what is measured.
    known : Tensor, shape (N, C, H, W)
        The measurement, in the range of `keep`.
    deviation : float or Tensor
        Standard deviation of its noise, of each pixel if it is a tensor (then `keep` must keep every pixel).
    iterations : int
        Conjugate gradient steps at most; each costs one backward pass.

    Returns
    -------
    function
        A denoiser for any solver of `veridical.diffusion.solvers`.
    """

    def given(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        variance = sigma.reshape(-1, 1, 1, 1) ** 2
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            clean = denoise(noisy, sigma, cond)
        mean = clean.detach()

        def covariance(v: Tensor) -> Tensor:
            return variance * torch.autograd.grad(clean, noisy, v, retain_graph=True)[0]

        residual = keep(known - mean)
        solution, direction, square = torch.zeros_like(residual), residual, _dot(residual, residual)
        goal = TOLERANCE**2 * square
        for _ in range(iterations):
            change = keep(covariance(direction)) + deviation**2 * direction
            curvature = _dot(direction, change)
            # A network's covariance is only nearly one: where its curvature is negative, the image stays as it is.
            going = (curvature > 0) & (square > goal)
            if not going.any():
                break
            step = torch.where(going, square / curvature, 0.0)
            solution, residual = solution + step * direction, residual - step * change
            last, square = square, torch.where(going, _dot(residual, residual), 0.0)
            direction = torch.where(going, residual + square / last * direction, 0.0)
        return mean + covariance(solution)

    return given


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2, 3), keepdim=True)


def repaint(
    denoise: Denoise,
    keep: Callable[[Tensor], Tensor],
    known: Tensor,
    x: Tensor,
    grid: Tensor,
    noise: Callable[[], Tensor],
    deviation: float | Tensor = 0.0,
    resamplings: int = 5,
    cond: Any = None,
) -> Tensor:
    """Sample images that agree with a measurement by putting it back at every noise level (Lugmayr et al. 2022, algorithm 1).

    Every step is taken `resamplings` times, with noise added again in between, so that both parts come to fit. The
    measurement is put back down to the level of its own noise, where it is a draw of the noisy image itself; from there the
    model goes on alone.

    Parameters
    ----------
    denoise, keep, known, deviation
        As for `measured_denoiser`.
    x : Tensor, shape (N, C, H, W)
        Noise of the first level.
    grid : Tensor
        Falling noise levels that end with 0.
    noise : function
        Draws standard normal noise of the shape of `x`.
    resamplings : int
    cond : optional
    """
    level = torch.as_tensor(deviation, device=x.device)
    for now, then in pairwise(grid.tolist()):
        for turn in range(resamplings):
            clean = denoise(x, torch.full((len(x),), now, device=x.device), cond)
            ratio = (then / now) ** 2
            # Ho et al. 2020, eq. 6 and 7, for x = x0 + sigma * noise.
            lower = clean + ratio * (x - clean) + then * (1 - ratio) ** 0.5 * noise()
            added = noise() * (then**2 - level**2).clamp(min=0).sqrt()
            lower = lower + keep((known + added - lower) * (level <= then))
            if turn < resamplings - 1:
                x = lower + (now**2 - then**2) ** 0.5 * noise()
        x = lower
    return x
