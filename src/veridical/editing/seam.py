"""Where what was drawn meets what was there: the error of a decoder at a seam, continued beyond it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from veridical.core.arrays import Images

TURNS = 10  # that the membrane is relaxed


def continued(error: Images, seen: NDArray[np.bool_], width: int) -> Images:
    """An error that is known around holes, continued into them as a membrane that hangs on their border; 0 elsewhere.

    Added to what was decoded, it takes away a seam and a patch's own brightness (Pérez et al. 2003, "Poisson image editing",
    eq. 2, with the difference of both images on the border). Coarse parts of the error reach far into a hole, and noise
    hardly beyond the border.

    Parameters
    ----------
    error : ndarray of float32, shape (N, C, H, W)
        What was there minus what was decoded.
    seen : ndarray of bool, shape (N, 1, H, W)
        Where it is known.
    width : int
        Pixels around a hole that are looked at.
    """
    ring = seen & ndimage.binary_dilation(~seen, np.ones((1, 1, 3, 3)), iterations=width)
    weight = torch.from_numpy(np.broadcast_to(ring, error.shape).astype(np.float32))
    known = torch.from_numpy(np.where(ring, error, 0).astype(np.float32))
    membrane = pulled(known, weight)
    for _ in range(TURNS):  # far away pull-push is near enough to harmonic, at the border it is not
        around = F.pad(membrane, (1, 1, 1, 1), mode="replicate")
        mean = (around[..., 1:-1, 2:] + around[..., 1:-1, :-2] + around[..., 2:, 1:-1] + around[..., :-2, 1:-1]) / 4
        membrane = torch.where(weight > 0, known, mean)
    return np.where(seen, np.float32(0), membrane.numpy())


def pulled(values: Tensor, weight: Tensor) -> Tensor:
    """Maps that are known in places, filled smoothly: pull-push (Gortler et al. 1996, "The Lumigraph").

    Where little is known, a map has the value of a map of half the size, and that likewise.

    Parameters
    ----------
    values : Tensor, shape (N, C, H, W)
        Times their weights.
    weight : Tensor, shape (N, C, H, W), values in [0, 1]
        How well they are known; somewhere more than 0.
    """
    height, width = values.shape[2:]
    if max(height, width) == 1:
        return values / weight.clamp(min=1e-12)
    halves = [F.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False) for maps in (values, weight)]
    coarse = pulled(*halves)
    return values + (1 - weight) * F.interpolate(coarse, size=(height, width), mode="bilinear")
