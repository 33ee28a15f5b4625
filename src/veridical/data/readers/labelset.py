"""Label images of a set -> one label value a pixel: what palettes and colours mean is decided over all files together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.data.readers.labelfile import LabelFile, as_labels, orientation_of, read_labels
from veridical.data.readers.pixels import orient

# The label value of black where label images are painted; of another colour it is this + 65536 r + 256 g + b.
BLACK = 1 << 24
FEW = 256  # files that decide


def colour_codes(colours: np.ndarray) -> np.ndarray:
    """Label values, int32 (...), of colours, uint8 (..., 3)."""
    return BLACK + colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


class LabelSet:
    """Label images of files, read one at a time: ``labels(index)`` gives label values, an integer array (H, W).

    Numbers and indices of palettes are label values as they are. Where images are painted in colours, or palettes give one
    index different colours, colours are the label values of all (`colour_codes`).

    Parameters
    ----------
    files : sequence of Path or None
        The label image of each image.
    images : sequence of Path, optional
        The images; a label image is turned as its image is.
    shapes : sequence of (int, int), optional
        Height and width of the images.
    coloured : bool, optional
        Whether colours are the label values, where that is known.
    doubts : mapping, optional
        Why it is not clear which label image that of an image is, by the number of the image.
    """

    def __init__(
        self,
        files: Sequence[Path | None],
        images: Sequence[Path] = (),
        shapes: Sequence[tuple[int, int]] = (),
        coloured: bool | None = None,
        doubts: Mapping[int, str] | None = None,
    ) -> None:
        self._files, self._images, self._shapes, self._given = files, images, shapes, coloured
        self._doubts = doubts or {}

    def __call__(self, index: int) -> np.ndarray:
        """Label values of image `index`, which has a label image.

        Raises
        ------
        InputError
            If its label image cannot be read as one, or does not go with the others.
        """
        path = self._files[index]
        if index in self._doubts or path is None:
            raise InputError(self._doubts.get(index, f"image {index} has no label image"))
        file = read_labels(path)
        values = self._values(file, path)
        if not self._images:
            return orient(values, file.orientation)
        tag, shape = orientation_of(self._images[index]), tuple(self._shapes[index])
        own, alike = orient(values, file.orientation), orient(values, tag)
        if own.shape != shape and alike.shape == shape:
            return alike
        if own.shape == alike.shape == shape and not np.array_equal(own, alike):
            raise InputError(
                f"{self._images[index]}: its orientation tag is {tag} and that of its label image {file.orientation}, so that "
                "one may lie turned on the other; save both without such a tag"
            )
        return own

    def _values(self, file: LabelFile, path: Path) -> np.ndarray:
        coloured, table = self._meaning
        if not coloured:
            if file.pixels.ndim == 3:
                raise InputError(
                    f"{path}: is painted in colours, but the classes are numbers (or the indices of palettes); export it as "
                    "the others"
                )
            if file.palette is not None and table:
                for k in np.unique(file.pixels):
                    colour = tuple(file.palette[k]) if k < len(file.palette) else None
                    if table.get(int(k), colour) != colour:
                        raise InputError(f"{path}: its palette is another than that of the others; export them alike")
            return file.pixels
        if file.pixels.ndim == 3:
            return colour_codes(file.pixels)
        if file.pixels.max() > (255 if file.palette is None else len(file.palette) - 1):
            raise InputError(
                f"{path}: holds {file.pixels.max()}, which is no colour, but others are painted in colours"
            )
        greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
        return colour_codes(greys if file.palette is None else file.palette)[file.pixels]

    @cached_property
    def _meaning(self) -> tuple[bool, dict[int, tuple[int, ...]]]:
        """Whether colours are the label values; the colour of each index of a palette, if not."""
        if self._given is not None:
            return self._given, {}
        paths = [path for path in self._files if path is not None]
        few = [paths[k] for k in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), FEW)).astype(int))]
        numbers: dict[int, Path] = {}  # of files without palette
        painted: dict[int, Path] = {}
        table: dict[int, tuple[int, ...]] = {}
        shown: set[int] = set()
        clash = False
        for path in few:
            file = read_labels(path)
            if file.pixels.ndim == 3:
                painted |= dict.fromkeys(np.unique(colour_codes(file.pixels)).tolist(), path)
            elif file.palette is None:
                numbers |= dict.fromkeys(np.unique(file.pixels).tolist(), path)
            else:
                for k in np.unique(file.pixels[file.pixels < len(file.palette)]).tolist():
                    colour = tuple(file.palette[k].tolist())
                    clash |= table.setdefault(k, colour) != colour
                    shown.add(int(colour_codes(file.palette[k])))
        alike = not numbers or not table or set(numbers) <= set(table) or set(table) <= set(numbers)
        if not painted and not clash and alike:
            return False, table
        shown |= set(painted)
        strange = next((path for k, path in numbers.items() if k > 255 or BLACK + 65793 * k not in shown), None)
        if strange is not None:
            other = next(iter(painted.values()), None)
            what = f"{other} is painted in colours" if other else "others have a palette"
            raise InputError(
                f"{strange}: holds numbers, but {what}, and it is not clear which are alike; export them alike"
            )
        return True, {}


class LabelArrays:
    """Label values of images that come as arrays (a stack of labels); see `LabelSet`."""

    def __init__(self, read: Callable[[int], np.ndarray], names: Sequence[str], coloured: bool) -> None:
        self._read, self._names, self._coloured = read, names, coloured

    def __call__(self, index: int) -> np.ndarray:
        """Label values of slice `index`; an `InputError` if they are none."""
        values = as_labels(self._read(index), self._names[index])
        if values.ndim == 3:
            return colour_codes(values)
        return BLACK + 65793 * values.astype(np.int32) if self._coloured else values
