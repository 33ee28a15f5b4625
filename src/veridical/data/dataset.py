"""Slices -> tiles in [0, 1] with their conditions: one intensity window, a split without leaks, and batches that depend
on nothing but (seed, step, k).

Longer than other files because what users may choose is explained where they call it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.arrays import NO_LABEL
from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.core.orientation import ORIENTATIONS
from veridical.core.orientation import turn as turned
from veridical.data import labels as label_columns
from veridical.data import survey
from veridical.data.blocks import first_slices
from veridical.data.focus import TRIES, Focus, focus_on
from veridical.data.images import channels_first
from veridical.data.masks import PartLabels, classes_of, explain, fit_mask_values, labelled_only, rank
from veridical.data.names import group_of, without_side
from veridical.data.readers.open import open_slices
from veridical.data.slices import Cache, Slices, check_whole
from veridical.data.split import split_regions
from veridical.data.tiles import Layout, cut, resize, resize_labels, span_of, spread
from veridical.data.twins import find_twins
from veridical.data.validation import Apart, set_apart, set_ends_apart
from veridical.data.window import IntensityWindow

__all__ = ["Dataset", "group_of", "open_dataset"]

CACHE_BYTES = 400 * 2**20  # decoded slices kept in memory
FOCUSED = 256  # training tiles by which a focus is measured
REGION_PIXELS = 64 * 2**20  # of `Dataset.regions`


def open_dataset(
    spec: str | Path,
    size: int = 64,
    *,
    augment: str = "auto",
    pixel_size: float | None = None,
    scale: float | None = None,
    test_fraction: float = 0.2,
    hold_out: int = 0,
    split: str | Path | None = None,
    inside: float = 1.0,
    masks: bool = False,
    label: str = "",
    bins: int = 0,
    limit: int = 0,
    part: PartLabels | None = None,
    window: IntensityWindow | None = None,
    seed: int = 0,
    validation: float | None = 0.0,
    focus: float = 1.0,
) -> "Dataset":
    """Open images as a source of training and test tiles.

    Parameters
    ----------
    spec : str or Path
        Anything that `veridical.data.readers.open.open_slices` opens.
    size : int
        Height and width of a tile in pixels.
    augment : {"auto", "dihedral", "flip", "none"}
        Flips and quarter turns (8 orientations); left-right flips only (roots know where up is); or nothing. ``auto`` is
        ``dihedral`` for grey images and ``flip`` for RGB.
    pixel_size : float, optional
        Rescale tiles to so many micrometres a pixel, antialiased; the images must state their own.
    scale : float, optional
        Rescale tiles by this factor instead (0.5 halves the resolution).
    test_fraction : float
        Share held out where the data bring no split of their own.
    hold_out : int
        Instead, how many images or, of a stack, slices: whole ones by rules 3 and 4 below, however few there are. 0 is the share.
    split : path or "none", optional
        CSV file with the columns ``name,split`` (train or test; images with another word are left out). A
        ``split.csv`` in the folder is found without asking. "none" puts every image on both sides, for data that are
        not learned from.
    inside : float
        Smallest share of a tile that must lie inside the circular field of view of a reconstruction, where one is
        found (see `veridical.data.field.field_of_view`).
    masks : bool
        Deliver the label images of ``masks/`` folders (or the like, or of phantoms) too; images without one are left out.
    label : str
        Deliver a label too: a column of ``labels.csv`` or ``properties.csv`` (see `veridical.data.labels.read_column`), a
        property of a phantom, or "folder" for the name of the folder that an image lies in. A tile has the label of its
        image: of an image much larger than a tile, a local property of the tile (porosity, number of fibres) is another
        one. Phantoms of the size of a tile (``phantom:rocks?n=400&size=64``) have exact labels.
    bins : int
        Turn a numeric label into so many classes of equal share; 0 leaves it continuous. Text always makes classes.
    limit : int
        Train on so many tiles only, which lie side by side and are spread evenly over the training images: what a
        study of little data needs. 0 is all.
    part : PartLabels, optional
        Deliver the label images that there are, or those of a few tiles, and keep the images that have none: in the masks
        255 stands for no label, and is no class.
    window : IntensityWindow, optional
        Use this window instead of fitting one, for example that of a trained model.
    seed : int
        Of the sample that the window is fitted on, and of the orientations of test tiles.
    validation : float, optional
        Share of the training images to set apart as a third side, "validation", by which a training is watched (see
        `veridical.data.validation.set_apart`); 0 is none. None takes a tenth where that is enough for a score.
    focus : float
        Draw training tiles of much contrast up to so many times as often as empty ones (see `veridical.data.focus`); what is held
        out, and the grid of training tiles, stay as they are.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the data cannot serve.

    Notes
    -----
    Held out are, by the first rule that applies:

    1. what ``split.csv`` says;
    2. the ``test/`` folder beside ``train/`` (also ``Test``, ``val``, ``test_images``, ...);
    3. in a stack or numbered series of at least five slices, the last slices, after a gap of as many slices as a tile
       has pixels but at most a tenth of the stack;
    4. in a folder of at least five images, the last images, after such a gap where images are numbered like the first
       of them (slices of a volume, perhaps); tiles of one image (``name_r0c1``, ``name_y0x64``) stay together;
    5. the end of every image along its longer side, after a gap of one tile;
    6. where images are too small for that, the last image.

    Set apart for validation are in 1 to 4 the last training images, after a gap as in 3 and 4; in 5, and where that would leave
    less than half of the images, the end of every training image, after a gap of one tile.

    The same picture is never on both sides: copies count as one image, and in 1 to 3 a training image that is also held out is
    left out of training.
    """
    if augment not in ("auto", *ORIENTATIONS):
        raise InputError(f"augment={augment}: there is no such augmentation; use one of {', '.join(ORIENTATIONS)}")
    if size < 1 or limit < 0 or not 0 <= inside <= 1:
        raise InputError(
            f"size={size}, limit={limit}, inside={inside}: a size is at least 1, a limit not negative, a share lies "
            "between 0 and 1"
        )
    slices = open_slices(spec)
    if augment == "auto":
        # A photograph has an upper side; a cross-section has none.
        augment = "flip" if slices.channels == 3 else "dihedral"
    span = span_of(spec, slices, size, pixel_size, scale)
    dataset = Dataset(str(spec), slices, size=size, span=span, augment=augment, seed=seed, part=part)
    dataset._arrange(inside, masks and part is None, test_fraction, hold_out, split, limit, validation)
    if part is not None:
        dataset._find_labelled()
    if masks or dataset._part is not None:
        dataset._find_classes()
    if label:
        dataset._find_labels(label, bins)
    dataset._look(inside, window)
    if focus > 1:
        counts = dataset.window.high - dataset.window.low
        dataset.focus = focus_on(focus, dataset.tiles("train", FOCUSED, oriented=False)[0], counts)
    for text in dataset.notes[len(slices.notes) :]:  # those were told when it was opened
        tell(spec, text)
    return dataset


class Dataset:
    """Training batches and held-out tiles of one image set; made by `open_dataset`.

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
    focus : Focus or None
        How training tiles are drawn by what is in them; None: all alike.
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
        slices: Slices,
        *,
        size: int,
        span: int,
        augment: str,
        seed: int,
        part: PartLabels | None = None,
    ):
        self.spec, self.slices, self.size, self.augment, self.seed = spec, slices, size, augment, seed
        self.channels = slices.channels
        self.pixel_size = None if slices.pixel_size is None else slices.pixel_size * span / size
        self.notes = list(slices.notes)
        self.labels: label_columns.Labels | None = None
        self.mask_values: tuple[int, ...] | None = None
        self.classes = 0
        self.unwatched = ""
        self.focus: Focus | None = None
        self._part = part
        self._labelled: np.ndarray | None = None  # places of the only tiles that have labels; None: all of their images
        self._span = span
        self._cache = Cache(CACHE_BYTES)
        self._first: dict[int, int] | None = None  # slices of blocks, once they are asked for

    def _arrange(
        self,
        inside: float,
        masks: bool,
        test_fraction: float,
        hold_out: int,
        table: str | Path | None,
        limit: int,
        validation: float | None,
    ) -> None:
        survey.check_sizes(self.spec, self.slices, self._span)
        use = survey.worth_using(self.spec, self.slices, self._slice, masks, CACHE_BYTES, self.notes)
        fields = survey.find_fields(self.slices, use, self._slice, self.notes)
        affordable = sum(self.slices.nbytes(i) for i in use) <= CACHE_BYTES
        twins = {} if table == "none" else find_twins(self.slices, use, self._slice, affordable, self.notes)
        self.split, regions = split_regions(
            self.spec, self.slices, use, self._span, fields, test_fraction, hold_out, table, twins, self.notes
        )
        whole = Layout(self.spec, self.slices, self._span, fields, inside, self.split, regions, limit)
        apart = self._set_apart(whole, validation, twins)
        if apart is not None:
            regions = {**regions, "train": apart.train, "validation": apart.validation}
            self.split = {
                **self.split,
                "n_train": len(apart.train),
                "n_validation": len(apart.validation),
                "validation_gap": apart.gap,
                **({"validation_by": "block"} if apart.by_block else {}),
            }
            whole = Layout(self.spec, self.slices, self._span, fields, inside, self.split, regions, limit)
        self._layout = whole

    def _set_apart(self, layout: Layout, share: float | None, twins: dict[int, int]) -> Apart | None:
        """What of the training images is not trained on; None where nothing is asked for, or too little is there."""
        if share == 0:
            return None
        by = self.split["by"]
        if share is None and (layout.limit or (self._part and self._part.tiles)):
            self.unwatched = "few tiles, or few with labels, are asked for"
        elif by == "none":
            self.unwatched = "no image is held out (split none)"
        else:
            parts, train = layout.side_by_side("train"), layout.regions["train"]
            whole = None if by == "block" else set_apart(self.slices, train, parts, self._span, share, twins)
            if whole is not None and not whole.reason:
                return whole
            ends = set_ends_apart(self.slices, train, layout.fitting, self._span, share)
            if not ends.reason:
                return ends
            self.unwatched = "; ".join(found.reason for found in (whole, ends) if found is not None)
        if share is not None:
            raise InputError(
                f"{self.spec}: validation={share:g} cannot be: {self.unwatched}; leave it out, or give more images"
            )
        return None

    def _find_labelled(self) -> None:
        masked = self.slices.masked or [False] * len(self.slices)
        train = self._layout.images("train")
        if not any(masked[i] for i in train):
            if self._part is not None and self._part.optional:
                self._part = None
                return
            raise InputError(
                f"{self.spec}: no training image has a label image; put some into masks/ under the same names"
            )
        if part := (self._part or PartLabels()).tiles:
            self._labelled = self.few(part)
        bare = sum(not masked[i] for i in train)
        if bare and not (self._part or PartLabels()).optional:
            self.notes.append(
                f"{bare} of {len(train)} training images have no label image: they teach the images alone"
            )

    def _find_classes(self) -> None:
        images = self._layout.used()
        if self._part is not None:
            images = [i for i in images if self.slices.masked[i]]
        self.mask_values = fit_mask_values(self.spec, self.slices, images, self._mask)
        self.classes = len(self.mask_values) if self._part is None else classes_of(self.mask_values)
        self.notes += filter(None, [explain(self.mask_values)])

    def _find_labels(self, column: str, bins: int) -> None:
        train = self._layout.images("train")
        images = self._layout.used()
        values = label_columns.read_column(self.spec, self.slices, column, images)
        names, seen = [self.slices.names[i] for i in images], [images.index(i) for i in train]
        self.labels, found = label_columns.fit_labels(self.spec, column, bins, values, names, seen)
        self._label_of = np.zeros(len(self.slices), found.dtype)
        self._label_of[images] = found
        self.classes = self.classes or len(self.labels.classes or ())

    def _look(self, inside: float, window: IntensityWindow | None) -> None:
        layout, read = self._layout, self._slice
        self.window = window or survey.window_of(self.spec, self.slices, layout, read, self.seed, self.notes)
        if self.window.dtype != self.slices.dtype.name:
            bits = {"uint8": " (phantoms: veridical phantom --bits 8)", "uint16": " (phantoms: --bits 16)"}
            raise InputError(
                f"{self.spec}: holds {self.slices.dtype} values but the window is for {self.window.dtype}; "
                f"save them as {self.window.dtype}, over the same grey levels{bits.get(self.window.dtype, '')}"
            )
        options: tuple[Any, ...] = (self.size, self._span, self.augment, inside, self.seed, self.window, self.split)
        options = (options, layout.regions)
        if layout.limit:
            options += (layout.limit,)
        if self._part is not None:
            options += (self._part[:2], self.mask_values)
        if self.labels is not None:
            options += (self.labels, self._label_of.tolist())
        self.fingerprint = survey.fingerprint(self.slices, read, options)

    # -------------------------------------------------------------------------------------------- what users call

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
        draws = np.random.default_rng([seed, step]).random((n, 3))[start:stop]
        active = self._layout.active(step, seed, CACHE_BYTES)
        places = self._layout.random(draws[:, :2], active)
        if self.focus is not None:
            places = self._focused(self.focus, places, active, (n, step, seed, start, stop))
        if self._part is not None and self._part.share:
            more = np.random.default_rng([seed, step, 1]).random((n, 3))[start:stop]
            places = np.where(more[:, :1] < self._part.share, self._labelled_places(more[:, 1:]), places)
        return places, (draws[:, 2] * ORIENTATIONS[self.augment]).astype(int)

    def _focused(
        self, focus: Focus, places: np.ndarray, active: np.ndarray, rows: tuple[int, int, int, int, int | None]
    ) -> np.ndarray:
        """Places of which each is kept with a chance by its weight, else drawn again: rejection sampling."""
        n, step, seed, start, stop = rows
        open_ = np.arange(len(places))
        for turn in range(round(TRIES * focus.factor)):
            more = np.random.default_rng([seed, step, 2, turn]).random((n, 3))[start:stop][open_]
            weights = focus.weights(self.images(places[open_], np.zeros(len(open_), int)))
            again = more[:, 0] * focus.factor >= weights
            open_ = open_[again]
            if not len(open_):
                break
            places[open_] = self._layout.random(more[again, 1:], active)
        return places

    def few(self, n: int) -> np.ndarray:
        """Places (n, 3) of `n` training tiles that have labels, spread evenly: where all have some, those of ``limit=n``.

        Raises
        ------
        InputError
            If there are not so many.
        """
        places = self._layout.grid("train", None)[0]
        places = places[[self.slices.masked[index] for index in places[:, 0]]]
        if not 0 < n <= len(places):
            raise InputError(
                f"{self.spec}: {n} labelled tiles cannot be: {len(places)} of the training tiles that lie side by side have "
                "labels"
            )
        chosen: np.ndarray = spread(places, n)
        return chosen

    def _labelled_places(self, draws: np.ndarray) -> np.ndarray:
        """Places (N, 3) that uniform numbers (N, 2) pick where there are labels."""
        if self._labelled is None:
            return self._layout.random(draws, self._layout.regions_of(self.slices.masked))
        chosen: np.ndarray = self._labelled[(draws[:, 0] * len(self._labelled)).astype(int)]
        return chosen

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
        factor = self.size / self._span
        parts = [part for part in self._layout.regions[which] if min(part.height, part.width) >= self._span]
        pixels = sum(part.height * part.width for part in parts) * factor**2
        n = max(1, int(len(parts) * min(1, most / pixels)))
        images, groups = [], []
        for part in (parts[k * len(parts) // n] for k in range(n)):
            shrink = min(1, (most / (part.height * part.width * factor**2)) ** 0.5)
            height, width = (max(self._span, int(side * shrink)) for side in (part.height, part.width))
            top, left = part.top + (part.height - height) // 2, part.left + (part.width - width) // 2
            stored = self._slice(part.index)[top : top + height, left : left + width]
            image = channels_first(self.window.to_unit(stored[None]))
            if factor != 1:
                image = resize(image, round(height * factor), round(width * factor))
            images.append(image[0])
            groups.append(group_of(without_side(self.slices.names[part.index])))
        return images, groups, min(1.0, sum(image[0].size for image in images) / pixels)

    @property
    def span(self) -> int:
        """Side of a tile in stored pixels."""
        return self._span

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
            "scale": self.size / self._span,
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

    # --------------------------------------------------------------------------------------------------- the pixels

    def _known(self, index: int) -> np.ndarray:
        """Where a slice has labels: of training regions perhaps in a few squares only; what is held out keeps its own."""
        return self._cache.get(("known", index), partial(self._draw_known, index))

    def _draw_known(self, index: int) -> np.ndarray:
        known = np.full(self.slices.shapes[index], self.slices.masked[index])
        if self._labelled is not None:
            for part in (part for part in self._layout.regions["train"] if part.index == index):
                known[part.top : part.top + part.height, part.left : part.left + part.width] = False
            for _, y, x in self._labelled[self._labelled[:, 0] == index].tolist():
                known[y : y + self._span, x : x + self._span] = True
        return known

    def chosen(self, which: str, n: int | None, oriented: bool = True) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Places, groups and orientations of the tiles that `tiles` gives for the same arguments."""
        places, groups, numbers = self._layout.grid(which, n)
        if not oriented:
            return places, groups, np.zeros(len(places), int)
        rng = np.random.default_rng([self.seed, which == "test"])
        return places, groups, rng.integers(ORIENTATIONS[self.augment], size=self._layout.total(which))[numbers]

    def _slice(self, index: int) -> np.ndarray:
        if self.slices.mapped:
            return self.slices[index]
        return check_whole(self._cache.get(("image", index), partial(self.slices.__getitem__, index)))

    def _before(self, index: int) -> np.ndarray:
        read = self.slices.read_before
        assert read is not None
        return read(index) if self.slices.mapped else self._cache.get(("before", index), partial(read, index))

    def _mask(self, index: int) -> np.ndarray:
        if self._part is not None and not self.slices.masked[index]:
            return np.full(self.slices.shapes[index], (self.mask_values or (0,))[0], np.int32)
        return self._cache.get(("mask", index), partial(self.slices.mask, index))

    def images(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Tiles at `places`, float32 (N, C, size, size) in [0, 1]."""
        return self._cut_images(self._slice, places, turns)

    def _cut_images(self, read: Callable[[int], np.ndarray], places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        colour = (3,) if self.channels == 3 else ()
        stored = cut(read, places, turns, (self._span, self._span, *colour), self.slices.dtype)
        images = channels_first(self.window.to_unit(stored))
        return images if self._span == self.size else resize(images, self.size)

    def befores(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Of pairs what the images showed before, at the same places and turned alike; as `images`.

        Raises
        ------
        InputError
            If there are no pairs.
        """
        if self.slices.read_before is None:
            raise InputError(
                f"{self.spec} has no images before a change: give a folder of pairs (pairs.jsonl), as veridical phantom KIND "
                "--pairs all writes."
            )
        return self._cut_images(self._before, places, turns)

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
        if self._span != self.size:
            raise InputError(f"{self.spec}: blocks have the voxels of the volume: leave out --scale")
        if self._first is None:
            self._first = first_slices(self.spec, self.slices, self._layout.regions["train"], self.size)
        out = np.empty((len(places), self.channels, *[self.size] * 3), np.float32)
        for row, (index, top, left) in enumerate(places.tolist()):
            first = self._first[index]
            window = slice(top, top + self.size), slice(left, left + self.size)
            stored = np.stack([self._slice(z)[window] for z in range(first, first + self.size)])
            images = channels_first(self.window.to_unit(stored))
            out[row] = turned(images.swapaxes(0, 1), turns[row], (2, 3))
        return out

    def labels_of(self, places: np.ndarray) -> np.ndarray:
        """Labels (N,) of the tiles at `places`."""
        labels: np.ndarray = self._label_of[places[:, 0]]
        return labels

    def masks_of(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Class numbers of the tiles at `places`, uint8 (N, size, size); where only a part has labels, 255 is none."""
        stored = cut(self._mask, places, turns, (self._span, self._span), np.dtype(np.int32))
        names = [self.slices.names[index] for index in places[:, 0]]
        classes = rank(stored, self.mask_values or (), names)
        if self._part is not None:
            known = cut(self._known, places, turns, (self._span, self._span), np.dtype(bool))
            classes = np.where(known, labelled_only(classes, self.mask_values or ()), NO_LABEL).astype(np.uint8)
        return classes if self._span == self.size else resize_labels(classes, self.size)

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
