"""From a denoiser to the denoiser of what was measured: functions of ``denoise(x, sigma, cond)``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from veridical.diffusion.solvers import Denoise

TOLERANCE = 1e-2  # of residuals of conjugate gradients
GRAPHS = 256  # tiles whose activations are kept; more are computed again when gradients are taken


def tiled(denoise: Denoise, size: int, overlap: float = 0.25, batch: int = 32) -> Denoise:
    """Denoise images larger than what a model was trained on: overlapping tiles whose estimates are averaged.

    Averaging the estimates at every noise level makes the tiles one consistent image (MultiDiffusion: Bar-Tal et al. 2023,
    eq. 5), here with weights that fall towards the edges of tiles.

    Parameters
    ----------
    denoise : function
        Takes tiles (N, C, size, size).
    size : int
    overlap : float
        Least share of a tile that lies on its neighbour.
    batch : int
        Tiles at a time.

    Returns
    -------
    function
        Takes images of any height and width of at least `size`.
    """
    ramp = 1 - (torch.arange(size) + 0.5 - size / 2).abs() / (size / 2)
    weight = ramp[:, None] * ramp

    def whole(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
        n, _, height, width = x.shape
        if (height, width) == (size, size):
            return denoise(x, sigma, cond)
        tops, lefts = _starts(height, size, overlap), _starts(width, size, overlap)
        corners = [(i, top, left) for top in tops for left in lefts for i in range(n)]
        total, weights = torch.zeros_like(x), x.new_zeros(height, width)
        window = weight.to(x)
        for start in range(0, len(corners), batch):
            chosen = corners[start : start + batch]
            tiles = torch.stack([x[i, :, top : top + size, left : left + size] for i, top, left in chosen])
            rows = torch.tensor([i for i, _, _ in chosen], device=x.device)
            mine = None if cond is None else {name: values[rows] for name, values in cond.items()}
            if x.requires_grad and len(corners) > GRAPHS:
                clean = checkpoint(denoise, tiles, sigma[rows], mine, use_reentrant=False)
            else:
                clean = denoise(tiles, sigma[rows], mine)
            for (i, top, left), tile in zip(chosen, clean, strict=True):
                total[i, :, top : top + size, left : left + size] += window * tile
                if i == 0:
                    weights[top : top + size, left : left + size] += window
        return total / weights

    return whole


def _starts(length: int, size: int, overlap: float) -> list[int]:
    """First pixels of tiles that cover `length` evenly."""
    count = 1 + -(-(length - size) // max(1, int(size * (1 - overlap))))
    return [round(k * (length - size) / max(1, count - 1)) for k in range(count)]


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
