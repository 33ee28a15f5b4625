"""Preference optimisation of a denoiser (Diffusion-DPO, Wallace et al. 2023, arXiv:2311.12908)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from veridical.conditions.condition import Arrays
from veridical.core.arrays import Images
from veridical.core.batch import Batch, mix
from veridical.core.errors import InputError
from veridical.diffusion.formulations import FORMULATIONS
from veridical.models.diffusion.denoiser import Denoiser
from veridical.nets.lora import without_lora
from veridical.pretrained.model import Pretrained
from veridical.runs.adapted import PART, inner_of
from veridical.training.loop import Losses


@dataclass(frozen=True)
class Pairs:
    """Images of which one is preferred to another: the first half of the rows of a batch, and the second.

    Attributes
    ----------
    images : ndarray of float32, shape (N, C, H, W), values in [0, 1]
    cond : dict of arrays
        A row an image.
    better, worse : ndarray of int, shape (P,)
        Numbers of the images of each pair.
    kept : dict
        Files of the run folder.
    """

    images: Images
    cond: Arrays
    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    kept: dict[str, str] = field(default_factory=dict)

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """See `veridical.conditions.delivery.Feed`."""
        which = np.random.default_rng([mix(seed, 6), step]).integers(len(self.better), size=n // 2)
        rows = np.concatenate([self.better[which], self.worse[which]])[start:stop]
        return self.images[rows], {name: values[rows] for name, values in self.cond.items()}

    def files(self) -> dict[str, str]:
        """See `veridical.conditions.delivery.Feed`."""
        return self.kept


def paired(ratings: NDArray[np.float64], margin: float = 0.25) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the better and of the worse image of every pair whose ranks lie far enough apart.

    Parameters
    ----------
    ratings : ndarray, shape (N,)
        NaN for images that have none.
    margin : float
        Share of all ranks that lies between the two, at least.

    Raises
    ------
    InputError
        If all ratings are equal, or fewer than four are there.
    """
    known = np.flatnonzero(np.isfinite(ratings))
    if len(known) < 4 or np.ptp(ratings[known]) == 0:
        raise InputError(
            f"{len(known)} images have ratings, {len(np.unique(ratings[known]))} of them different: give at least four, not all "
            "equal."
        )
    order = known[np.argsort(ratings[known], kind="stable")]
    low, high = np.triu_indices(len(order), max(1, round(margin * len(order))))
    differ = ratings[order[low]] < ratings[order[high]]
    return order[high][differ], order[low][differ]


def preference_losses(model: nn.Module, beta: float, keep: float) -> Losses:
    """Losses in place of those of a model with low-rank changes, for `Pairs` (eq. 14).

    Both images of a pair have the same noise. ``beta`` is the paper's beta times T, on mean squared errors in units of what the
    network predicts; ``keep`` weighs the mean square of what has changed of the predictions, in place of a distance of
    distributions.

    Parameters
    ----------
    model : nn.Module
    beta, keep : float
    """
    whole: Any = model
    inner = inner_of(model)
    net = inner.unet if isinstance(inner, Pretrained) else inner.net

    def losses(batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            image = batch.image.expand(-1, 3, -1, -1) if isinstance(inner, Pretrained) else batch.image
            z = whole.encode(image)
        half = len(z) // 2
        x, sigma, unit = _noised(inner, z, batch, half)
        with torch.no_grad(), without_lora(net):
            before = (whole.denoise(x, sigma, batch.cond) - z) / unit
        now = (whole.denoise(x, sigma, batch.cond) - z) / unit
        gain = now.square().flatten(1).mean(1) - before.square().flatten(1).mean(1)
        loss = -F.logsigmoid(-beta * (gain[:half] - gain[half:])).mean()
        yield PART, loss + keep * (now - before).square().mean()

    return losses


def _noised(inner: Denoiser | Pretrained, z: Tensor, batch: Batch, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy images, their levels (N,), and what the network's output is worth; the same noise for both of a pair."""
    noise = batch.normal(*z.shape[1:])[:half].repeat(2, 1, 1, 1)
    if isinstance(inner, Pretrained):
        levels = inner.schedule.levels
        sigma = levels[(batch.uniform()[:half].cpu() * len(levels)).long()].to(z.dtype).to(z.device).repeat(2)
        x = z + sigma.reshape(-1, 1, 1, 1) * noise
        return x, sigma, inner.unit(sigma)
    sigma = FORMULATIONS[inner.law.formulation].law(batch.normal()[:half], inner.law.span).repeat(2)
    x = z + sigma.reshape(-1, 1, 1, 1) * noise
    return x, sigma, inner.precondition(x, sigma, batch.cond).unit
