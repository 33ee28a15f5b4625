"""The usual augmentation of images with labels, beside turns and flips: elastic deformation and grey jitter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KNOTS = 4  # a side of the coarse grid of displacements
BEND = 1 / 32  # deviation of a displacement, in sides of the image


def elastic(image: Tensor, mask: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Move pixels by displacements that are random on a coarse grid and smooth between (Ronneberger et al. 2015, section 3.1).

    Parameters
    ----------
    image : Tensor, shape (N, C, H, W)
    mask : Tensor of int64, shape (N, H, W)
        Moves with it; each pixel has the class of the nearest.
    noise : Tensor, shape (N, 2, KNOTS, KNOTS)
        Standard normal: displacements in 1/32 of the side.
    """
    field = F.interpolate(noise * 2 * BEND, image.shape[-2:], mode="bicubic", align_corners=True)
    still = torch.eye(2, 3, dtype=image.dtype, device=image.device).expand(len(image), -1, -1)
    grid = F.affine_grid(still, list(image.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    moved = F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    labels = F.grid_sample(
        mask.unsqueeze(1).to(image.dtype), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    return moved, labels[:, 0].round().long()


def jitter(image: Tensor, amount: Tensor) -> Tensor:
    """Change the contrast of images in [0, 1] by up to a tenth and their brightness by up to 0.05; amount (N, 2) in [0, 1)."""
    contrast, brightness = (0.2 * amount - 0.1).reshape(-1, 2, 1, 1, 1).unbind(1)
    return ((image - 0.5) * (1 + contrast) + 0.5 + brightness / 2).clamp(0, 1)
