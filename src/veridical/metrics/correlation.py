"""Normalised cross-correlation of tiles with all windows of images: candidates first, then the best place exactly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np

KEEP = 16  # candidates of a tile
NEAR = 64  # neighbouring places of which one at most becomes a candidate
BLOCK = 512  # places that are compared at a time
LINES = 1024  # turned tiles that a block is compared with at a time, so that their correlations stay in the cache
CHUNK = 2**18  # pixels of small images that are worked on together
FLAT = 1e-3  # contrast, where that of the training images is about 1, below which there is none

Item = TypeVar("Item")
Result = TypeVar("Result")


class Candidates:
    """The best places of tiles among windows that are offered in turn.

    Parameters
    ----------
    tiles : (n, turns, C, h, w)
        Unit vectors, in the turns 0, 2, 4, 6 or the first of them (see `veridical.core.orientation.unturn`).
    mirrored : bool
        Try them mirrored left-right, which are the turns 1, 3, 5, 7, too.
    barred : (K, 6), optional
        Places that are no candidates: of tile t, windows of an image whose corner lies from `top` to `bottom` and from
        `left` to `right`, both included; columns t, image, top, bottom, left, right.
    """

    def __init__(self, tiles: np.ndarray, mirrored: bool, barred: np.ndarray | None = None):
        self._n, self._turns = tiles.shape[:2]
        self._mirrored = mirrored
        self._barred = np.empty((0, 6), int) if barred is None else barred[np.argsort(barred[:, 1], kind="stable")]
        even, odd = (part / 2 for part in _parts(tiles.reshape(-1, *tiles.shape[2:])))
        each = max(1, LINES // self._turns)
        self._groups = [
            (
                np.arange(n, min(n + each, self._n)),
                *(part[n * self._turns :][: each * self._turns] for part in (even, odd)),
            )
            for n in range(0, self._n, each)
        ]
        self._values = np.full((self._n, KEEP), -np.inf, np.float32)
        self._places = np.zeros((self._n, KEEP, 4), int)

    def of(self, k: int) -> np.ndarray:
        """Candidates (m, 4) of tile k: image, top, left, turn."""
        return self._places[k][self._values[k] > -np.inf]

    def offer(self, windows: np.ndarray, places: np.ndarray, each: Callable[..., Iterable[None]] = map) -> None:
        """Compare with windows (m, C, h, w), unit vectors, at `places` (m, 3): image, top, left; neighbours in order.

        With e and o the products of the parts that are even and odd under mirroring, a tile correlates as e + o and
        its mirror image as e - o: two orientations at the price of one. `each` goes through groups of tiles, which have
        nothing in common: `map`, or that of a pool of threads.
        """
        starts = range(0, len(windows), BLOCK)
        blocks = [(*_parts(windows[start : start + BLOCK]), places[start : start + BLOCK]) for start in starts]

        def compare(group: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
            for block in blocks:
                self._compare(group, *block)

        list(each(compare, self._groups))

    def _compare(
        self,
        group: tuple[np.ndarray, np.ndarray, np.ndarray],
        even: np.ndarray,
        odd: np.ndarray,
        places: np.ndarray,
    ) -> None:
        tiles, tiles_even, tiles_odd = group
        sums, differences = tiles_even @ even.T, tiles_odd @ odd.T
        sums += np.abs(differences) if self._mirrored else differences
        self._bar(sums, tiles, places)
        # Few tiles find anything better in most blocks.
        better = np.flatnonzero(sums.max(1).reshape(-1, self._turns).max(1) > self._values[tiles].min(1))
        lines = (better[:, None] * self._turns + np.arange(self._turns)).ravel()
        sums, differences, tiles = sums[lines], differences[lines], tiles[better]
        values, found = [self._values[tiles]], [self._places[tiles]]
        for start in range(0, len(places), NEAR):
            part = sums[:, start : start + NEAR]
            at = part.argmax(1)
            best = part[np.arange(len(at)), at].reshape(-1, self._turns)
            line = best.argmax(1) + self._turns * np.arange(len(tiles))
            at = start + at[line]
            turn = 2 * (line % self._turns) + (self._mirrored & (differences[line, at] < 0))
            values.append(best.max(1, keepdims=True))
            found.append(np.column_stack([places[at], turn])[:, None])
        value, place = np.concatenate(values, 1), np.concatenate(found, 1)
        order = np.argpartition(-value, KEEP, 1)[:, :KEEP]
        self._values[tiles] = np.take_along_axis(value, order, 1)
        self._places[tiles] = np.take_along_axis(place, order[:, :, None], 1)

    def _bar(self, sums: np.ndarray, tiles: np.ndarray, places: np.ndarray) -> None:
        """Correlations (len(tiles) * turns, m) of windows that are no candidates become -inf, in place."""
        first, last = np.searchsorted(self._barred[:, 1], (places[0, 0], places[-1, 0] + 1))  # images are in order
        barred = self._barred[first:last]
        barred = barred[(barred[:, 0] >= tiles[0]) & (barred[:, 0] <= tiles[-1])]
        for tile, image, top, bottom, left, right in barred:
            y, x = places[:, 1], places[:, 2]
            there = (places[:, 0] == image) & (y >= top) & (y <= bottom) & (x >= left) & (x <= right)
            start = (tile - tiles[0]) * self._turns
            sums[start : start + self._turns, there] = -np.inf


def best_place(
    tile: np.ndarray, images: Sequence[np.ndarray], places: np.ndarray, reach: int
) -> tuple[float, tuple[int, ...]]:
    """Correlation at the best place, which is (image, top, left, turn), up to `reach` pixels from some candidates.

    Parameters
    ----------
    tile : (turns, C, h, w)
        Unit vectors, in all turns.
    images : sequence of (C, H, W)
        At least 2 `reach` larger than the tile.
    places : (m, 4)
        Image, top, left, turn.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    height, width = tile.shape[2:]
    size = height + 2 * reach, width + 2 * reach
    windows, corners = np.empty((len(places), tile.shape[1], *size)), np.empty((len(places), 2), int)
    for k, (number, y, x, _) in enumerate(places):
        image = images[number]
        y, x = (max(min(at - reach, n - m), 0) for at, n, m in zip((y, x), image.shape[1:], size, strict=True))
        windows[k], corners[k] = image[:, y : y + size[0], x : x + size[1]], (y, x)
    fast = [next_fast_len(side, real=True) for side in size]
    product = (rfft2(windows, fast) * rfft2(tile[places[:, 3]], fast).conj()).sum(1)
    inner = irfft2(product, fast)[:, : 2 * reach + 1, : 2 * reach + 1]
    energy = _box_sums(windows**2, height, width) - _box_sums(windows, height, width) ** 2 / (height * width)
    length = np.sqrt(np.maximum(energy.sum(1), 0))
    found = np.divide(inner, length, out=np.zeros_like(inner), where=length > FLAT * np.sqrt(tile[0].size))
    k, dy, dx = np.unravel_index(found.argmax(), found.shape)
    place = places[k, 0], corners[k, 0] + dy, corners[k, 1] + dx, places[k, 3]
    return float(found[k, dy, dx]), tuple(map(int, place))


def alike(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Images in order, (n, C, H, W): such of one size that follow each other, as small ones are faster together."""
    start = 0
    while start < len(images):
        stop, most = start + 1, max(1, CHUNK // images[start][0].size)
        while stop < min(len(images), start + most) and images[stop].shape == images[start].shape:
            stop += 1
        yield np.stack([np.asarray(image, np.float32) for image in images[start:stop]])
        start = stop


def ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What `function` makes of `items`, in order: the next one in the pool while the last one is used, and no more."""
    coming: Future[Result] | None = None
    for item in items:
        now, coming = coming, pool.submit(function, item)
        if now is not None:
            yield now.result()
    if coming is not None:
        yield coming.result()


def windows_of(images: np.ndarray, shape: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All windows of (N, C, H, W), some thousand at a time: unit vectors (m, C, h, w), image, top and left (m, 3)."""
    views = np.lib.stride_tricks.sliding_window_view(images, shape, axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    lines = max(1, 8 * BLOCK // (views.shape[0] * views.shape[2]))
    for top in range(0, views.shape[1], lines):
        part = views[:, top : top + lines]
        places = np.indices(part.shape[:3]).reshape(3, -1).T + np.array([0, top, 0])
        yield unit(part.reshape(-1, *part.shape[3:])), places


def unit(images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) with channels of zero mean, of unit length; zeros where there is no contrast."""
    images = images - images.mean((2, 3), keepdims=True)
    length = np.sqrt(np.einsum("nchw,nchw->n", images, images))[:, None, None, None]
    return np.divide(images, length, out=np.zeros_like(images), where=length > FLAT * np.sqrt(images[0].size))


def _parts(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the parts even and odd under mirroring of (N, C, H, W), (N, d): the left halves, which say everything.

    The product of two even parts is half that of their halves, if the middle column of an odd number has weight a half.
    """
    mirror, half = images[..., ::-1], (images.shape[-1] + 1) // 2
    even, odd = (images + mirror)[..., :half], (images - mirror)[..., :half]
    if images.shape[-1] % 2:
        even[..., -1] /= np.sqrt(2)
    return even.reshape(len(images), -1), odd.reshape(len(images), -1)


def _box_sums(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sums over all windows of (N, C, H, W)."""
    total = np.pad(images.cumsum(2).cumsum(3), ((0, 0), (0, 0), (1, 0), (1, 0)))
    rows = total[:, :, height:] - total[:, :, :-height]
    return rows[..., width:] - rows[..., :-width]
