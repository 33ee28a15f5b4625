"""Along which noise levels the model of a pipeline draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.diffusion.solvers import SOLVERS, Denoise
from veridical.models.diffusion.settings import Law, options


class Scheduled(nn.Module):
    """A model with the `schedule` of a pipeline, latents of `shape`, and settings `sampling`."""

    schedule: Any
    sampling: Any
    shape: tuple[int, int, int]

    def ends(self, sampling: Any = None) -> tuple[float, float]:
        """The lowest noise level, which counts as none, and the highest."""
        return self.schedule.ends

    def grid(self, sampling: Any = None) -> Tensor:
        """Noise levels along which it samples, falling to 0, float64."""
        how = sampling or self.sampling
        if how.solver == "dopri5":
            return torch.tensor([*reversed(self.ends(how)), 0.0], dtype=torch.float64)
        return self.schedule.grid(how.sampling_steps, how.solver)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """Where sampling begins: in the pipeline's own form with noise of variance 1, whatever the level is."""
        return self.schedule.begin(noise(self.shape), sigma)

    def solved(self, denoise: Denoise, x: Tensor, cond: dict[str, Any], noise: Noise, sampling: Any = None) -> Tensor:
        """Where the solver of the settings leads from x, at the first level of `grid`."""
        how = sampling or self.sampling
        return SOLVERS[how.solver](denoise, x, self.grid(how), cond, noise, **options(Law(), how))
