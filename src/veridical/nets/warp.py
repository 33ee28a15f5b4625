"""Augmentation that a denoiser is told of, so that it does not leak (Karras et al. 2022, arXiv:2206.00364, appendix F.2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from veridical.core.batch import Batch

NUMBERS = 5  # that say what was done to an image


def warp(image: Tensor, batch: Batch, chance: float) -> tuple[Tensor, Tensor]:
    """Enlarge, stretch and shift images at random, each with probability `chance`; flips and turns are those of tiles.

    Parameters
    ----------
    image : Tensor, shape (N, C, S, S)
    batch : Batch
        Where random numbers come from.
    chance : float

    Returns
    -------
    image : Tensor, shape (N, C, S, S)
    said : Tensor, shape (N, NUMBERS)
        What was done, in units of its deviation; zero is an image as it was.
    """
    on = (batch.uniform(3) < chance).to(image.dtype)
    said = batch.normal(NUMBERS).to(image.dtype) * on[:, [0, 1, 1, 2, 2]]
    return warped(image, said), said


def warped(image: Tensor, said: Tensor) -> Tensor:
    """Images (N, C, S, S) enlarged by ``2**(0.2 * said[:, 0])``, stretched and shifted.

    The next two numbers are the stretch along the first axis and along the diagonal, of area 1, as a symmetric matrix whose
    logarithm to the base 2 is 0.2 times theirs; the last two the shift to the right and down in eighths of the image. What lies
    outside is reflected.
    """
    scale, straight, aslant, right, down = said.unbind(1)
    generator = torch.stack([straight, aslant, aslant, -straight], 1).reshape(-1, 2, 2)
    one = torch.eye(2, dtype=image.dtype, device=image.device)
    # From places in the new image to places in the old one, which reach from -1 to 1.
    back = torch.linalg.matrix_exp(-0.2 * math.log(2) * (generator + scale.reshape(-1, 1, 1) * one))
    shift = torch.stack([right, down], 1) / 4
    theta = torch.cat([back, -(back @ shift[:, :, None])], 2)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    moved = F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return torch.where((said != 0).any(1).reshape(-1, 1, 1, 1), moved, image)
