"""Noise levels of a pipeline, by the betas of its own scheduler, and along which of them it samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veridical.core.errors import InputError

PREDICTIONS = ("epsilon", "v_prediction", "sample")
MULTISTEP = ("dpm_solver_pp_2m", "sde_dpm_solver_pp_2m", "unipc")  # whose grids leave the lowest step out


@dataclass(frozen=True)
class Schedule:
    """What a scheduler's config says.

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
