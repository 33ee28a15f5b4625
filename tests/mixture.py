"""A mixture of Gaussians in the plane at every place of a map: its denoiser and its density are known."""

import math

import numpy as np
import torch

MEANS = torch.tensor([[0.9, 0.1], [-0.5, 0.7], [-0.3, -0.8]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
STD = 0.15


def _logits(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Log density of each component and its weight at x (N, 2, H, W): shape (N, 3, H, W)."""
    variance = STD**2 + sigma.reshape(-1, 1, 1, 1) ** 2
    square = sum((x[:, None, k] - MEANS[:, k].to(x).reshape(1, 3, 1, 1)) ** 2 for k in range(2))
    return WEIGHTS.to(x).log().reshape(1, 3, 1, 1) - square / (2 * variance) - (2 * math.pi * variance).log()


def denoise(x, sigma, cond=None):
    """E[x0 | x], shape (N, 2, H, W)."""
    share = _logits(x, sigma).softmax(1)
    mean = torch.einsum("nkyx,kc->ncyx", share, MEANS.to(x))
    gain = STD**2 / (STD**2 + sigma.reshape(-1, 1, 1, 1) ** 2)
    return gain * x + (1 - gain) * mean


def log_density(x):
    """Nats of each map (N,)."""
    return _logits(x, torch.zeros(len(x), dtype=x.dtype)).logsumexp(1).sum((1, 2))


def exact(n: int, size: int, seed: int = 0) -> torch.Tensor:
    """Samples (n, 2, size, size)."""
    rng = np.random.default_rng(seed)
    which = rng.choice(3, (n, size, size), p=WEIGHTS.numpy())
    points = MEANS.numpy()[which] + STD * rng.standard_normal((n, size, size, 2))
    return torch.from_numpy(points).permute(0, 3, 1, 2)


def moved(x: torch.Tensor) -> list[torch.Tensor]:
    """Four projections of the points of maps, each flat."""
    angles = torch.arange(4) * math.pi / 4
    return [(x[:, 0] * a.cos() + x[:, 1] * a.sin()).flatten() for a in angles]
