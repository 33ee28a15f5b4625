"""Slices -> tiles in [0, 1]: one intensity window, a split without leaks, and batches that depend on nothing but
(seed, step, k)."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from veridical.errors import InputError
from veridical.images import IntensityWindow, channels_first, fit_window
from veridical.readers import open_slices
from veridical.regions import Region, corner_positions, field_of_view, grid_positions, group_of, split_regions
from veridical.slices import Cache, Slices

CACHE_BYTES = 400 * 2**20  # decoded slices kept in memory
SAMPLE_SLICES, SAMPLE_PIXELS = 64, 2_000_000  # the window is fitted on so many at most
ORIENTATIONS = {"dihedral": 8, "flip": 2, "none": 1}


def open_dataset(
    spec: str | Path,
    size: int = 64,
    *,
    augment: str = "auto",
    pixel_size: float | None = None,
    scale: float | None = None,
    test_fraction: float = 0.2,
    split: str | Path | None = None,
    inside: float = 1.0,
    masks: bool = False,
    window: IntensityWindow | None = None,
    seed: int = 0,
) -> "Dataset":
    """Open images as a source of training and test tiles.

    Parameters
    ----------
    spec : str or Path
        Anything that `veridical.readers.open_slices` opens.
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
    split : path, optional
        CSV file with the columns ``name,split`` (train or test; images with another word are left out). A
        ``split.csv`` in the folder is found without asking.
    inside : float
        Smallest share of a tile that must lie inside the circular field of view of a reconstruction, where one is
        found (see `veridical.regions.field_of_view`).
    masks : bool
        Deliver the label images of ``masks/`` folders (or of phantoms) too; images without one are left out.
    window : IntensityWindow, optional
        Use this window instead of fitting one, for example that of a trained model.
    seed : int
        Of the sample that the window is fitted on, and of the orientations of test tiles.

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
    2. the ``test/`` folder beside ``train/``;
    3. in a stack or numbered series of at least five slices, the last slices, after a gap of as many slices as a tile
       has pixels but at most a tenth of the stack;
    4. in a folder of at least five images, the last images; tiles of one image (``name_r0c1``, ``name_y0x64``) stay
       together;
    5. the end of every image along its longer side, after a gap of one tile;
    6. where images are too small for that, the last image.
    """
    if augment not in ("auto", *ORIENTATIONS):
        raise InputError(f"augment={augment}: there is no such augmentation; use one of {', '.join(ORIENTATIONS)}")
    if size < 1 or not 0 <= inside <= 1:
        raise InputError(f"size={size}, inside={inside}: a size is at least 1, a share lies between 0 and 1")
    slices = open_slices(spec)
    if augment == "auto":
        # A photograph has an upper side; a cross-section has none.
        augment = "flip" if slices.channels == 3 else "dihedral"
    span = max(1, round(size / _factor(spec, slices, pixel_size, scale)))
    dataset = Dataset(str(spec), slices, size=size, span=span, augment=augment, inside=inside, masks=masks, seed=seed)
    dataset._prepare(test_fraction, split, window)
    return dataset


def _factor(spec: str | Path, slices: Slices, pixel_size: float | None, scale: float | None) -> float:
    if pixel_size is not None and scale is not None:
        raise InputError(f"{spec}: give pixel_size or scale, not both")
    if not 0 < (pixel_size or scale or 1) < 1e9:
        raise InputError(f"{spec}: pixel_size and scale must be positive; a scale of 0.5 halves the resolution")
    if pixel_size is None:
        return scale or 1.0
    if slices.pixel_size is None:
        raise InputError(f"{spec}: the files state no pixel size; give a scale instead of pixel_size={pixel_size}")
    return slices.pixel_size / pixel_size


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
    notes : list of str
        What a user should know about these data.
    slices : Slices
    """

    def __init__(
        self, spec: str, slices: Slices, *, size: int, span: int, augment: str, inside: float, masks: bool, seed: int
    ):
        self.spec, self.slices, self.size, self.augment, self.seed = spec, slices, size, augment, seed
        self.channels = slices.channels
        self.pixel_size = None if slices.pixel_size is None else slices.pixel_size * span / size
        self.notes = list(slices.notes)
        self._span, self._inside, self._with_masks = span, inside, masks
        self._cache = Cache(CACHE_BYTES)
        self._places: dict[tuple, np.ndarray | int] = {}
        self._grids: dict[tuple, np.ndarray] = {}

    def _prepare(self, test_fraction: float, table: str | Path | None, window: IntensityWindow | None) -> None:
        self._check_sizes()
        use = self._worth_using()
        self._fields = self._find_fields(use)
        self.split, self._regions = split_regions(
            self.spec, self.slices, use, self._span, self._fields, test_fraction, table
        )
        for which, regions in self._regions.items():
            grids = [len(self._grid(r)) for r in regions]
            if not sum(grids):
                raise InputError(
                    f"{self.spec}: no {which} tile of {self._span} x {self._span} pixels fits into the field of view; "
                    "use a smaller tile size or `inside`"
                )
        self._regions["train"] = [r for r in self._regions["train"] if self._count(r)]
        self._counts = np.array([self._count(r) for r in self._regions["train"]], np.float64)
        self.window = window or self._fit_window()
        if self.window.dtype != self.slices.dtype.name:
            raise InputError(
                f"{self.spec}: holds {self.slices.dtype} values but the window is for {self.window.dtype}; "
                "give images of the type that the window was made for"
            )
        self.fingerprint = self._hash()

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
            ``"image"``: float32 (stop - start, C, size, size) in [0, 1]. With masks also ``"mask"``: uint8
            (stop - start, size, size), cut and turned alike.
        """
        draws = np.random.default_rng([seed, step]).random((n, 3))[start:stop]
        regions, active = self._regions["train"], self._active(step, seed)
        edges = np.cumsum(self._counts[active])
        picks = active[np.searchsorted(edges, draws[:, 0] * edges[-1], side="right").clip(max=len(active) - 1)]
        places = np.empty((len(picks), 3), np.int64)
        for row, pick in enumerate(picks):
            places[row] = self._place(regions[pick], draws[row, 1])
        turns = (draws[:, 2] * ORIENTATIONS[self.augment]).astype(int)
        out = {"image": self._images(places, turns)}
        if self._with_masks:
            out["mask"] = self._labels(places, turns)
        return out

    def tiles(self, which: str = "test", n: int | None = None, oriented: bool = True) -> tuple[np.ndarray, list[str]]:
        """Tiles of a fixed grid without overlap.

        Parameters
        ----------
        which : {"test", "train"}
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
        places, groups, turns = self._chosen(which, n, oriented)
        return self._images(places, turns), groups

    def tile_masks(self, which: str = "test", n: int | None = None, oriented: bool = True) -> np.ndarray:
        """Labels (N, size, size) uint8 of the tiles that `tiles` returns for the same arguments."""
        places, _, turns = self._chosen(which, n, oriented)
        return self._labels(places, turns)

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
            "n_train_tiles": sum(len(self._grid(r)) for r in self._regions["train"]),
            "n_test_tiles": sum(len(self._grid(r)) for r in self._regions["test"]),
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }

    # ---------------------------------------------------------------------------------------- where the tiles lie

    def _active(self, step: int, seed: int) -> np.ndarray:
        """Training regions that this step draws from: all, unless they must be decoded and do not fit into the cache.

        Then a window slides by one region every eight steps over a shuffled order, so that most are decoded already.
        """
        regions = self._regions["train"]
        room = max(16, int(0.8 * CACHE_BYTES / max(self._bytes(r.index) for r in regions[:16])))
        if self.slices.mapped or len(regions) <= room:
            return np.arange(len(regions))
        order = np.random.default_rng([seed, len(regions)]).permutation(len(regions))
        return order[(step // 8 + np.arange(room)) % len(regions)]

    def _positions(self, region: Region) -> int | np.ndarray:
        shape = self.slices.shapes[region.index]
        key = (shape, region.top, region.left, region.height, region.width)
        if key not in self._places:
            self._places[key] = corner_positions(region, self._span, self._fields[shape], self._inside)
        return self._places[key]

    def _grid(self, region: Region) -> np.ndarray:
        shape = self.slices.shapes[region.index]
        key = (shape, region.top, region.left, region.height, region.width)
        if key not in self._grids:
            self._grids[key] = grid_positions(region, self._span, self._fields[shape], self._inside)
        return self._grids[key]

    def _count(self, region: Region) -> int:
        positions = self._positions(region)
        return positions if isinstance(positions, int) else len(positions)

    def _place(self, region: Region, u: float) -> tuple[int, int, int]:
        """Slice, top and left of the position that the uniform number u in [0, 1) picks."""
        positions = self._positions(region)
        flat = int(u * positions) if isinstance(positions, int) else int(positions[int(u * len(positions))])
        y, x = divmod(flat, region.width - self._span + 1)
        return region.index, region.top + y, region.left + x

    def _chosen(self, which: str, n: int | None, oriented: bool) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Places (slice, top, left), groups and orientations of grid tiles."""
        regions = self._regions[which]
        grids = [self._grid(region) for region in regions]
        edges = np.cumsum([len(grid) for grid in grids])
        total = int(edges[-1])
        chosen = np.arange(total) if n is None or n >= total else np.arange(n) * total // n
        places, groups = np.empty((len(chosen), 3), np.int64), []
        for row, pick in enumerate(np.searchsorted(edges, chosen, side="right")):
            region = regions[pick]
            y, x = grids[pick][chosen[row] - edges[pick]]  # negative: counts back from the end of this grid
            places[row] = region.index, y, x
            group = group_of(self.slices.names[region.index].removeprefix(f"{which}/"))
            if self.split["by"] == "block":
                group += f" block {(y - region.top) // (2 * self._span)},{(x - region.left) // (2 * self._span)}"
            groups.append(group)
        turns = np.zeros(total, int)
        if oriented:
            turns = np.random.default_rng([self.seed, which == "test"]).integers(ORIENTATIONS[self.augment], size=total)
        return places, groups, turns[chosen]

    # --------------------------------------------------------------------------------------------------- the pixels

    def _bytes(self, index: int) -> int:
        return int(np.prod(self.slices.shapes[index])) * self.channels * self.slices.dtype.itemsize

    def _slice(self, index: int) -> np.ndarray:
        if self.slices.mapped:
            return self.slices[index]
        return self._cache.get(("image", index), partial(self.slices.__getitem__, index))

    def _images(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        span = self._span
        colour = (3,) if self.channels == 3 else ()
        stored = np.empty((len(places), span, span, *colour), self.slices.dtype)
        for row in np.argsort(places[:, 0], kind="stable"):  # in the order of slices: each is decoded once
            index, y, x = places[row].tolist()
            stored[row] = turn(self._slice(index)[y : y + span, x : x + span], turns[row])
        images = channels_first(self.window.to_unit(stored))
        return images if span == self.size else _resize(images, self.size)

    def _labels(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        span = self._span
        labels = np.empty((len(places), span, span), np.uint8)
        for row in np.argsort(places[:, 0], kind="stable"):
            index, y, x = places[row].tolist()
            mask = self._cache.get(("mask", index), partial(self.slices.mask, index))
            labels[row] = turn(mask[y : y + span, x : x + span], turns[row])
        if span == self.size:
            return labels
        nearest = ((np.arange(self.size) + 0.5) * span / self.size).astype(int)
        return np.ascontiguousarray(labels[:, nearest[:, None], nearest])

    # ------------------------------------------------------------------------------------------ looking at the data

    def _check_sizes(self) -> None:
        for name, (height, width) in zip(self.slices.names, self.slices.shapes):
            if min(height, width) < self._span:
                raise InputError(
                    f"{self.spec}: {name} has {width} x {height} pixels, less than a tile "
                    f"of {self._span} x {self._span}; take it out or use a smaller tile size"
                )

    def _worth_using(self) -> list[int]:
        """Slices that hold something: not all NaN, and in a stack not constant (the empty ends of a scan)."""
        slices, use = self.slices, list(range(len(self.slices)))
        if self._with_masks:
            use = [i for i in use if slices.masked and slices.masked[i]]
            if not use:
                raise InputError(f"{self.spec}: no image has a label image; put them into masks/ under the same names")
            if len(use) < len(slices):
                self.notes.append(
                    f"{len(slices) - len(use)} of {len(slices)} images have no label image and are left out"
                )
        affordable = slices.mapped or sum(self._bytes(i) for i in use) <= CACHE_BYTES
        if not affordable or (slices.dtype.kind != "f" and not slices.stack):
            return use
        kept = [i for i in use if not _is_empty(self._slice(i), constant_too=slices.stack)]
        if not kept:
            raise InputError(f"{self.spec}: every slice is NaN or constant; check how the data were exported")
        if len(kept) < len(use):
            self.notes.append(f"{len(use) - len(kept)} slices that are all NaN or constant are left out")
        return kept

    def _find_fields(self, use: list[int]) -> dict[tuple[int, int], np.ndarray | None]:
        """Field of view of each image size: what a few slices of that size have in common."""
        members: dict[tuple[int, int], list[int]] = {}
        for i in use:
            members.setdefault(self.slices.shapes[i], []).append(i)
        fields: dict[tuple[int, int], np.ndarray | None] = {}
        for shape, of_shape in members.items():
            few = of_shape[:: -(-len(of_shape) // 8)]
            found = [f for f in (field_of_view(self._slice(i)) for i in few) if f is not None]
            fields[shape] = None
            if 2 * len(found) > len(few):
                common, any_of = np.logical_and.reduce(found), np.logical_or.reduce(found)
                # black corners that differ from image to image are part of the picture
                if common.sum() > 0.8 * any_of.sum():
                    fields[shape] = common
        if any(field is not None for field in fields.values()):
            self.notes.append("tiles lie inside the field of view of the reconstruction; outside it is constant or NaN")
        return fields

    def _fit_window(self) -> IntensityWindow:
        """From random training tiles of at most 64 slices and about two million pixels."""
        regions = self._regions["train"]
        rng = np.random.default_rng([self.seed, len(regions)])
        few = [regions[k] for k in rng.permutation(len(regions))[:SAMPLE_SLICES]]
        budget = SAMPLE_PIXELS / len(few)
        stride = max(1, round(self._span / budget**0.5))
        sample = []
        for region in few:
            area = 2 * region.height * region.width  # enough to have seen a small image
            for u in rng.random(max(1, int(min(budget, area) * stride**2 / self._span**2))):
                index, y, x = self._place(region, u)
                tile = self._slice(index)[y : y + self._span : stride, x : x + self._span : stride]
                sample.append(np.array(tile))
        if self.channels == 3 and all((tile == tile[..., :1]).all() for tile in sample):
            self.notes.append("the colour images are grey: their three channels are equal")
        try:
            return fit_window(sample, self.slices.dtype)
        except InputError:
            pass
        try:  # detail may be rare: look at all of these slices
            cuts = [(r, slice(r.top, r.top + r.height), slice(r.left, r.left + r.width)) for r in few]
            return fit_window([self._slice(r.index)[ys, xs] for r, ys, xs in cuts], self.slices.dtype)
        except InputError as error:
            raise InputError(f"{self.spec}: {error}") from None

    def _hash(self) -> str:
        """All pixels of a set up to 64 MB, otherwise 16 rows of 16 slices; names, sizes, split and options."""
        slices = self.slices
        options = (self.size, self._span, self.augment, self._inside, self.seed, self.window, self.split)
        digest = hashlib.sha256(
            repr((slices.kind, slices.names, slices.shapes, slices.dtype.name, options, self._regions)).encode()
        )
        small = sum(self._bytes(i) for i in range(len(slices))) <= 64 * 2**20
        seen: dict[bytes, str] = {}
        twins = 0
        for i in range(len(slices)) if small else np.linspace(0, len(slices) - 1, 16).astype(int).tolist():
            image = self._slice(i)
            rows = image if small else image[np.linspace(0, len(image) - 1, 16).astype(int)]
            content = hashlib.sha256(np.ascontiguousarray(rows, slices.dtype).data).digest()
            digest.update(content)
            side = slices.names[i].split("/")[0]
            twins += seen.setdefault(content, side) != side
        if self.split["by"] == "folder" and twins:
            self.notes.append(f"{twins} images in test/ are identical to images in train/: the held-out set leaks")
        return digest.hexdigest()[:16]


def turn(tile: np.ndarray, code: int) -> np.ndarray:
    """One of the eight flips and quarter turns of (H, W) or (H, W, 3), a view.

    Bit 0 of `code` mirrors left-right, bit 1 up-down, bit 2 swaps the axes.
    """
    if code & 1:
        tile = tile[:, ::-1]
    if code & 2:
        tile = tile[::-1]
    if code & 4:
        tile = tile.swapaxes(0, 1)
    return tile


def _is_empty(image: np.ndarray, constant_too: bool) -> bool:
    """Whether an image holds no finite value (or one value only); a few rows answer for most images."""
    for part in (image[:: max(1, len(image) // 8)], image):
        values = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if values.size and not (constant_too and (values == values.flat[0]).all()):
            return False
    return True


def _resize(images: np.ndarray, size: int) -> np.ndarray:
    """(N, C, H, W) to (N, C, size, size); Pillow widens its bicubic kernel when it shrinks, so this is antialiased."""
    out = np.empty((*images.shape[:2], size, size), np.float32)
    for index in np.ndindex(images.shape[:2]):
        out[index] = Image.fromarray(images[index]).resize((size, size), Image.Resampling.BICUBIC)
    return np.clip(out, 0, 1, out=out)
