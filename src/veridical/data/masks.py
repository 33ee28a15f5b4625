"""Label images -> class numbers without gaps, and back."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.core.arrays import NO_LABEL
from veridical.core.errors import InputError
from veridical.data.readers.labelset import BLACK, LabelArrays, LabelSet
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices

OTHER = 255  # "no label" or "outside" by convention, unless a mask is 0 and 255 only
MOST_CLASSES = 64
FEW_MASKS, MOST_PIXELS = 256, 2**30  # of more pixels than that, so many masks decide


class PartLabels(NamedTuple):
    """Data of which only a part has labels.

    Attributes
    ----------
    tiles : int
        So many training tiles keep their labels, spread evenly; 0: all that have some.
    share : float
        Of the tiles of a batch that are drawn where there are labels; the others lie anywhere.
    optional : bool
        Whether data without any label image will do.
    """

    tiles: int = 0
    share: float = 0.0
    optional: bool = False


def fit_mask_values(
    spec: str, slices: Slices, images: Sequence[int], read: Callable[[int], np.ndarray]
) -> tuple[int, ...]:
    """Stored value of each class, from the masks of `images` (of a very large set from 256 of them, spread evenly).

    A value below 255 is the number of its class, so there are 1 + max classes. 255 is a class of its own, the last one:
    in masks of 0 and 255 it is class 1, in others it stands for what has no label, such as the outside of a core.
    Where that would make more than 64 classes, or label images are painted in colours, the values that occur are the classes,
    in their order.

    Raises
    ------
    InputError
        If there is one class only, or there are too many: grey levels, numbers of single objects, blended colours.
    """
    pixels = sum(height * width for height, width in (slices.shapes[i] for i in images))
    n = len(images) if pixels <= MOST_PIXELS else min(len(images), FEW_MASKS)
    few = [images[k] for k in np.unique(np.linspace(0, len(images) - 1, n).astype(int))]
    found: set[int] = set()
    for i in few:
        here = np.unique(read(i)).tolist()
        found.update(here)
        if len(found) > MOST_CLASSES:
            what = f"values up to {max(found)}; number the classes 0, 1, 2 ..."
            if max(found) >= BLACK:
                what = "colours, as blending or lossy compression makes them; export them without, as PNG"
            raise InputError(
                f"{spec}: the label images hold more than {MOST_CLASSES} {what} (that of {slices.names[i]} has {len(here)} "
                "of them)"
            )
    seen = sorted(found)
    if len(seen) < 2:
        raise InputError(f"{spec}: the label images hold {_said(seen[0])} only; there is nothing to tell apart")
    dense = (
        *range(max((value for value in seen if value < OTHER), default=0) + 1),
        *([OTHER] if OTHER in found else []),
    )
    return tuple(seen) if seen[-1] > OTHER or len(dense) > MOST_CLASSES else dense


def explain(values: Sequence[int]) -> str | None:
    """A note on classes whose numbers are not their stored values."""
    if is_plain(values) or tuple(values) == (0, OTHER):
        return None
    said = ", ".join(f"{k} is {_said(value)}" for k, value in enumerate(values))
    return f"the classes of the label images are numbered in the order of their values: {said}"


def is_plain(values: Sequence[int]) -> bool:
    """Whether every value is the number of its class, but for 255 as the last of more than two."""
    plain = values[:-1] if len(values) > 2 and values[-1] == OTHER else values
    return tuple(plain) == tuple(range(len(plain)))


def has_no_label(values: Sequence[int]) -> bool:
    """Whether the last class says that a pixel has no label: stored 255 beside class numbers, but of masks of 0 and 255."""
    return len(values) > 2 and values[-1] == OTHER and is_plain(values)


def classes_of(values: Sequence[int]) -> int:
    """Number of classes but for that of no label."""
    return len(values) - has_no_label(values)


def labelled_only(ranks: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Class numbers with `NO_LABEL` where the class is that of no label."""
    return np.where(ranks == len(values) - 1, NO_LABEL, ranks).astype(np.uint8) if has_no_label(values) else ranks


def _said(value: int) -> str:
    return f"the colour #{value - BLACK:06x}" if value >= BLACK else f"the value {value}"


def rank(values: np.ndarray, classes: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """Class numbers, uint8, of label values (N, H, W); the inverse of `stored`.

    Raises
    ------
    InputError
        If a value is none of `classes`; `names` says whose label images these are.
    """
    known = np.asarray(classes)
    found = np.searchsorted(known, values).clip(max=len(known) - 1)
    strange = known[found] != values
    if strange.any():
        where = tuple(np.argwhere(strange)[0])
        raise InputError(
            f"{names[where[0]]}: its label image holds {_said(int(values[where]))}, but the classes are "
            f"{', '.join(_said(value).removeprefix('the value ') for value in classes)}; correct it or leave the image out"
        )
    return found.astype(np.uint8)


def stored(classes: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Label values that class numbers have; the inverse of `rank`."""
    top = max(values, default=0)
    return np.array(values, np.uint8 if top <= 255 else np.uint16 if top < BLACK else np.int32)[classes]


def paint(values: np.ndarray) -> np.ndarray:
    """The pixels of a file that holds these label values (..., H, W): as they are, or colours, uint8 (..., H, W, 3)."""
    if values.dtype != np.int32:
        return values
    return np.stack([(values >> shift).astype(np.uint8) for shift in (16, 8, 0)], -1)


def open_labels(spec: str | Path, values: Sequence[int] | None = None) -> Slices:
    """Open label images that come by themselves.

    Parameters
    ----------
    spec : str or Path
        What `veridical.data.readers.open.open_slices` opens.
    values : sequence of int, optional
        The stored value of each class, where they are known: they tell whether colours are the classes.

    Returns
    -------
    Slices
        Whose pixels are label values, see `veridical.data.readers.labelset.LabelSet`.
    """
    slices = open_slices(spec)
    coloured = None if values is None else max(values) >= BLACK
    if slices.paths:
        return replace(slices, read=LabelSet(slices.paths, coloured=coloured))
    if any("palette" in note for note in slices.notes):
        raise InputError(f"{spec}: is a stack of label images with a palette; save each as a file of its own")
    names = [str(spec)] if len(slices) == 1 else [f"{spec}: {name}" for name in slices.names]
    return replace(slices, read=LabelArrays(slices.read, names, bool(coloured)))


def foreground(values: np.ndarray) -> np.ndarray:
    """Where label values (H, W) are neither 0 nor black."""
    return (values != 0) & (values != BLACK)
