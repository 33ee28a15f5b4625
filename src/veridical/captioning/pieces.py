"""Which pictures are captioned: whole images, or the tiles of a grid, each with its label image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.images import channels_first, suffix_of
from veridical.data.names import without_side
from veridical.data.open import open_dataset
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices
from veridical.data.spec import parse_spec
from veridical.data.tables import stem
from veridical.data.window import IntensityWindow, fit_window

SAMPLE_PIXELS = 2_000_000  # that the window of whole images is fitted on


@dataclass(frozen=True)
class Piece:
    """One picture: a rectangle of slice `index`, called `file` in captions."""

    index: int
    top: int
    left: int
    height: int
    width: int
    file: str


@dataclass(frozen=True)
class Pieces:
    """The pictures of a set, those of a slice one after another."""

    slices: Slices
    window: IntensityWindow
    each: list[Piece]

    def __iter__(self) -> Iterator[tuple[Piece, np.ndarray, np.ndarray | None]]:
        """Each with its stored counts, (H, W) or (H, W, 3), and its label values (H, W), if it has them."""
        index, image, labels = -1, np.empty(0), None
        for piece in self.each:
            if piece.index != index:
                index, image = piece.index, self.slices[piece.index]
                labels = self.slices.mask(index) if self.masked(index) else None
            box = slice(piece.top, piece.top + piece.height), slice(piece.left, piece.left + piece.width)
            yield piece, image[box], None if labels is None else labels[box]

    @property
    def used(self) -> list[int]:
        """The slices that they are of."""
        return list(dict.fromkeys(piece.index for piece in self.each))

    def masked(self, index: int) -> bool:
        """Whether a slice has a label image."""
        return bool(self.slices.masked) and self.slices.masked[index]

    def unit(self, counts: np.ndarray) -> Images:
        """Stored counts as an image (C, H, W) in [0, 1]."""
        return channels_first(self.window.to_unit(counts[None]))[0]


def whole_images(spec: str) -> Pieces:
    """Every image of `spec` as it is; an `InputError` if they cannot be read."""
    slices = open_slices(spec)
    root = parse_spec(spec).path if slices.paths else Path()
    root = root if root.is_dir() else root.parent
    files = [path.relative_to(root).as_posix() for path in slices.paths] or slices.names
    few = np.unique(np.linspace(0, len(slices) - 1, min(len(slices), 64)).astype(int)).tolist()
    stride = max(1, round((sum(int(np.prod(slices.shapes[i])) for i in few) / SAMPLE_PIXELS) ** 0.5))
    try:
        window = fit_window([slices[i][::stride, ::stride] for i in few], slices.dtype, slices.missing)
    except InputError as error:
        raise InputError(f"{spec}: {error}") from None
    each = [
        Piece(i, 0, 0, height, width, file)
        for i, (file, (height, width)) in enumerate(zip(files, slices.shapes, strict=True))
    ]
    return Pieces(slices, window, each)


def tiles_of(spec: str, size: int, split: str | None, hold_out: int) -> Pieces:
    """All tiles of `size` pixels of a grid without overlap, in ``train/`` and ``test/`` as training would split them.

    A tile is called ``train/IMAGE_y64x128.png``, or ``.tif``: its name says which image it is of, see
    `veridical.data.names.group_of`.

    Raises
    ------
    InputError
        As `veridical.data.open.open_dataset`; if two images would be called alike.
    """
    dataset = open_dataset(spec, size, split=split, hold_out=hold_out)
    slices = dataset.slices
    suffix = suffix_of(slices.dtype)
    stems = [stem(without_side(name)).replace("/", "_") for name in slices.names]
    each = []
    for which in ("train", "test"):
        places, _, _ = dataset.chosen(which, None, oriented=False)
        for index, top, left in places.tolist():
            each.append(Piece(index, top, left, size, size, f"{which}/{stems[index]}_y{top}x{left}{suffix}"))
    names = {piece.file: piece.index for piece in each}
    if len(names) < len(each):
        piece = next(piece for piece in each if names[piece.file] != piece.index)
        raise InputError(
            f"{spec}: tiles of {slices.names[piece.index]} and {slices.names[names[piece.file]]} would have one name; rename one"
        )
    check_cost(spec, images=len(each))
    return Pieces(slices, dataset.window, each)
