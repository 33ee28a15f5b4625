"""What the ControlNet of a pipeline is shown: pictures as they are, edges of images, or label images in colours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.data.colour import coloured
from veridical.data.hints import OF_IMAGES, hints_of_images
from veridical.data.images import channels_first
from veridical.data.masks import open_labels
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices
from veridical.data.window import window_of

LABELS = "labels"
KINDS = ("", *OF_IMAGES, LABELS)
Colours = dict[int, tuple[int, int, int]]

_COLOUR = re.compile(r"\s*(\d{1,9})\s*=\s*#?([0-9a-fA-F]{6})\s*")


def colours_of(text: str) -> Colours:
    """Label values and colours of ``1=#ff0000, 2=#00ff00``; an `InputError` for anything else."""
    found: Colours = {}
    for part in text.split(",") if text.strip() else ():
        match = _COLOUR.fullmatch(part)
        if match is None or int(match[1]) in found:
            raise InputError(f"colours={text} cannot be: write label values and colours, such as 1=#ff0000,2=#00ff00.")
        red, green, blue = bytes.fromhex(match[2])
        found[int(match[1])] = red, green, blue
    return found


def drawn_hints(kind: str, images: Images) -> Images:
    """White edges on black (N, 3, H, W) of images (N, C, H, W) in [0, 1], see `veridical.data.hints.hints_of_images`."""
    return coloured(hints_of_images(kind, images))


def painted(labels: NDArray[Any], colours: Mapping[int, tuple[int, int, int]], name: object) -> Images:
    """Label images (N, H, W) in colours, (N, 3, H, W) in [0, 1]; 0 is black unless it has another one.

    Raises
    ------
    InputError
        For a value without a colour.
    """
    known = {0: (0, 0, 0)} | dict(colours)
    values = np.array(sorted(known))
    if unknown := sorted(set(np.unique(labels).tolist()) - set(known)):
        raise InputError(
            f"{name}: the label value {unknown[0]} has no colour: add it, as in --set colours={unknown[0]}=#ff0000 (those that "
            "the ControlNet was trained on)."
        )
    table = np.array([known[value] for value in values.tolist()], np.float32) / np.float32(255)
    return np.ascontiguousarray(table[np.searchsorted(values, labels)].transpose(0, 3, 1, 2))


def read_hints(kind: str, colours: str, spec: str | Path, size: int) -> tuple[Images, list[str]]:
    """Hints (N, 3, size, size) in [0, 1] of images or of label images on disk, and their names.

    Raises
    ------
    InputError
        If they are of another size, or a picture has not 8 bits.
    """
    slices = open_labels(spec) if kind == LABELS else open_slices(spec)
    if any(tuple(shape) != (size, size) for shape in slices.shapes):
        raise InputError(f"{spec}: hints are made of images of {size} x {size} pixels: save them so.")
    found = np.stack([slices[k] for k in range(len(slices))])
    if kind == LABELS:
        return painted(found, colours_of(colours), spec), list(slices.names)
    if kind:
        return drawn_hints(kind, channels_first(window_of(slices).to_unit(found))), list(slices.names)
    if slices.dtype != np.uint8:
        raise InputError(f"{spec}: hints are pictures of 8 bits: save them so, or add --set hint=canny.")
    return coloured(channels_first(found.astype(np.float32) / np.float32(255))), list(slices.names)


def hints_of(kind: str, colours: str, images: Images, slices: Slices, numbers: list[int]) -> Images:
    """Hints of images (N, C, H, W) in [0, 1] that an edit begins with, or of the label images in ``masks/`` beside them."""
    if kind != LABELS:
        return drawn_hints(kind, images)
    return painted(np.stack([slices.mask(k) for k in numbers]), colours_of(colours), slices.names[numbers[0]])
