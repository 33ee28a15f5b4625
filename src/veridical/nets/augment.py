"""Augmentation of what a discriminator sees, so that a GAN can be trained on few images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch
from veridical.core.device import average_over_processes
from veridical.core.errors import check_known
from veridical.nets.whole import own_rows, whole_batch

MODES = ("none", "fixed", "adaptive")


class Augmentation(nn.Module):
    """The same random, differentiable changes of real and generated images, in front of the discriminator only.

    Those that keep a cross-section a cross-section: turns and flips, shifts, slight enlargement, brightness, contrast and a
    blank square. The generator does not learn them as long as the unchanged image stays the most frequent one or the change
    can be told apart (Karras et al. 2020, section 2.2).

    Parameters
    ----------
    mode : {"none", "fixed", "adaptive"}
        ``fixed`` applies each change with one probability throughout (Zhao et al. 2020, arXiv:2006.10738, with 1);
        ``adaptive`` begins with none and raises the probability while the discriminator overfits (Karras et al. 2020,
        arXiv:2006.06676).
    probability : float
        Of each change, for ``fixed``.
    target : float
        Overfitting ``r_t = E[sign(D(real))]`` that ``adaptive`` aims at (its eq. 1).
    together : int
        Rows of a batch that are changed alike: those that `veridical.nets.equalised.minibatch_deviation` compares with
        `group`. Were each changed by itself, one image drawn again and again would look like as many different ones.
    tiles : int
        Real images in which the probability could go from 0 to 1. The paper's 500,000 is for runs of 25 million.
    """

    def __init__(
        self, mode: str, probability: float = 0.7, target: float = 0.6, tiles: int = 20_000, together: int = 1
    ) -> None:
        super().__init__()
        check_known("augmentation", mode, MODES)
        self.mode, self.target, self.tiles, self.together = mode, target, tiles, together
        self.probability: Tensor
        self.register_buffer("probability", torch.tensor(probability if mode == "fixed" else 0.0))

    def forward(self, image: Tensor, batch: Batch, beside: Tensor | None = None) -> Tensor:
        """Change images (N, C, H, W), standardised as a rule; random numbers come from `batch`.

        Maps `beside` them, such as masks, are put in front of their channels and move with them; each pixel has the value of
        the nearest, so that no class number, nor share of a class, comes in between.
        """
        if self.mode == "none":
            return image if beside is None else torch.cat([beside, image], 1)
        chance, amount = (self._alike(batch.uniform(k)) for k in (6, 10))
        on = (chance < self.probability).to(image.dtype)
        grid = _grid(image, on, amount)
        changed = _grey(_moved(image, grid, "bilinear"), on, amount)
        if beside is not None:
            changed = torch.cat([_moved(beside, grid, "nearest"), changed], 1)
        return _blank(changed, on, amount)

    def _alike(self, noise: Tensor) -> Tensor:
        """Rows of noise, of which those that are compared are one and the same."""
        if self.together == 1:
            return noise
        noise = whole_batch(noise)
        count = math.gcd(len(noise), self.together)
        return own_rows(noise[: len(noise) // count].repeat(count, 1))

    @torch.no_grad()
    def adapt(self, real_logit: Tensor, batch: Batch) -> None:
        """Raise or lower the probability after a step of the discriminator on the real images of `batch`."""
        if self.mode != "adaptive":
            return
        overfitting = average_over_processes(real_logit.sign().mean())
        step = torch.sign(overfitting - self.target) * batch.total / self.tiles
        # Above 0.8 changes begin to leak into what is generated (Karras et al. 2020, figure 3).
        self.probability.add_(step).clamp_(0, 0.8)


def _moved(image: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(image, grid, mode=mode, padding_mode="reflection", align_corners=False)


def _grid(image: Tensor, on: Tensor, amount: Tensor) -> Tensor:
    """Where each pixel comes from: turn, flip, shift by up to an eighth and enlarge by up to a quarter, in one resampling."""
    quarter = (amount[:, 0] * 4).floor() * on[:, 0] * torch.pi / 2
    mirror = 1 - 2 * (amount[:, 1] < 0.5) * on[:, 0]
    zoom = 1 - 0.2 * amount[:, 2] * on[:, 1]
    shift = (amount[:, 3:5] * 2 - 1) / 4 * on[:, 2:3]
    if image.shape[-1] > 1:  # whole pixels, so that a shift alone does not blur
        shift = (shift * image.shape[-1] / 2).round() * 2 / image.shape[-1]
    cosine, sine = quarter.cos() * zoom, quarter.sin() * zoom
    rows = [torch.stack([cosine * mirror, -sine, shift[:, 0]], 1), torch.stack([sine * mirror, cosine, shift[:, 1]], 1)]
    return F.affine_grid(torch.stack(rows, 1), list(image.shape), align_corners=False)


def _grey(image: Tensor, on: Tensor, amount: Tensor) -> Tensor:
    """Change brightness by up to half a deviation, contrast by up to a third."""
    brightness = (amount[:, 5] * 2 - 1) * 0.5 * on[:, 3]
    contrast = torch.exp((amount[:, 6] * 2 - 1) * 0.4 * on[:, 4])
    mean = image.mean((1, 2, 3), keepdim=True)
    return (image - mean) * contrast.reshape(-1, 1, 1, 1) + mean + brightness.reshape(-1, 1, 1, 1)


def _blank(image: Tensor, on: Tensor, amount: Tensor) -> Tensor:
    """Set a square of up to half the side to 0, which is the mean grey level."""
    size = image.shape[-1]
    place = torch.arange(size, device=image.device)
    half = (amount[:, 7] * size / 4 * on[:, 5]).reshape(-1, 1)
    rows = (place - amount[:, 8:9] * size).abs() < half
    columns = (place - amount[:, 9:10] * size).abs() < half
    return image * ~(rows[:, None, :, None] & columns[:, None, None, :])
