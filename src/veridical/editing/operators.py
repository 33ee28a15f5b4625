"""What a measurement keeps of an image, as a pair (forward, pseudoinverse) of linear functions of tensors (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from veridical.core.errors import InputError


class Operator(NamedTuple):
    """A linear measurement ``y = forward(x)``; ``pseudoinverse(y)`` is the smallest image that gives y."""

    forward: Callable[[Tensor], Tensor]
    pseudoinverse: Callable[[Tensor], Tensor]


def hidden(mask: np.ndarray) -> Operator:
    """Pixels that are not measured.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W) or (N, 1, H, W)
        True where nothing is known.
    """
    known = torch.from_numpy(~np.asarray(mask, bool))

    def keep(x: Tensor) -> Tensor:
        return x * known.to(x.device)

    return Operator(keep, keep)


def rings(shape: tuple[int, int], centre: tuple[float, float], width: int = 16) -> Operator:
    """Ring artefacts: an unknown number is added on every circle about the axis of rotation.

    A detector column with an offset draws a ring; what is measured is the image without its radial profile. Of the profile
    only what is narrower than `width` is given up: the broad part is the sample (or beam hardening, which is no ring).

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    centre : (float, float)
        Column x and row y of the axis of rotation in pixels; it may lie outside the image.
    width : int
        Of rings, in pixels at most.
    """
    _check_width(width)
    y, x = np.mgrid[: shape[0], : shape[1]]
    # Rings lie between pixels: knots every half pixel.
    return _without_profile(2 * np.hypot(x - centre[0], y - centre[1]), 2 * width)


def streaks(shape: tuple[int, int], axis: str = "rows", width: int = 16) -> Operator:
    """Straight streaks: an unknown number is added to every row (or column).

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    axis : {"rows", "columns"}
        Streaks that run along rows, or along columns.
    width : int
        Of streaks, in pixels at most.
    """
    if axis not in ("rows", "columns"):
        raise InputError(f"streaks along {axis!r} cannot be: use rows or columns.")
    _check_width(width)
    return _without_profile(np.mgrid[: shape[0], : shape[1]][0 if axis == "rows" else 1].astype(float), width)


def _check_width(width: int) -> None:
    if width < 2:
        raise InputError(f"width={width} leaves no artefact to remove: give at least 2 pixels.")


def _without_profile(coordinate: np.ndarray, width: int) -> Operator:
    """Orthogonal projection of images onto the complement of narrow profiles in a coordinate (H, W).

    Profiles are piecewise linear between whole numbers. Those that are piecewise linear between multiples of `width` are
    broad; they lie in the span of the others, so that the difference of the projections onto both is a projection.
    """
    coordinate = coordinate - np.floor(coordinate.min())
    below, share = np.floor(coordinate).astype(int).ravel(), (coordinate % 1).ravel()
    bins = int(below.max()) + 2
    gram = np.zeros((bins, bins))
    for left, first in ((0, 1 - share), (1, share)):
        for right, second in ((0, 1 - share), (1, share)):
            np.add.at(gram, (below + left, below + right), first * second)
    knots = np.arange(0, bins - 1 + width, width)
    broad = np.maximum(0, 1 - np.abs(np.arange(bins)[:, None] - knots) / width)
    invert = (
        np.linalg.pinv(gram, hermitian=True) - broad @ np.linalg.pinv(broad.T @ gram @ broad, hermitian=True) @ broad.T
    )
    index, above, solve = torch.from_numpy(below), torch.from_numpy(share), torch.from_numpy(invert)

    def keep(x: Tensor) -> Tensor:
        # Neighbouring knots are nearly alike where circles are small: single precision would lose digits.
        kind = torch.float32 if x.device.type == "mps" else torch.float64
        at, far, matrix = index.to(x.device), above.to(x.device, kind), solve.to(x.device, kind)
        pixels = x.flatten(2).to(kind)
        sums = pixels.new_zeros(*x.shape[:2], bins)
        sums = sums.index_add(2, at, pixels * (1 - far)).index_add(2, at + 1, pixels * far)
        profile = sums @ matrix
        return (pixels - profile[..., at] * (1 - far) - profile[..., at + 1] * far).reshape(x.shape).to(x.dtype)

    return Operator(keep, keep)


def wedge(shape: tuple[int, int], degrees: float, direction: float = 90.0) -> Operator:
    """Missing wedge: no wave whose normal lies within a wedge was measured (limited-angle and electron tomography).

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image.
    degrees : float
        Full opening of the wedge: a tilt series from -60 to 60 degrees misses 60.
    direction : float
        Of its middle, in degrees from the x axis; 90 (along columns) where the beam runs along columns at zero tilt.
    """
    if not 0 < degrees < 180:
        raise InputError(f"a missing wedge of {degrees:g} degrees cannot be: give an angle between 0 and 180.")
    fy, fx = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    angle = np.rad2deg(np.arctan2(fy, fx))
    away = np.abs((angle - direction % 180 + 90) % 180 - 90)
    measured = (away >= degrees / 2) | ((fy == 0) & (fx == 0))
    # The highest frequency of an even number of pixels has no sign; images are real only if both signs are measured.
    mirrored = np.roll(measured[::-1, ::-1], (1, 1), (0, 1))
    kept = torch.from_numpy(measured | mirrored)

    def keep(x: Tensor) -> Tensor:
        image: Tensor = torch.fft.ifft2(torch.fft.fft2(x) * kept.to(x.device)).real
        return image

    return Operator(keep, keep)
