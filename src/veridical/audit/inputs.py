"""What the audit takes: images or files, made comparable, or refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.errors import InputError

FEWEST = 8


class Side(NamedTuple):
    """One set: images (N, C, H, W) in [0, 1], a name and the label of a slice for each."""

    images: np.ndarray
    names: list[str]
    groups: np.ndarray


def open_sides(real, synth, train, source, field: str | None, size: int | None) -> dict[str, Side]:
    """The sets by name; all in the intensity window of the real images."""
    given = {"real": real, "synth": synth, "train": train, "source": source}
    given = {name: each for name, each in given.items() if each is not None}
    if len({isinstance(each, (str, Path)) for each in given.values()}) > 1:
        raise InputError("give all sets as files or all as arrays; they must share one intensity window")
    sides, window = {}, None
    for name, each in given.items():
        if isinstance(each, (str, Path)):
            images, names, window = _read(each, window, size)
        else:
            images = _array(each, name)
            names = [f"{k:06d}" for k in range(len(images))]
        sides[name] = Side(_cut(images, size, name), names, np.array([_group(n, field) for n in names]))
    return _comparable(sides)


def with_groups(side: Side, groups) -> Side:
    """The side with labels of the user's own."""
    if groups is None:
        return side
    if len(groups) != len(side.images):
        raise InputError(f"there are {len(side.images)} images but {len(groups)} group labels; give one label an image")
    return side._replace(groups=np.asarray(groups).astype(str))


def _read(spec, window, size: int | None):
    from veridical.images import read_images

    found = read_images(spec, window=window)
    if not size or found.images.shape[2:] == (size, size):
        return found.images, found.names, found.window
    # whole slices are cut into tiles side by side, named after their places
    tiles, names = [], []
    for image, name in zip(found.images, found.names, strict=True):
        for y in range(image.shape[1] % size // 2, image.shape[1] - size + 1, size):
            for x in range(image.shape[2] % size // 2, image.shape[2] - size + 1, size):
                tiles.append(image[:, y : y + size, x : x + size])
                names.append(f"{name}_y{y}x{x}")
    if not tiles:
        height, width = found.images.shape[2:]
        raise InputError(f"{spec}: images of {width} x {height} pixels hold no tile of {size} x {size}; lower --size")
    whole = min(found.images.shape[2:]) < 2 * size
    return np.stack(tiles), found.names if whole else names, found.window


def _array(images, name: str) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"{name} must have shape (N, C, H, W) with C = 1 or 3, not {images.shape}")
    if not np.isfinite(images).all():
        raise InputError(f"{name} holds NaN or infinite values; mend or leave out these images")
    if images.size and (images.min() < 0 or images.max() > 1):
        raise InputError(f"{name} must hold values in [0, 1]; scale them with an IntensityWindow first")
    return images


def _cut(images: np.ndarray, size: int | None, name: str) -> np.ndarray:
    """The middle of images that are larger than `size`."""
    if size is None or images.shape[2:] == (size, size):
        return images
    height, width = images.shape[2:]
    if min(height, width) < size:
        raise InputError(f"{name} has images of {width} x {height} pixels, smaller than {size}; lower --size")
    y, x = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(images[:, :, y : y + size, x : x + size])


def _group(name: str, field: str | None) -> str:
    from veridical.regions import group_of

    if field is None:
        return group_of(name)
    try:
        match = re.search(field, name)
    except re.error as error:
        raise InputError(f"--field {field} is no regular expression ({error}); write for example 'f\\d+'") from None
    if match is None:
        raise InputError(f"--field {field} finds nothing in the name {name}; say what its slice is called there")
    return match[0]


def _comparable(sides: dict[str, Side]) -> dict[str, Side]:
    real = sides["real"]
    if real.images.shape[1] == 3 and all(_is_grey(side.images) for side in sides.values()):
        sides = {name: side._replace(images=side.images[:, :1]) for name, side in sides.items()}
        real = sides["real"]
    for name, side in sides.items():
        called = {"real": "REAL", "synth": "SYNTH", "train": "the training data", "source": "the source"}[name]
        if name in ("real", "synth") and len(side.images) < FEWEST:
            raise InputError(f"{called} holds {len(side.images)} images; an audit needs at least {FEWEST}, better 100")
        if side.images.shape[1] < real.images.shape[1]:
            raise InputError(f"the real images are RGB and those of {called} grey; convert one set")
        if name != "synth" and side.images.shape[1] != real.images.shape[1]:
            raise InputError(f"the real images are grey and those of {called} RGB; convert one set")
        if name != "train" and side.images.shape[2:] != real.images.shape[2:]:
            (h, w), (height, width) = real.images.shape[2:], side.images.shape[2:]
            raise InputError(
                f"the real images have {w} x {h} pixels, those of {called} {width} x {height}; cut them to one size, "
                f"for example with --size {min(h, w, height, width)}"
            )
    synth = sides["synth"]
    if synth.images.shape[1] == 3 and real.images.shape[1] == 1 and _is_grey(synth.images):
        sides["synth"] = synth._replace(images=synth.images[:, :1])
    if "source" in sides:
        sides["source"] = _paired(sides["synth"], sides["source"])
    return sides


def _paired(synth: Side, source: Side) -> Side:
    """The source in the order of the synthetic images."""
    position = {name: k for k, name in enumerate(source.names)}
    alone = [name for name in synth.names if name not in position]
    if alone:
        raise InputError(
            f"the source has no image called {alone[0]}" + (f" and {len(alone) - 1} more" if len(alone) > 1 else "")
            + "; an edited image needs the file name of its source"
        )  # fmt: skip
    rows = [position[name] for name in synth.names]
    return Side(source.images[rows], list(synth.names), source.groups[rows])


def _is_grey(images: np.ndarray) -> bool:
    return images.shape[1] == 1 or bool((images == images[:, :1]).all())
