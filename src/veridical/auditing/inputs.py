"""What the audit takes: images or files, made comparable, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from veridical.core.arrays import Groups, Images, ImageSet
from veridical.core.errors import InputError
from veridical.core.parse import found_by
from veridical.data.alike import common_size, cut_images
from veridical.data.focus import undone
from veridical.data.images import ImageSet as Opened
from veridical.data.images import read_images

if TYPE_CHECKING:
    from veridical.data.window import IntensityWindow

FEWEST = 8
CALLED = {"real": "REAL", "synth": "SYNTH", "train": "the training data", "source": "the source"}


class Side(NamedTuple):
    """One set: images (N, C, H, W) in [0, 1], a name and the label of a slice for each; their pixel size in micrometres, if files
    state it."""

    images: np.ndarray
    names: list[str]
    groups: np.ndarray
    pixel_size: float | None = None


def open_sides(
    real: ImageSet | Opened,
    synth: ImageSet | Opened,
    train: ImageSet | None,
    source: ImageSet | Opened | None,
    field: str | None,
    size: int | None,
) -> dict[str, Side]:
    """The sets by name; all in the intensity window of the real images, and cut to one size."""
    asked = {"real": real, "synth": synth, "train": train, "source": source}
    given = {name: each for name, each in asked.items() if each is not None}
    if len({isinstance(each, (str, Path, Opened)) for each in given.values()}) > 1:
        raise InputError("give all sets as files or all as arrays; they must share one intensity window")
    opened: dict[str, tuple[Images, list[str]]] = {}
    window: IntensityWindow | None = None
    pixel_sizes: dict[str, float | None] = {}
    for name, each in given.items():
        if isinstance(each, (str, Path, Opened)):
            found = each if isinstance(each, Opened) else read_images(each, window=window)
            opened[name], window, pixel_sizes[name] = (found.images, found.names), found.window, found.pixel_size
        else:
            images = _array(each, name)
            opened[name] = images, [f"{k:06d}" for k in range(len(images))]
    size = size or common_size({name: images.shape[2:] for name, (images, _) in opened.items()})
    sides = {}
    for name, (images, names) in opened.items():
        if name == "synth" and source is None and isinstance(synth, (str, Path)) and window is not None:
            images, names, *_ = undone(synth, Opened(images, names, window, None), size)
        if size and name != "train":  # copies are searched for in whole training images
            images, names = cut_images(images, names, size, CALLED[name])
        labels = np.array([_group(n, field, needed=name == "real") for n in names])
        sides[name] = Side(images, names, labels, pixel_sizes.get(name))
    return _comparable(sides)


def with_groups(side: Side, groups: Groups | None) -> Side:
    """The side with labels of the user's own."""
    if groups is None:
        return side
    if len(groups) != len(side.images):
        raise InputError(f"there are {len(side.images)} images but {len(groups)} group labels; give one label an image")
    return side._replace(groups=np.asarray(groups).astype(str))


def _array(images: ImageSet, name: str) -> Images:
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"{name} must have shape (N, C, H, W) with C = 1 or 3, not {images.shape}")
    if not np.isfinite(images).all():
        raise InputError(f"{name} holds NaN or infinite values; mend or leave out these images")
    if images.size and (images.min() < 0 or images.max() > 1):
        raise InputError(f"{name} must hold values in [0, 1]; scale them with an IntensityWindow first")
    return images


def _group(name: str, field: str | None, needed: bool) -> str:
    from veridical.data.split import group_of

    if field is None:
        return group_of(name)
    found = found_by("--field", field, name)
    if found is None and needed:
        raise InputError(f"--field {field} finds nothing in the name {name}; say what its slice is called there")
    return group_of(name) if found is None else found


def _comparable(sides: dict[str, Side]) -> dict[str, Side]:
    real = sides["real"]
    if real.images.shape[1] == 3 and all(_is_grey(side.images) for side in sides.values()):
        sides = {name: side._replace(images=side.images[:, :1]) for name, side in sides.items()}
        real = sides["real"]
    for name, side in sides.items():
        called = CALLED[name]
        if name in ("real", "synth") and len(side.images) < FEWEST:
            raise InputError(f"{called} holds {len(side.images)} images; an audit needs at least {FEWEST}, better 100")
        if side.images.shape[1] < real.images.shape[1]:
            raise InputError(f"the real images are RGB and those of {called} grey; convert one set")
        if name != "synth" and side.images.shape[1] != real.images.shape[1]:
            raise InputError(f"the real images are grey and those of {called} RGB; convert one set")
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
    return Side(source.images[rows], list(synth.names), source.groups[rows], source.pixel_size)


def _is_grey(images: np.ndarray) -> bool:
    return images.shape[1] == 1 or bool((images == images[:, :1]).all())
