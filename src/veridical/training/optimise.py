"""What makes the steps of training: AdamW, or Muon for large matrices; the rate; one step of one part."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from veridical.core.device import World
from veridical.recipes.config import TrainConfig

# Of the quintic iteration: it need not reach 1, but has to lift small singular values soon (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
# Thinner matrices (most last layers, filters of few channels) have few directions to balance.
THINNEST = 64


def make_optimiser(module: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser of the settings, with one group of parameters: those of `module`."""
    betas = (config.beta1, config.beta2)
    if config.optimiser == "muon":
        return Muon(module.parameters(), config.lr, betas, config.weight_decay)
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(module.parameters(), config.lr, betas, weight_decay=config.weight_decay, fused=fused)


def parameters_of(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """Parameters of an optimiser of `make_optimiser`."""
    parameters: list[Tensor] = optimiser.param_groups[0]["params"]
    return parameters


def kept_of(optimiser: torch.optim.Optimizer, parameter: Tensor) -> set[str]:
    """Names of what an optimiser of `make_optimiser` keeps of a parameter that had a gradient."""
    if not isinstance(optimiser, Muon):
        return {"step", "exp_avg", "exp_avg_sq"}
    return {"momentum"} if _is_matrix(parameter) else {"step", "mean", "square"}


def learning_rate(config: TrainConfig, step: int, reached: float) -> float:
    """Rate of a step: it rises at first, and falls where the share `reached` of the training is near 1."""
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    fall = min(1.0, (1 - reached) / config.decay) if config.decay else 1.0
    return config.lr * rise * fall


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, rate: float, clip: float, world: World) -> float:
    """One step of one part; return its loss over all processes, or NaN (and no step) where anything is not finite."""
    parameters = parameters_of(optimiser)
    optimiser.zero_grad()
    torch.autograd.backward(loss, inputs=parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    loss = loss.detach().reshape(1)
    world.average([*gradients, loss])
    norm = torch.nn.utils.get_total_norm(gradients)
    if not torch.isfinite(loss + norm):
        return math.nan
    if clip:
        torch.nn.utils.clip_grads_with_norm_(parameters, clip, norm)
    optimiser.param_groups[0]["lr"] = rate
    optimiser.step()
    return loss.item()


def orthogonalise(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal factor U V^T of ``matrix = U S V^T``, by Newton's and Schulz's iteration.

    Singular values end between 0.7 and 1.2, all but the smallest.

    Parameters
    ----------
    matrix : Tensor, shape (M, N)
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalise(matrix.T).T
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    # A round multiplies x with a polynomial of its Gram matrix. All of these commute, so that where x is wide, the small matrices
    # can go ahead alone; not for more than three rounds, since each makes an eigenvalue that was rounded below 0 12 times larger.
    ahead = 3 if matrix.shape[1] > 2 * matrix.shape[0] else 1
    for first in range(0, ITERATIONS, ahead):
        gram = x @ x.T
        total = factor = _polynomial(gram)
        for _ in range(first + 1, min(first + ahead, ITERATIONS)):
            gram = factor @ gram @ factor
            factor = _polynomial(gram)
            total = factor @ total
        x = total @ x
    return x


def _polynomial(gram: Tensor) -> Tensor:
    a, b, c = QUINTIC
    made = torch.addmm(gram, gram, gram, beta=b, alpha=c)
    made.diagonal().add_(a)
    return made


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.dim() >= 2 and min(len(parameter), parameter[0].numel()) >= THINNEST


class Muon(torch.optim.Optimizer):
    """Matrices of at least 64 rows and columns follow their orthogonalised momentum, all else AdamW.

    Every direction of a layer then moves by the same amount, those with small gradients, too (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon). A filter bank (out, in, height, width) is a matrix of `out` rows. Steps are as
    large as Adam's, so that both share a learning rate (Liu et al. 2025, arXiv:2502.16982, eq. 4). Jordan et al. leave first
    and last layers and embeddings to AdamW; here that is so only where they are thin.

    `torch.optim.Muon` (2.13) takes matrices only, no filter banks, and wants a second optimiser for the rest. It works in
    bfloat16, where a result is 1.5 % off and here 0.002 %. For edm's 100 matrices on one core it takes as long as this where the
    CPU has bfloat16, 4 times as long where it has AVX-512 alone, 22 times with AVX2 (``benchmarks/muon.py``).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay."""
        (group,) = self.param_groups
        for p in group["params"]:
            if p.grad is None:
                continue
            p.mul_(1 - group["lr"] * group["weight_decay"])
            if _is_matrix(p):
                self._follow(p, p.grad, group["lr"])
            else:
                self._adam(p, p.grad, group["lr"], *group["betas"])

    def _follow(self, p: Tensor, gradient: Tensor, lr: float) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = torch.lerp(gradient, momentum, MOMENTUM)
        direction = orthogonalise(ahead.reshape(len(p), -1))
        p.sub_(direction.reshape(p.shape), alpha=0.2 * max(direction.shape) ** 0.5 * lr)

    def _adam(self, p: Tensor, gradient: Tensor, lr: float, beta1: float, beta2: float) -> None:
        state = self.state[p]
        if not state:
            state.update(step=torch.zeros(()), mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        mean, square = state["mean"].lerp_(gradient, 1 - beta1), state["square"].lerp_(gradient.square(), 1 - beta2)
        count = state["step"].item()
        deviation = (square / (1 - beta2**count)).sqrt_().add_(1e-8)
        p.addcdiv_(mean, deviation, value=-lr / (1 - beta1**count))
