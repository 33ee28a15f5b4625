"""Samples in one to four steps: students of a trained denoiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.formulations import SIGMA_DATA
from veridical.diffusion.solvers import Denoise, consistency, euler, karras_grid
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Sampling


@dataclass(frozen=True)
class Halving:
    """How many steps teacher and students take: every student has the same share of the training."""

    start_steps: int = setting(16, "Steps of the first teacher.", low=2)
    final_steps: int = setting(4, "Steps of the last student: a half, quarter, ... of them.", low=1)

    def __post_init__(self) -> None:
        check(self)
        if self.halvings < 1 or self.halvings != int(self.halvings):
            raise InputError(
                f"final_steps={self.final_steps} is no half, quarter, ... of start_steps={self.start_steps}: use 16 and 4."
            )

    @property
    def halvings(self) -> float:
        """How many students there are."""
        return math.log2(self.start_steps / self.final_steps)


@dataclass(frozen=True)
class Neighbours:
    """Noise levels whose ends are one; they double at equal shares of the training, and begin anew where it is made longer."""

    path: str = setting(
        "teacher", "Neighbours by a step of the teacher (distillation), or of the data.", choices=("teacher", "data")
    )
    levels: int = setting(18, "Noise levels at first, along Karras et al.'s grid.", low=2)
    most_levels: int = setting(72, "Noise levels at most.", low=2)

    def __post_init__(self) -> None:
        check(self)
        if self.levels > self.most_levels:
            raise InputError(
                f"levels={self.levels} and most_levels={self.most_levels} cannot be: give two or more, and no fewer at most."
            )


class ProgressiveDistillation(nn.Module):
    """Each step of a student learns two steps of its teacher, then it is the teacher (Salimans and Ho 2022, arXiv:2202.00512).

    Other than in the paper, the first teacher's steps are of second order, so that few of them are enough (the paper's takes
    thousands of DDIM and so has many students), and the learning rate falls once, not for each student.

    Parameters
    ----------
    first : Denoiser
        Trained denoiser, the first teacher.
    halving : Halving
    """

    def __init__(self, first: nn.Module, halving: Halving) -> None:
        super().__init__()
        self.teacher = _denoiser(first).eval().requires_grad_(False)
        self.student = _student(first)
        self.parts = dict(self.student.parts)
        self.start_steps, self.students = halving.start_steps, int(halving.halvings)
        self.steps: Tensor
        self.register_buffer("steps", torch.tensor(halving.start_steps // 2))

    def train(self, mode: bool = True) -> ProgressiveDistillation:
        """Set the mode of the student; the teacher stays as it is."""
        super().train(mode)
        self.teacher.eval()
        return self

    def _fine(self) -> Tensor:
        ends = self.teacher.sampling
        return self.teacher.grid(Sampling(self.start_steps, sigma_min=ends.sigma_min, sigma_max=ends.sigma_max))

    def grid(self) -> Tensor:
        """Noise levels of the student of the moment: every second, fourth, ... of the first teacher's."""
        return self._fine()[:: self.start_steps // int(self.steps)]

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.student.on_canvas(canvas)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the squared error of what would lead to the teacher's place in one step (algorithm 2), weighted by the
        truncated signal-to-noise ratio (section 4).
        """
        # Never back to an earlier student, where a run is made longer.
        if int(self.steps) > self.start_steps >> (int(batch.reached * self.students) + 1):
            for name, part in self.student.parts.items():
                self.teacher.parts[name].load_state_dict(part.state_dict())
            self.steps //= 2
        fine = self._fine().to(batch.image)
        stride = self.start_steps // int(self.steps)
        first = (batch.uniform() * int(self.steps)).long().clamp(max=int(self.steps) - 1) * stride
        levels = fine[first], fine[first + stride // 2], fine[first + stride]
        now, then = (_wide(level) for level in levels[::2])
        with torch.no_grad():
            x = end = self.teacher.encode(batch.image) + now * batch.normal(*self.teacher.shape)
            # Guidance is of the first teacher; its students have learned it.
            teacher = self.teacher.guided() if stride == 2 else self.teacher.denoise
            for pair in pairwise(levels):
                end = _step(teacher, end, *pair, batch.cond, second_order=stride == 2)
            target = (end - then / now * x) / (1 - then / now)
        weight = (SIGMA_DATA / now).square().clamp(min=1) / SIGMA_DATA**2
        yield "denoiser", (weight * (self.student.denoise(x, levels[0], batch.cond) - target).square()).mean()

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), in as many steps as the student of the moment takes."""
        grid = self.grid()
        x = self.student.start(noise, grid[0].item())
        return self.student.decode(euler(self.student.whole(self.student.denoise), x, grid, cond))


class Consistency(nn.Module):
    """From any noise level to the end of its path in one step (Song, Dhariwal, Chen and Sutskever 2023, arXiv:2303.01469).

    Neighbouring levels lie on one path by a step of the teacher (distillation, their algorithm 2), or by the same noise on
    the same image (training, algorithm 3). Loss, target without average, and laws of levels are those of Song and Dhariwal
    2024, arXiv:2310.14189.

    Parameters
    ----------
    first : Denoiser
        Trained denoiser: the teacher, and where the student begins.
    neighbours : Neighbours
    sampling : Sampling
        Of it the steps: evaluations; from the second on, noise is added again.
    """

    def __init__(self, first: nn.Module, neighbours: Neighbours, sampling: Sampling) -> None:
        super().__init__()
        self.teacher = _denoiser(first).eval().requires_grad_(False)
        self.student = _student(first)
        self.parts = dict(self.student.parts)
        self.neighbours, self.sampling = neighbours, sampling
        self.frozen = {"first": self.teacher}

    def train(self, mode: bool = True) -> Consistency:
        """Set the mode of the student; the teacher stays as it is."""
        super().train(mode)
        self.teacher.eval()
        return self

    def _levels(self, steps: int) -> Tensor:
        return karras_grid(steps, *self.student.ends())[:-1]

    def end(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """The end of the path of x (N, \\*shape), sigma (N,): at the lowest level x itself (eq. 5).

        An Euler step from sigma to the lowest level with the student's `denoise`: scalings of this kind for every
        formulation.
        """
        lowest = self.student.ends()[0]
        share = _wide((lowest / sigma).clamp(max=1))
        return share * x + (1 - share) * self.student.denoise(x, sigma, cond)

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.student.on_canvas(canvas)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the distance of the ends of two neighbours: pseudo-Huber, over the distance of their levels."""
        first, most = self.neighbours.levels, self.neighbours.most_levels
        steps = min(first * 2 ** int(batch.reached * (math.log2(most / first) + 1)), most)
        rising = self._levels(steps).flip(0)
        # Which pair: a log-normal law (Song and Dhariwal 2024, eq. 10).
        share = torch.erf((rising.log() + 1.1) / (math.sqrt(2) * 2.0)).diff().cumsum(0)
        which = torch.searchsorted(share / share[-1], batch.uniform().cpu().double()).clamp(max=steps - 2)
        low, high = (rising[which + k].to(batch.image) for k in (0, 1))
        with torch.no_grad():
            z = self.teacher.encode(batch.image)
            noise = batch.normal(*self.teacher.shape)
            x = z + _wide(high) * noise
            if self.neighbours.path == "teacher":
                neighbour = _step(self.teacher.guided(), x, high, low, batch.cond, second_order=True)
            else:
                neighbour = z + _wide(low) * noise
            target = self.end(neighbour, low, batch.cond)
        square = (self.end(x, high, batch.cond) - target).square().flatten(1).mean(1)
        distance = (square + 0.00054**2).sqrt() - 0.00054
        yield "denoiser", (distance / (high - low)).mean()

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W)."""
        levels = self._levels((sampling or self.sampling).sampling_steps + 1)[:-1]
        x = self.student.start(noise, levels[0].item())
        end, grid = self.student.whole(self.end), torch.cat([levels, levels.new_zeros(1)])
        return self.student.decode(consistency(end, x, grid, cond, noise))


def _step(
    denoise: Denoise, x: Tensor, now: Tensor, then: Tensor, cond: dict[str, Any] | None, second_order: bool
) -> Tensor:
    """From levels `now` (N,) to `then` (N,) along the probability-flow ODE: DDIM, or the midpoint rule in the time of flow
    matching (`veridical.diffusion.solvers.midpoint`), which can take as long steps.
    """
    start, end = (level / (1 + level) for level in (now, then))
    clean = denoise(x, now, cond)
    y = x / _wide(1 + now)
    velocity = (y - clean) / _wide(start)
    if second_order:
        middle = (start + end) / 2
        halfway = y + velocity * _wide(middle - start)
        clean = denoise(halfway / _wide(1 - middle), middle / (1 - middle), cond)
        velocity = (halfway - clean) / _wide(middle)
    return (y + velocity * _wide(end - start)) * _wide(1 + then)


def _wide(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def _denoiser(first: nn.Module) -> Denoiser:
    if not isinstance(first, Denoiser):
        raise InputError(
            "only a diffusion model of pixels can be distilled: give the --first of a run of edm or its kin."
        )
    if first.label is not None:
        raise InputError("a diffusion model of labels cannot be distilled: give the --first of a run without labels.")
    return copy.deepcopy(first)


def _student(first: nn.Module) -> Denoiser:
    student = _denoiser(first)
    student.early, student.sampling = None, replace(student.sampling, autoguidance=1.0)
    return student.requires_grad_(True)
