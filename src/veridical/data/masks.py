"""Label images -> class numbers without gaps at 255, and back."""

from collections.abc import Callable, Sequence

import numpy as np

from veridical.core.errors import InputError
from veridical.data.slices import Slices

OTHER = 255  # "no label" or "outside" by convention, unless a mask is 0 and 255 only
FEW_MASKS, MOST_CLASSES = 256, 64


def fit_mask_values(
    spec: str, slices: Slices, images: Sequence[int], read: Callable[[int], np.ndarray]
) -> tuple[int, ...]:
    """Stored value of each class, from at most 256 masks of `images`, spread evenly.

    A value below 255 is the number of its class, so there are 1 + max classes. 255 is a class of its own, the last one:
    in masks of 0 and 255 it is class 1, in others it stands for what has no label, such as the outside of a core.

    Raises
    ------
    InputError
        If there is one class only, or the numbers are grey levels and no class numbers.
    """
    few = [images[k] for k in np.unique(np.linspace(0, len(images) - 1, min(len(images), FEW_MASKS)).astype(int))]
    seen = np.unique(np.concatenate([np.unique(read(i)) for i in few]))
    top = int(seen[seen < OTHER].max(initial=0))
    values = (*range(top + 1), *([OTHER] if OTHER in seen else []))
    if len(seen) < 2:
        raise InputError(f"{spec}: the label images hold the value {seen[0]} only; there is nothing to tell apart")
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"{spec}: the label images hold values up to {top} (that of {slices.names[few[0]]} has "
            f"{len(np.unique(read(few[0])))} of them); number the classes 0, 1, 2 ..."
        )
    return values


def rank(stored: np.ndarray, values: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """Class numbers, uint8, of stored label values (N, H, W).

    Raises
    ------
    InputError
        If a value is none of `values`; `names` says whose label images these are.
    """
    table = np.full(256, OTHER, np.uint8)
    table[list(values)] = np.arange(len(values))
    found = table[stored]
    if (found == OTHER).any():
        where = tuple(np.argwhere(found == OTHER)[0])
        raise InputError(
            f"{names[where[0]]}: its label image holds {stored[where]}, but the classes are "
            f"{', '.join(map(str, values))}; correct it or leave the image out"
        )
    return found


def stored(classes: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """The values, uint8, that class numbers have in label images; the inverse of `rank`."""
    return np.array(values, np.uint8)[classes]
