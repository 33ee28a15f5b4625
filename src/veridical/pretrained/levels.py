"""Noise levels of a pipeline, by its own scheduler: along which it samples, and what its network says at each."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veridical.core.errors import InputError
from veridical.diffusion.formulations import FLOW_ENDS, ddpm_time

PREDICTIONS = ("epsilon", "v_prediction", "sample")
MULTISTEP = ("dpm_solver_pp_2m", "sde_dpm_solver_pp_2m", "unipc")  # whose grids leave the lowest step out
FLOW = "FlowMatchEulerDiscreteScheduler"
# Nothing of the image is left where a flow begins, and its level is infinite. Solvers that step by shares of a level begin at
# this one, which is that to rounding; others would lose all digits of the image there, and begin where a thousandth is left.
BEYOND = 1e8
BY_SHARES = ("ddim", "ancestral", *MULTISTEP)


@dataclass(frozen=True)
class Schedule:
    """What the config of a scheduler of diffusion in discrete steps says.

    Attributes
    ----------
    levels : Tensor, shape (T,), float64
        Rising noise levels of its steps, ``sqrt((1 - abar) / abar)``.
    prediction : str
        What the network predicts.
    spacing : {"leading", "trailing", "linspace"}
        Which steps of all are taken (Lin et al. 2024, arXiv:2305.08891, table 2).
    offset : int
        What is added to steps that are "leading".
    """

    levels: Tensor
    prediction: str
    spacing: str
    offset: int

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest level, and the highest."""
        return self.levels[0].item(), self.levels[-1].item()

    def grid(self, steps: int, solver: str) -> Tensor:
        """`steps` falling levels and 0, float64, at the steps that diffusers' scheduler of that solver takes."""
        total = len(self.levels)
        if steps > total:
            raise InputError(
                f"sampling_steps={steps} is more than the {total} steps of the pipeline: give at most {total}."
            )
        more = int(solver in MULTISTEP and self.spacing != "trailing" and steps < total)
        if self.spacing == "trailing":
            times = np.round(np.arange(total, 0, -total / steps)) - 1
        elif self.spacing == "linspace":
            times = np.linspace(0, total - 1, steps + more).round()[::-1]
        else:
            times = np.arange(steps + more)[::-1] * (total // (steps + more)) + self.offset
        times = times[:steps].clip(0, total - 1).astype(np.int64)
        return torch.cat([self.levels[times.copy()], self.levels.new_zeros(1)])

    def time(self, sigma: Tensor) -> Tensor:
        """What the network is told of levels (N,)."""
        return ddpm_time(sigma, self.levels)

    def left(self, level: Tensor) -> Tensor:
        """How much of the image is left at levels: what the network sees is x times that."""
        return (1 + level**2).rsqrt()

    def clean(self, x: Tensor, level: Tensor, out: Tensor) -> Tensor:
        """Expected x0 of x at levels (N, 1, 1, 1), by what the network says: the noise, or a velocity (Salimans and Ho 2022,
        appendix D), or x0 itself.
        """
        if self.prediction == "epsilon":
            return x - level * out
        if self.prediction == "sample":
            return out
        left = self.left(level)
        return left**2 * x - level * left * out

    def begin(self, noise: Tensor, level: float) -> Tensor:
        """Where sampling begins: in the pipeline's own form with noise of variance 1, whatever the level is."""
        return (1 + level**2) ** 0.5 * noise


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching, ``x_t = (1 - t) * x0 + t * noise`` (Lipman et al. 2023): levels are ``t / (1 - t)``.

    Attributes
    ----------
    scheduler : FlowMatchEulerDiscreteScheduler
        Which times are taken is its own matter, with all its ways of shifting them towards noise.
    shift : float or None
        The ``mu`` of shifts that depend on how large images are; None where they do not.
    even : bool
        Times are evenly from 1 down before they are shifted, as Flux has it; else as the scheduler has it.
    """

    scheduler: Any
    shift: float | None
    even: bool

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest level, and the highest."""
        return FLOW_ENDS

    def grid(self, steps: int, solver: str) -> Tensor:
        """`steps` falling levels and 0, float64, at the times that the scheduler takes; fewer where the first lie too close."""
        scheduler = copy.copy(self.scheduler)
        given = {} if self.shift is None else {"mu": self.shift}
        if self.even:
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), **given)
        else:
            scheduler.set_timesteps(steps, **given)
        times = scheduler.sigmas.double().cpu()
        levels = times / (1 - times)
        top = BEYOND if solver in BY_SHARES else FLOW_ENDS[1]
        return torch.cat([levels[:1].clamp(max=top), levels[1:][levels[1:] < 0.999 * top]])

    def time(self, sigma: Tensor) -> Tensor:
        """What the network is told of levels (N,), on a scale of 1000."""
        return 1000 * sigma / (1 + sigma)

    def left(self, level: Tensor) -> Tensor:
        """How much of the image is left at levels: what the network sees is x times that."""
        return 1 / (1 + level)

    def clean(self, x: Tensor, level: Tensor, out: Tensor) -> Tensor:
        """Expected x0 of x at levels (N, 1, 1, 1), by the velocity ``noise - x0`` that the network predicts."""
        left = self.left(level)
        return left * x - level * left * out

    def begin(self, noise: Tensor, level: float) -> Tensor:
        """Where sampling begins: in the pipeline's own form with noise of variance 1, whatever the level is."""
        return (1 + level) * noise


def schedule_of(name: object, scheduler: Any) -> Schedule:
    """That of a scheduler of diffusers.

    Raises
    ------
    InputError
        If it is not one of a diffusion in discrete steps with some of the image left at each.
    """
    config = scheduler.config
    left = getattr(scheduler, "alphas_cumprod", None)
    prediction = config.get("prediction_type")
    if left is None or prediction not in PREDICTIONS:
        raise InputError(
            f"{name} has a {type(scheduler).__name__}, whose network predicts {prediction or 'a flow'}: pipelines of "
            f"diffusion are used here, which predict {', '.join(PREDICTIONS)}."
        )
    left = left.double()
    if not (left[-1] > 0 and left[-1] > 1e-7) or config.get("rescale_betas_zero_snr"):
        raise InputError(f"{name} begins with nothing of an image (rescale_betas_zero_snr), which is not used here.")
    spacing = config.get("timestep_spacing", "leading")
    return Schedule(((1 - left) / left).sqrt(), prediction, spacing, int(config.get("steps_offset", 0)))


def flow_schedule_of(name: object, scheduler: Any, tokens: int, most: float, even: bool) -> FlowSchedule:
    """That of a scheduler of flow matching.

    Parameters
    ----------
    name : object
    scheduler : FlowMatchEulerDiscreteScheduler
    tokens : int
        How many places of an image the transformer has: the more, the further times may be shifted towards noise.
    most : float
        The shift of 4096 places, where the scheduler does not say it.
    even : bool
        See `FlowSchedule`.

    Raises
    ------
    InputError
        If it is another one, or draws noise of its own.
    """
    config = scheduler.config
    if type(scheduler).__name__ != FLOW or config.get("stochastic_sampling") or config.get("invert_sigmas"):
        raise InputError(
            f"{name} has a {type(scheduler).__name__} that is not used here: give one with a {FLOW} without "
            "stochastic_sampling and invert_sigmas."
        )
    if not config.get("use_dynamic_shifting"):
        return FlowSchedule(scheduler, None, even)
    sides = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    shifts = config.get("base_shift", 0.5), config.get("max_shift", most)
    slope = (shifts[1] - shifts[0]) / (sides[1] - sides[0])
    return FlowSchedule(scheduler, shifts[0] + slope * (tokens - sides[0]), even)
