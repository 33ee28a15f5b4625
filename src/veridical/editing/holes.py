"""Holes in images: what masks may be, and the surroundings that are looked at to fill them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from veridical.core.arrays import Images
from veridical.core.errors import InputError


def checked_mask(image: Images, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask for each image (N, H, W); or an `InputError` for what leaves nothing to fill or nothing to go by."""
    mask = np.asarray(mask, bool)
    lost: NDArray[np.bool_] = np.asarray(np.isnan(image).any(axis=1))
    if mask.shape[-2:] != image.shape[2:]:
        raise InputError(
            f"the mask has {mask.shape[-1]} x {mask.shape[-2]} pixels but the image {image.shape[3]} x {image.shape[2]}: "
            "draw the mask on the image."
        )
    mask = np.broadcast_to(mask, lost.shape)
    for one, gone in zip(mask, lost, strict=True):
        if one.all() or not one.any():
            raise InputError(
                f"the mask marks {'all' if one.all() else 'no'} pixels: mark those to fill, and only those."
            )
        if (one | gone).all():
            raise InputError("the mask marks all pixels that were measured: mark those to fill, and only those.")
    return mask


def filled(
    image: Images,
    mask: NDArray[np.bool_],
    size: int | None,
    draw: Callable[[int, Images, NDArray[np.bool_]], Images],
) -> Images:
    """Images with what ``draw(number, images, mask)`` makes of the surroundings of holes, in the holes alone."""
    made = image.copy()
    for number, (rows, columns) in enumerate(surroundings(np.asarray(mask.any(0)), size)):
        hole, part = mask[:, rows, columns], made[:, :, rows, columns]
        made[:, :, rows, columns] = np.where(hole[:, None], draw(number, part, hole), part)
    return made


def surroundings(mask: NDArray[np.bool_], size: int | None) -> list[tuple[slice, ...]]:
    """Disjoint boxes around the holes of a mask that reach half a tile further and are no smaller than a tile."""
    if size is None:
        return [(slice(None), slice(None))]
    boxes = [
        tuple(_reach(side, length, size) for side, length in zip(box, mask.shape, strict=True)) for box in _boxes(mask)
    ]
    count = 0
    while count != len(boxes):
        count, covered = len(boxes), np.zeros_like(mask)
        for box in boxes:
            covered[box] = True
        boxes = _boxes(covered)
    return boxes


def _boxes(mask: NDArray[np.bool_]) -> list[tuple[slice, ...]]:
    boxes: list[tuple[slice, ...]] = ndimage.find_objects(ndimage.label(mask, np.ones((3, 3)))[0])
    return boxes


def _reach(side: slice, length: int, size: int) -> slice:
    start = max(0, min(side.start - size // 2, length - size))
    return slice(start, min(length, max(side.stop + size // 2, start + size)))
