"""Pixels and classes of tiles: cut out of slices, turned, rescaled and mapped to [0, 1]."""

from collections.abc import Callable
from functools import partial

import numpy as np

from veridical.core.arrays import NO_LABEL
from veridical.core.errors import InputError
from veridical.core.orientation import turn as turned
from veridical.data.blocks import first_slices
from veridical.data.field import Region
from veridical.data.images import channels_first
from veridical.data.masks import labelled_only, rank
from veridical.data.stored import Stored
from veridical.data.tiles import cut, resize, resize_labels
from veridical.data.window import IntensityWindow


class Cutter:
    """Cuts tiles at places (N, 3) (slice, top, left), in orientations (N,).

    Parameters
    ----------
    spec : str
        Names the data in errors.
    stored : Stored
    size, span : int
        Side of a tile, and in stored pixels.
    window : IntensityWindow
    train : list of Region
        Of training.
    mask_values : tuple of int
        The stored value of each class of the masks; empty without masks.
    in_part : bool
        Not all images have labels.
    labelled : array (N, 3) or None
        Places of the only training tiles that have labels; None: all of their images.
    """

    def __init__(
        self,
        spec: str,
        stored: Stored,
        size: int,
        span: int,
        window: IntensityWindow,
        train: list[Region],
        mask_values: tuple[int, ...],
        in_part: bool,
        labelled: np.ndarray | None,
    ):
        self._spec, self._stored, self._size, self._span, self._window = spec, stored, size, span, window
        self._train, self._mask_values, self._in_part, self._labelled = train, mask_values, in_part, labelled
        self._first: dict[int, int] | None = None  # slices of blocks, once they are asked for

    def images(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """float32 (N, C, size, size) in [0, 1]."""
        return self._cut(self._stored.image, places, turns)

    def befores(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """As `images`, what pairs showed before; InputError if there are no pairs."""
        if self._stored.slices.read_before is None:
            raise InputError(
                f"{self._spec} has no images before a change: give a folder of pairs (pairs.jsonl), as veridical phantom KIND "
                "--pairs all writes."
            )
        return self._cut(self._stored.before, places, turns)

    def _cut(self, read: Callable[[int], np.ndarray], places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        slices = self._stored.slices
        colour = (3,) if slices.channels == 3 else ()
        stored = cut(read, places, turns, (self._span, self._span, *colour), slices.dtype)
        images = channels_first(self._window.to_unit(stored))
        return images if self._span == self._size else resize(images, self._size)

    def blocks(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """float32 (N, C, size, size, size) in [0, 1], see `veridical.data.dataset.Dataset.blocks`."""
        slices, size = self._stored.slices, self._size
        if self._span != size:
            raise InputError(f"{self._spec}: blocks have the voxels of the volume: leave out --scale")
        if self._first is None:
            self._first = first_slices(self._spec, slices, self._train, size)
        out = np.empty((len(places), slices.channels, *[size] * 3), np.float32)
        for row, (index, top, left) in enumerate(places.tolist()):
            first = self._first[index]
            window = slice(top, top + size), slice(left, left + size)
            stored = np.stack([self._stored.image(z)[window] for z in range(first, first + size)])
            images = channels_first(self._window.to_unit(stored))
            out[row] = turned(images.swapaxes(0, 1), turns[row], (2, 3))
        return out

    def masks(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Class numbers, uint8 (N, size, size); where only a part has labels, 255 is none."""
        stored = cut(self._mask, places, turns, (self._span, self._span), np.dtype(np.int32))
        names = [self._stored.slices.names[index] for index in places[:, 0]]
        classes = rank(stored, self._mask_values, names)
        if self._in_part:
            known = cut(self._known, places, turns, (self._span, self._span), np.dtype(bool))
            classes = np.where(known, labelled_only(classes, self._mask_values), NO_LABEL).astype(np.uint8)
        return classes if self._span == self._size else resize_labels(classes, self._size)

    def _mask(self, index: int) -> np.ndarray:
        slices = self._stored.slices
        if self._in_part and not slices.masked[index]:
            return np.full(slices.shapes[index], (self._mask_values or (0,))[0], np.int32)
        return self._stored.mask(index)

    def _known(self, index: int) -> np.ndarray:
        """Where a slice has labels: of training regions perhaps in a few squares only; what is held out keeps its own."""
        return self._stored.cache.get(("known", index), partial(self._draw_known, index))

    def _draw_known(self, index: int) -> np.ndarray:
        slices = self._stored.slices
        known = np.full(slices.shapes[index], slices.masked[index])
        if self._labelled is not None:
            for part in (part for part in self._train if part.index == index):
                known[part.top : part.top + part.height, part.left : part.left + part.width] = False
            for _, y, x in self._labelled[self._labelled[:, 0] == index].tolist():
                known[y : y + self._span, x : x + self._span] = True
        return known
