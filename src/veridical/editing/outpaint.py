"""Outpainting: what may lie beyond the borders of an image, by inpainting one margin after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.editing.edit import Edited, Given
from veridical.editing.inpaint import heard, paint
from veridical.editing.settings import Margins
from veridical.models.contract import Denoising


def outpaint(
    model: Denoising,
    images: Images,
    given: Given,
    settings: Margins,
    *,
    size: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """Draw margins around images; see `veridical.editing.edit.Apply`.

    A margin is drawn with half a tile of the image beside it, first left and right, then above and below with the corners. A
    wide one is drawn at once, in overlapping tiles (Bar-Tal et al. 2023, arXiv:2302.08113): nothing is repeated that errors could
    add up in.
    """
    n, (height, width) = len(images), images.shape[2:]
    margins = [("left", 3, 0), ("right", 3, 1), ("top", 2, 0), ("bottom", 2, 1)]
    left, right, top, bottom = (getattr(settings, name) for name, _, _ in margins)
    if not left + right + top + bottom:
        raise InputError("outpaint was given no margin: set left, right, top or bottom, in pixels.")
    check_cost("the larger image", nbytes=16 * n * images.shape[1] * (height + top + bottom) * (width + left + right))
    numbers = range(n) if numbers is None else numbers
    cond, made = heard(model, given, n, seed, numbers), images
    for turn, (name, axis, end) in enumerate(margins):
        margin: int = getattr(settings, name)
        if margin:
            made, mask = _widened(made, margin, axis, end)
            made = paint(model, made, mask, cond, settings, size=size, seed=seed + turn, numbers=numbers, quiet=quiet)
    edited = Edited(made, origin=(top, left))
    return Edited(made, mask=~edited.placed(np.ones((n, height, width), bool)), origin=edited.origin)


def _widened(images: Images, margin: int, axis: int, end: int) -> tuple[Images, np.ndarray]:
    """Images with a margin at one end of an axis, for now mirrored, and where it is."""
    sides = [(0, 0)] * 4
    sides[axis] = (0, margin) if end else (margin, 0)
    mask = np.pad(np.zeros((len(images), *images.shape[2:]), bool), [sides[0], *sides[2:]], constant_values=True)
    return np.pad(images, sides, mode="symmetric"), mask
