"""Tiles in [0, 1] with their conditions: batches that depend on nothing but (seed, step, k), and grids of what is held out."""

from typing import Any

import numpy as np

from veridical.data.cutter import Cutter
from veridical.data.focus import Focus
from veridical.data.images import channels_first
from veridical.data.labels import Labels
from veridical.data.names import group_of, without_side
from veridical.data.partition import Partition
from veridical.data.sampler import Sampler
from veridical.data.stored import Stored
from veridical.data.tiles import resize
from veridical.data.window import IntensityWindow

REGION_PIXELS = 64 * 2**20  # of `Dataset.regions`


class Dataset:
    """Training batches and held-out tiles of one image set; made by `veridical.data.open.open_dataset`.

    Attributes
    ----------
    spec : str
        What was opened.
    size, channels : int
        Tiles are (channels, size, size).
    augment : str
    window : IntensityWindow
        The map between stored counts and [0, 1], fitted on training tiles only.
    pixel_size : float or None
        Micrometres, of the tiles.
    fingerprint : str
        Hash of contents, names, split and tile options; where the data lie does not matter.
    split : dict
        How the held-out part was chosen.
    span : int
        Side of a tile in stored pixels.
    unwatched : str
        Why nothing was set apart for validation; empty where something was, or nothing was asked for.
    notes : list of str
        What a user should know about these data.
    slices : Slices
    labels : Labels or None
        What the label means; None without one.
    mask_values : tuple of int, or None
        The stored value of each class of the masks (see `veridical.data.masks.fit_mask_values`); None without masks.
    classes : int
        Number of classes of the masks, or else of the label; 0 for a continuous label or none.
    """

    def __init__(
        self,
        spec: str,
        stored: Stored,
        parted: Partition,
        sampler: Sampler,
        cutter: Cutter,
        *,
        size: int,
        augment: str,
        seed: int,
        window: IntensityWindow,
        labels: Labels | None,
        label_of: np.ndarray | None,
        mask_values: tuple[int, ...] | None,
        classes: int,
        notes: list[str],
        fingerprint: str,
    ):
        self.spec, self.slices, self.size, self.augment, self.seed = spec, stored.slices, size, augment, seed
        self.channels, self.window, self.notes, self.fingerprint = stored.slices.channels, window, notes, fingerprint
        self.labels, self.mask_values, self.classes, self._label_of = labels, mask_values, classes, label_of
        self.span, self.split, self.unwatched = parted.layout.span, parted.rule, parted.unwatched
        stated = stored.slices.pixel_size
        self.pixel_size = None if stated is None else stated * self.span / size
        self._stored, self._layout, self._sampler, self._cutter = stored, parted.layout, sampler, cutter

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> dict[str, np.ndarray]:
        """Random training tiles.

        Parameters
        ----------
        n : int
            Tiles in the whole batch.
        step, seed : int
            Tile k depends on (seed, step, k) only, whoever asks and in whatever order.
        start, stop : int
            The rows to return, for processes that share a batch.

        Returns
        -------
        dict
            ``"image"``: float32 (stop - start, C, size, size) in [0, 1]; and the conditions of the same tiles, see
            `tile_conditions`.
        """
        places, turns = self.drawn(n, step, seed, start, stop)
        return {"image": self.images(places, turns), **self._conditions(places, turns)}

    def drawn(
        self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places (N, 3) (slice, top, left) and orientations (N,) of the tiles that `batch` cuts for the same arguments."""
        return self._sampler.batch(n, step, seed, start, stop)

    def few(self, n: int) -> np.ndarray:
        """Places (n, 3) of `n` training tiles that have labels, spread evenly: where all have some, those of ``limit=n``.

        Raises
        ------
        InputError
            If there are not so many.
        """
        return self._sampler.few(n)

    def tiles(self, which: str = "test", n: int | None = None, oriented: bool = True) -> tuple[np.ndarray, list[str]]:
        """Tiles of a fixed grid without overlap.

        Parameters
        ----------
        which : {"test", "train", "validation"}
        n : int, optional
            At most so many, spread evenly.
        oriented : bool
            Give each tile one seeded orientation out of those that `augment` trains with, so that a generator trained
            with turns is compared with turned real tiles.

        Returns
        -------
        images : array (N, C, size, size)
            float32 in [0, 1].
        groups : list of str
            The slice or image that each tile comes from, or the block of 2 x 2 tiles where the split is by blocks;
            intervals resample these.
        """
        places, groups, turns = self.chosen(which, n, oriented)
        return self.images(places, turns), groups

    def tile_conditions(
        self, which: str = "test", n: int | None = None, oriented: bool = True
    ) -> dict[str, np.ndarray]:
        """Conditions of the tiles that `tiles` returns for the same arguments.

        Returns
        -------
        dict
            With a label ``"label"``: int64 class numbers or float32 standardised values (N,). With masks ``"mask"``: uint8
            class numbers (N, size, size), cut and turned as the tiles are.
        """
        places, _, turns = self.chosen(which, n, oriented)
        return self._conditions(places, turns)

    def regions(self, which: str = "train", most: int = REGION_PIXELS) -> tuple[list[np.ndarray], list[str], float]:
        """The whole parts of the images that tiles are cut from, to search them for copies.

        Parameters
        ----------
        which : {"train", "test"}
        most : int
            Pixels at most; if there are more, some of the parts, spread evenly, or the middle of a single one.

        Returns
        -------
        images : list of array (C, height, width)
            float32 in [0, 1], at the scale of tiles. Of few tiles (`limit`) these tiles.
        groups : list of str
            The slice or image that each comes from.
        share : float
            Of all such pixels, those given.
        """
        if which == "train" and self._layout.limit:
            tiles, groups = self.tiles(which, max(1, most // self.size**2), oriented=False)
            return list(tiles), groups, len(tiles) / self._layout.limit
        factor = self.size / self.span
        parts = [part for part in self._layout.regions[which] if min(part.height, part.width) >= self.span]
        pixels = sum(part.height * part.width for part in parts) * factor**2
        n = max(1, int(len(parts) * min(1, most / pixels)))
        images, groups = [], []
        for part in (parts[k * len(parts) // n] for k in range(n)):
            shrink = min(1, (most / (part.height * part.width * factor**2)) ** 0.5)
            height, width = (max(self.span, int(side * shrink)) for side in (part.height, part.width))
            top, left = part.top + (part.height - height) // 2, part.left + (part.width - width) // 2
            stored = self._stored.image(part.index)[top : top + height, left : left + width]
            image = channels_first(self.window.to_unit(stored[None]))
            if factor != 1:
                image = resize(image, round(height * factor), round(width * factor))
            images.append(image[0])
            groups.append(group_of(without_side(self.slices.names[part.index])))
        return images, groups, min(1.0, sum(image[0].size for image in images) / pixels)

    @property
    def focus(self) -> Focus | None:
        """How training tiles are drawn by what is in them; None: all alike."""
        return None if self._sampler.focus is None else self._sampler.focus[0]

    @property
    def watched(self) -> bool:
        """Whether there are tiles for validation."""
        return "validation" in self._layout.regions

    def count(self, which: str = "test") -> int:
        """Number of tiles that `tiles` returns."""
        return self._layout.count(which)

    def __repr__(self) -> str:
        tiles = f"{self.count('train')} training and {self.count('test')} held-out tiles of {self.size} x {self.size}"
        return f"Dataset({self.spec!r}: {len(self.slices)} images, {tiles})"

    def summary(self) -> dict[str, Any]:
        """What is in the data and how it is used, as a dictionary that ``json.dump`` takes."""
        slices = self.slices
        shapes = sorted(set(slices.shapes))
        return {
            "spec": self.spec,
            "kind": slices.kind,
            "slices": len(slices),
            "shapes": [list(map(int, shape)) for shape in shapes[:20]],
            "dtype": slices.dtype.name,
            "channels": self.channels,
            "size": self.size,
            "augment": self.augment,
            "scale": self.size / self.span,
            "pixel_size": self.pixel_size,
            "stored_pixel_size": slices.pixel_size,
            "window": self.window.to_json(),
            "split": self.split,
            "n_train_tiles": self.count("train"),
            "n_test_tiles": self.count("test"),
            **({"n_validation_tiles": self.count("validation")} if self.watched else {}),
            **({"unwatched": self.unwatched} if self.unwatched else {}),
            **({"focus": self.focus.to_json()} if self.focus is not None else {}),
            "labels": None if self.labels is None else self.labels.to_json(),
            "mask_values": self.mask_values,
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }

    def chosen(self, which: str, n: int | None, oriented: bool = True) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Places, groups and orientations of the tiles that `tiles` gives for the same arguments."""
        return self._sampler.grid(which, n, oriented)

    def images(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Tiles at `places`, float32 (N, C, size, size) in [0, 1]."""
        return self._cutter.images(places, turns)

    def befores(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Of pairs what the images showed before, at the same places and turned alike; as `images`.

        Raises
        ------
        InputError
            If there are no pairs.
        """
        return self._cutter.befores(places, turns)

    def blocks(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Blocks of a volume in which training tiles at `places` lie, turned like them, in [0, 1].

        Of slices at equal depth the first block begins with the first of them, and the last ends with the last.

        Returns
        -------
        ndarray of float32, shape (N, C, size, size, size)

        Raises
        ------
        InputError
            If the data are no volume, or tiles are rescaled.
        """
        return self._cutter.blocks(places, turns)

    def labels_of(self, places: np.ndarray) -> np.ndarray:
        """Labels (N,) of the tiles at `places`."""
        assert self._label_of is not None
        labels: np.ndarray = self._label_of[places[:, 0]]
        return labels

    def masks_of(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Class numbers of the tiles at `places`, uint8 (N, size, size); where only a part has labels, 255 is none."""
        return self._cutter.masks(places, turns)

    def images_of(self, which: str) -> list[int]:
        """The slices that the tiles of one side of the split are cut from."""
        return self._layout.images(which)

    def used(self) -> list[int]:
        """The slices that tiles of any side of the split are cut from."""
        return self._layout.used()

    def _conditions(self, places: np.ndarray, turns: np.ndarray) -> dict[str, np.ndarray]:
        found = {}
        if self.labels is not None:
            found["label"] = self.labels_of(places)
        if self.mask_values is not None:
            found["mask"] = self.masks_of(places, turns)
        return found
