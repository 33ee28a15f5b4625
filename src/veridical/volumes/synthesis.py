"""Volumes of a denoiser of their sections."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.volumes.body import Body

# What a denoiser expects of images (N, H, W) with noise of a level, less what their spectrum alone lets expect.
Section = Callable[[Tensor, float], Tensor]


class State(NamedTuple):
    """A volume on its way, as Fourier coefficients: `done` steps are done, in the last of which `rest` was found."""

    done: int
    volume: Tensor
    rest: Tensor


def synthesise(
    section: Section,
    body: Body,
    grid: Tensor,
    noise: Callable[[int], Tensor],
    state: State | None = None,
    tell: Callable[[State], None] = lambda _: None,
) -> Tensor:
    """Draw an encoded volume of an isotropic material whose sections a denoiser knows.

    A denoiser of sections, applied to the planes of a noisy volume in turn, does not know what the neighbours of a plane say of
    it: whatever the solver, half of the contrast is lost. Here a volume x with noise of level sigma is expected to be::

        W3(x) + N,   N = D2(y, s) - W2(y, s)

    W3 is the best linear estimate of the volume by its spectrum P3, which that of its sections determines
    (`veridical.volumes.isotropic.of_sections`); y are its planes as the whole volume, by its spectrum, says that they are, with
    noise of the level s below sigma that is left in them (`Body.observed`); D2 is the denoiser and W2 the best linear estimate
    of sections, so that their difference is what a spectrum does not say. The normals of the planes take turns, a level each.

    What is expected less its best linear estimate is not correlated with x; so what of N is, in a shell of frequencies, is taken
    away. From sigma a step leads to tau as the posterior of DDPM does (Ho et al. 2020, eq. 7) when what is expected is not
    certain: with ``r = tau**2 / sigma**2`` to ``r * x + (1 - r) * (W3(x) + N)`` and noise of the variance
    ``(P3 + tau**2) * (sigma**2 - tau**2) / (P3 + sigma**2)`` less that of ``(1 - r) * N``. Whatever D2 and the number of steps,
    the volume so has the spectrum P3, and of a Gaussian field all of its law. N is extrapolated from the step before, as in
    DPM-Solver++(2M) (Lu et al. 2022).

    Parameters
    ----------
    section : callable
        Gives N for planes.
    body : Body
        Spectrum and box.
    grid : Tensor
        Falling noise levels that end with 0.
    noise : callable
        ``noise(k)`` is white noise for the whole box: 0 for the start, k for the k-th step.
    state : State, optional
        Of a draw that was stopped: goes on there.
    tell : callable
        Is told the state after each step.

    Returns
    -------
    Tensor, shape `body.shape`
    """
    levels = grid.tolist()
    power = body.power
    if state is None:
        x = (power + levels[0] ** 2).sqrt() * body.coefficients(noise(0))
        state = State(0, x, torch.zeros_like(x))
    for k in range(state.done, len(levels) - 1):
        x, now, then, axis = state.volume, levels[k], levels[k + 1], k % 3
        observed = body.observed(now, axis)
        planes = body.volume(observed.filter * x).movedim(axis, 0)
        rest = found = body.coefficients(section(planes, observed.level).movedim(0, axis))
        if k and then > 0:
            rest = rest + math.log(now / then) / math.log(levels[k - 1] / now) / 2 * (found - state.rest)
        rest = body.uncorrelated(rest, x)
        share = (then / now) ** 2
        x = share * x + (1 - share) * (body.kept(now) * x + rest)
        if then > 0:
            variance = (power + then**2) / (power + now**2) * (now**2 - then**2) - (1 - share) ** 2 * body.spread(rest)
            x = x + variance.clamp(min=0).sqrt() * body.coefficients(noise(k + 1))
        state = State(k + 1, x, found)
        tell(state)
    return body.volume(state.volume)
