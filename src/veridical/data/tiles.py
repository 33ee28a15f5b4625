"""Where tiles lie on the slices, how they are turned and resized."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from veridical.core.errors import InputError
from veridical.core.orientation import turn
from veridical.data.field import Fields, Region, Regions, corner_positions, grid_positions
from veridical.data.names import group_of, without_side
from veridical.data.slices import Slices


class Layout:
    """The places (slice, top, left) of all tiles of both sides of a split.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    slices : Slices
    span : int
        Side of a tile in stored pixels.
    fields : mapping
        Field of view for each image shape.
    inside : float
        Smallest share of a tile in the field of view.
    split : dict
        Its ``by`` says how the regions were made, see `veridical.data.split.split_regions`.
    regions : dict
        Lists of `Region` under "train" and "test", and "validation" where there are such.
    limit : int
        Only so many training tiles of the grid, spread evenly; 0 for all places.
    """

    def __init__(
        self,
        spec: str,
        slices: Slices,
        span: int,
        fields: Fields,
        inside: float,
        split: Mapping[str, object],
        regions: Regions,
        limit: int,
    ):
        self.span, self.limit = span, limit
        self._slices, self._fields, self._inside, self._by_block = slices, fields, inside, split["by"] == "block"
        self._places: dict[tuple[Any, ...], np.ndarray | int] = {}
        self._grids: dict[tuple[Any, ...], np.ndarray] = {}
        for which, parts in regions.items():
            if not sum(len(self._grid(region)) for region in parts):
                raise InputError(
                    f"{spec}: no {which} tile of {span} x {span} pixels fits into the field of view; "
                    "use a smaller tile size or `inside`"
                )
        self.regions = {**regions, "train": [r for r in regions["train"] if self._count(r)]}
        self._counts = np.array([self._count(r) for r in self.regions["train"]], np.float64)
        if limit > self.total("train"):
            raise InputError(
                f"{spec}: limit={limit}, but only {self.total('train')} training tiles lie side by side; give a "
                "smaller limit or tile size"
            )
        if limit:
            self._few, _, _ = self.grid("train", None)

    def total(self, which: str) -> int:
        """Tiles of the grid."""
        return sum(len(self._grid(region)) for region in self.regions[which])

    def count(self, which: str) -> int:
        """Tiles that `grid` gives."""
        return self.limit if which == "train" and self.limit else self.total(which)

    def images(self, which: str) -> list[int]:
        """The slices that tiles are cut from."""
        return sorted({int(index) for index, _, _ in self.grid(which, None)[0]})

    def used(self) -> list[int]:
        """The slices that tiles of any side are cut from."""
        return sorted({index for which in self.regions for index in self.images(which)})

    def side_by_side(self, which: str) -> list[int]:
        """Tiles of the grid in each region."""
        return [self.fitting(region) for region in self.regions[which]]

    def fitting(self, region: Region) -> int:
        """Tiles that lie side by side in a region."""
        return len(self._grid(region))

    def grid(self, which: str, n: int | None) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Tiles of a grid without overlap, at most `n`, spread evenly.

        Returns
        -------
        places : array (N, 3) of int64
        groups : list of str
            The image, or block of 2 x 2 tiles, that each comes from.
        numbers : array (N,)
            Which of the `total` tiles of the grid these are.
        """
        regions = self.regions[which]
        grids = [self._grid(region) for region in regions]
        edges = np.cumsum([len(grid) for grid in grids])
        numbers = spread(np.arange(int(edges[-1])), self.limit if which == "train" and self.limit else None)
        numbers = spread(numbers, n)
        places, groups = np.empty((len(numbers), 3), np.int64), []
        for row, pick in enumerate(np.searchsorted(edges, numbers, side="right")):
            region = regions[pick]
            y, x = grids[pick][numbers[row] - edges[pick]]  # negative: counts back from the end of this grid
            places[row] = region.index, y, x
            group = group_of(without_side(self._slices.names[region.index]))
            if self._by_block:
                group += f" block {(y - region.top) // (2 * self.span)},{(x - region.left) // (2 * self.span)}"
            groups.append(group)
        return places, groups, numbers

    def active(self, step: int, seed: int, budget: int) -> np.ndarray:
        """Training regions that a step draws from: all, unless they must be decoded and do not fit into `budget` bytes.

        Then a window slides by one region every eight steps over a shuffled order, so that most are decoded already.
        """
        regions = self.regions["train"]
        room = max(16, int(0.8 * budget / max(self._slices.nbytes(r.index) for r in regions[:16])))
        if self._slices.mapped or len(regions) <= room:
            return np.arange(len(regions))
        order = np.random.default_rng([seed, len(regions)]).permutation(len(regions))
        return order[(step // 8 + np.arange(room)) % len(regions)]

    def regions_of(self, chosen: Sequence[bool]) -> np.ndarray:
        """Numbers of the training regions whose slices are `chosen`."""
        return np.flatnonzero([chosen[region.index] for region in self.regions["train"]])

    def random(self, draws: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Training places (N, 3) that uniform numbers (N, 2) pick, in the regions numbered `active`."""
        if self.limit:
            return self._few[(draws[:, 0] * self.limit).astype(int)]
        edges = np.cumsum(self._counts[active])
        picks = active[np.searchsorted(edges, draws[:, 0] * edges[-1], side="right").clip(max=len(active) - 1)]
        places = np.empty((len(draws), 3), np.int64)
        for row, pick in enumerate(picks):
            places[row] = self.place(self.regions["train"][pick], draws[row, 1])
        return places

    def place(self, region: Region, u: float) -> tuple[int, int, int]:
        """Slice, top and left of the position that the uniform number u in [0, 1) picks."""
        positions = self._positions(region)
        flat = int(u * positions) if isinstance(positions, int) else int(positions[int(u * len(positions))])
        y, x = divmod(flat, region.width - self.span + 1)
        return region.index, region.top + y, region.left + x

    def _key(self, region: Region) -> tuple[Any, ...]:
        return self._slices.shapes[region.index], region.top, region.left, region.height, region.width

    def _positions(self, region: Region) -> int | np.ndarray:
        key = self._key(region)
        if key not in self._places:
            self._places[key] = corner_positions(region, self.span, self._fields[key[0]], self._inside)
        return self._places[key]

    def _grid(self, region: Region) -> np.ndarray:
        key = self._key(region)
        if key not in self._grids:
            self._grids[key] = grid_positions(region, self.span, self._fields[key[0]], self._inside)
        return self._grids[key]

    def _count(self, region: Region) -> int:
        positions = self._positions(region)
        return positions if isinstance(positions, int) else len(positions)


def spread(numbers: np.ndarray, n: int | None) -> np.ndarray:
    """At most `n` of them, spread evenly."""
    total = len(numbers)
    return numbers if n is None or n >= total else numbers[np.arange(n) * total // n]


def span_of(spec: str | Path, slices: Slices, size: int, pixel_size: float | None, scale: float | None) -> int:
    """Side of a tile in stored pixels, for tiles of `size` pixels of `pixel_size` micrometres or rescaled by `scale`."""
    if pixel_size is not None and scale is not None:
        raise InputError(f"{spec}: give pixel_size or scale, not both")
    given = [x for x in (pixel_size, scale) if x is not None]
    if not all(type(x) in (int, float) and 0 < x < 1e9 for x in given):
        raise InputError(f"{spec}: pixel_size and scale must be positive; a scale of 0.5 halves the resolution")
    factor = scale or 1.0
    if pixel_size is not None:
        if slices.pixel_size is None:
            raise InputError(f"{spec}: the files state no pixel size; give a scale instead of pixel_size={pixel_size}")
        factor = slices.pixel_size / pixel_size
    return max(1, round(size / factor))


def cut(
    read: Callable[[int], np.ndarray], places: np.ndarray, turns: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Tiles (N, *shape) at `places` (slice, top, left), turned; `read` gives a slice."""
    out = np.empty((len(places), *shape), dtype)
    for row in np.argsort(places[:, 0], kind="stable"):  # in the order of slices: each is decoded once
        index, y, x = places[row].tolist()
        out[row] = turn(read(index)[y : y + shape[0], x : x + shape[1]], turns[row])
    return out


def resize(images: np.ndarray, height: int, width: int | None = None) -> np.ndarray:
    """(N, C, H, W) to (N, C, height, width), square by default.

    Pillow widens its bicubic kernel when it shrinks, so this is antialiased.
    """
    width = height if width is None else width
    out = np.empty((*images.shape[:2], height, width), np.float32)
    for index in np.ndindex(images.shape[:2]):
        out[index] = Image.fromarray(images[index]).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(out, 0, 1, out=out)


def resize_labels(labels: np.ndarray, size: int) -> np.ndarray:
    """(N, H, H) to (N, size, size), each pixel the class of the nearest."""
    nearest = ((np.arange(size) + 0.5) * labels.shape[-1] / size).astype(int)
    return np.ascontiguousarray(labels[:, nearest[:, None], nearest])
