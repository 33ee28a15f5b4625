"""Diffusion as papers formulate it: what the network is asked, at which noise levels it learns, along which it samples.

One row a formulation, all for ``x = x0 + sigma * noise``: x is what the paper's process gives, divided by what it has left of
x0. The paper's own time and scale are in the row's `scalings`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.core.errors import InputError
from veridical.diffusion.solvers import geometric_grid, karras_grid

SIGMA_DATA = 0.5  # standard deviation of encoded images


class Scalings(NamedTuple):
    """``denoise = skip * x + out * net(in_ * x, time)``.

    In all these papers the squared error of the network's output has the same weight at every level: that of `denoise` has
    ``1 / out**2``.
    """

    skip: Tensor
    out: Tensor
    in_: Tensor
    time: Tensor


class Span(NamedTuple):
    """What can be set of noise levels.

    `mean` and `std` are of the logarithm of training levels, `low` and `high` the ends of a grid; each row takes what its
    paper has.
    """

    mean: float
    std: float
    low: float
    high: float


class Formulation(NamedTuple):
    """One row.

    Attributes
    ----------
    scalings : callable
        ``scalings(sigma)``: sigma (N, 1, 1, 1); time is (N,).
    law : callable
        ``law(normal, span)``: training noise levels (N,) of standard normal numbers (N,).
    grid : callable
        ``grid(steps, span)``: falling levels for sampling, float64, that end with 0.
    ends : callable
        ``ends(span)``: the lowest level, which counts as no noise, and the highest, which counts as nothing but noise.
    """

    scalings: Callable[[Tensor], Scalings]
    law: Callable[[Tensor, Span], Tensor]
    grid: Callable[[int, Span], Tensor]
    ends: Callable[[Span], tuple[float, float]]


def edm_scalings(sigma: Tensor) -> Scalings:
    """Unit-variance input and target at every noise level (Karras et al. 2022, table 1, last column)."""
    total = sigma**2 + SIGMA_DATA**2
    return Scalings(
        skip=SIGMA_DATA**2 / total,
        out=sigma * SIGMA_DATA * total.rsqrt(),
        in_=total.rsqrt(),
        # The paper feeds log(sigma) / 4 to an embedding whose fastest wave has period 2 pi; diffusers' embedding is made for
        # steps from 0 to 1000.
        time=100 * sigma.log().flatten(),
    )


def log_normal_noise(normal: Tensor, mean: float, std: float) -> Tensor:
    """Training noise levels ``exp(mean + std * normal)`` (Karras et al. 2022, table 1)."""
    return (mean + std * normal).exp()


def min_snr_weight(sigma: Tensor, gamma: float) -> Tensor:
    """Weight of the squared error of x0: signal-to-noise ratio, at most `gamma` (Hang et al. 2023, arXiv:2303.09556, eq. 8).

    In units of the data's variance, as the weight of EDM, which is ``(snr + 1) / SIGMA_DATA**2``.
    """
    return (SIGMA_DATA / sigma).square().clamp(max=gamma) / SIGMA_DATA**2


# The thousand steps of DDPM.

STEPS = 1000


@cache
def ddpm_levels(schedule: str) -> Tensor:
    """Noise levels of the steps of DDPM, rising, ``sqrt((1 - abar) / abar)``.

    Parameters
    ----------
    schedule : {"linear", "cosine", "scaled_linear"}
        Ho, Jain and Abbeel 2020, section 4; Nichol and Dhariwal 2021, eq. 17; the code of Rombach et al. 2022.

    Returns
    -------
    Tensor, shape (1000,), float64
    """
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
    elif schedule == "scaled_linear":
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64).square()
    else:
        time = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
        left = ((time + 0.008) / 1.008 * math.pi / 2).cos().square()
        betas = (1 - left[1:] / left[:-1]).clamp(max=0.999)
    left = (1 - betas).cumprod(0)
    return ((1 - left) / left).sqrt()


def ddpm_time(sigma: Tensor, levels: Tensor) -> Tensor:
    """Step of a level among rising ones, like sigma; between steps by the logarithm of the level, as a broken number."""
    known, last = levels.log().to(sigma.device), len(levels) - 1
    value = sigma.double().log()
    upper = torch.searchsorted(known, value.contiguous()).clamp(1, last)
    step = upper - 1 + (value - known[upper - 1]) / (known[upper] - known[upper - 1])
    # Levels that are float32 copies of the table's are the table's: its steps are whole numbers.
    near = step.round()
    return torch.where((step - near).abs() < 1e-3, near, step).clamp(0, last).to(sigma.dtype)


def ddpm_scalings(sigma: Tensor, schedule: str) -> Scalings:
    """Prediction of the noise, all levels of equal weight (Ho et al. 2020, eq. 14)."""
    time = ddpm_time(sigma.flatten(), ddpm_levels(schedule))
    return Scalings(torch.ones_like(sigma), -sigma, 1 / (1 + sigma**2).sqrt(), time)


def v_scalings(sigma: Tensor, schedule: str) -> Scalings:
    """Prediction of ``v = alpha * noise - sqrt(1 - alpha**2) * x0`` (Salimans and Ho 2022, section 4 and appendix D)."""
    left = 1 / (1 + sigma**2)
    time = ddpm_time(sigma.flatten(), ddpm_levels(schedule))
    return Scalings(left, -sigma * left.sqrt(), left.sqrt(), time)


def ddpm_law(normal: Tensor, span: Span, schedule: str) -> Tensor:
    """One of the thousand steps, all equally likely."""
    step = (_uniform(normal) * STEPS).long().clamp(max=STEPS - 1)
    return ddpm_levels(schedule).to(normal)[step]


def ddpm_grid(steps: int, span: Span, schedule: str) -> Tensor:
    """Levels of `steps` of the thousand steps, evenly from the last to the first (Nichol and Dhariwal 2021, section 4), of
    ``scaled_linear`` to none (Lin et al. 2024, arXiv:2305.08891, table 2, "trailing").
    """
    if steps > STEPS:
        raise InputError(f"sampling_steps={steps} is more than the {STEPS} steps of ddpm: give at most {STEPS}.")
    last = STEPS / steps - 1 if schedule == "scaled_linear" else 0
    chosen = torch.linspace(STEPS - 1, last, steps, dtype=torch.float64).round().long()
    return _to_zero(ddpm_levels(schedule)[chosen])


# Score-based models.


def score_scalings(sigma: Tensor) -> Scalings:
    """A network of the score times sigma, weighted by sigma**2 (Song and Ermon 2019, eq. 6).

    The network is told the level, as in the first paper; the second (2020, technique 3) divides by it instead.
    The score of x is ``(denoise - x) / sigma**2``, so that this is the error of the noise in units of sigma.
    """
    time = 100 * sigma.log().flatten()
    return Scalings(torch.ones_like(sigma), sigma, torch.ones_like(sigma), time)


NCSN_LEVELS = 232


def ncsn_law(normal: Tensor, span: Span) -> Tensor:
    """One of 232 levels of constant ratio (Song and Ermon 2020, technique 2 and appendix B.1)."""
    levels = geometric_grid(NCSN_LEVELS, span.low, span.high)[:-1].to(normal)
    return levels[(_uniform(normal) * NCSN_LEVELS).long().clamp(max=NCSN_LEVELS - 1)]


def ve_law(normal: Tensor, span: Span) -> Tensor:
    """Levels uniform in their logarithm: uniform in the time of the VE process (Song et al. 2021, eq. 31)."""
    return span.low * (span.high / span.low) ** _uniform(normal)


BETA_MIN, BETA_MAX = 0.1, 20.0  # Song et al. 2021, appendix C
EARLIEST = 1e-5  # in training; 1e-3 in sampling


def vp_level(time: Tensor, sub: bool) -> Tensor:
    """Noise level of VP or sub-VP at a time from 0 to 1 (Song et al. 2021, eqs. 29, 32 and 33)."""
    integral = BETA_MIN * time + (BETA_MAX - BETA_MIN) / 2 * time**2
    # alpha = exp(-integral / 2); the noise is sqrt(1 - alpha**2), or 1 - alpha**2.
    return 2 * (integral / 2).sinh() if sub else integral.expm1().sqrt()


def vp_scalings(sigma: Tensor, sub: bool) -> Scalings:
    """Prediction of the noise in continuous time (Song et al. 2021, eq. 7 with lambda the variance of the noise)."""
    integral = 2 * (sigma / 2).asinh() if sub else sigma.square().log1p()
    slope = BETA_MAX - BETA_MIN
    time = ((BETA_MIN**2 + 2 * slope * integral).sqrt() - BETA_MIN) / slope
    return Scalings(torch.ones_like(sigma), -sigma, (-integral / 2).exp(), 999 * time.flatten())


def vp_law(normal: Tensor, span: Span, sub: bool) -> Tensor:
    """Levels at times uniform in [1e-5, 1]."""
    return vp_level(EARLIEST + (1 - EARLIEST) * _uniform(normal), sub)


def vp_grid(steps: int, span: Span, sub: bool) -> Tensor:
    """Levels at times evenly from 1 to 1e-3."""
    return _to_zero(vp_level(torch.linspace(1, 1e-3, steps, dtype=torch.float64), sub))


# Flow matching.

EARLIEST_FLOW, LATEST = 1e-4, 0.999  # at time 1 nothing is left of x0, and its level is infinite
FLOW_ENDS = (EARLIEST_FLOW / (1 - EARLIEST_FLOW), LATEST / (1 - LATEST))


def flow_scalings(sigma: Tensor) -> Scalings:
    """Prediction of ``noise - x0`` on straight paths ``(1 - t) * x0 + t * noise`` (Lipman et al. 2023, eq. 23)."""
    left = 1 / (1 + sigma)
    return Scalings(left, -sigma * left, left, 1000 * (sigma * left).flatten())


def flow_law(normal: Tensor, span: Span) -> Tensor:
    """Levels at times uniform in [0, 1], cut to [0.0001, 0.999]."""
    time = _uniform(normal).clamp(EARLIEST_FLOW, LATEST)
    return time / (1 - time)


def flow_grid(steps: int, span: Span) -> Tensor:
    """Levels at times evenly from 0.999 to 0."""
    time = torch.linspace(LATEST, 0, steps + 1, dtype=torch.float64)
    return time / (1 - time)


def _uniform(normal: Tensor) -> Tensor:
    return torch.special.ndtr(normal)


def _to_zero(levels: Tensor) -> Tensor:
    return torch.cat([levels, levels.new_zeros(1)])


def _ddpm(scalings: Callable[[Tensor, str], Scalings], schedule: str) -> Formulation:
    return Formulation(
        lambda sigma: scalings(sigma, schedule),
        lambda normal, span: ddpm_law(normal, span, schedule),
        lambda steps, span: ddpm_grid(steps, span, schedule),
        lambda span: (ddpm_levels(schedule)[0].item(), ddpm_levels(schedule)[-1].item()),
    )


def _vp(sub: bool) -> Formulation:
    return Formulation(
        lambda sigma: vp_scalings(sigma, sub),
        lambda normal, span: vp_law(normal, span, sub),
        lambda steps, span: vp_grid(steps, span, sub),
        lambda span: (vp_level(torch.tensor(1e-3), sub).item(), vp_level(torch.tensor(1.0), sub).item()),
    )


def _geometric(steps: int, span: Span) -> Tensor:
    return geometric_grid(steps, span.low, span.high)


def _as_set(span: Span) -> tuple[float, float]:
    return span.low, span.high


FORMULATIONS: dict[str, Formulation] = {
    "edm": Formulation(
        edm_scalings,
        lambda normal, span: log_normal_noise(normal, span.mean, span.std),
        lambda steps, span: karras_grid(steps, span.low, span.high),
        _as_set,
    ),
    "ddpm_linear": _ddpm(ddpm_scalings, "linear"),
    "ddpm_cosine": _ddpm(ddpm_scalings, "cosine"),
    "v_linear": _ddpm(v_scalings, "linear"),
    "v_cosine": _ddpm(v_scalings, "cosine"),
    "ddpm_scaled_linear": _ddpm(ddpm_scalings, "scaled_linear"),
    "v_scaled_linear": _ddpm(v_scalings, "scaled_linear"),
    "ncsn": Formulation(score_scalings, ncsn_law, _geometric, _as_set),
    "ve": Formulation(score_scalings, ve_law, _geometric, _as_set),
    "vp": _vp(sub=False),
    "sub_vp": _vp(sub=True),
    "flow": Formulation(flow_scalings, flow_law, flow_grid, lambda span: FLOW_ENDS),
}
