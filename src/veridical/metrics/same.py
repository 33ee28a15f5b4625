"""Which images are one and the same measurement? Equal pixels, but also the same image turned, shifted or saved anew.

Two images are the same if a smooth change of grey levels turns one into the other but for what noise, or saving it with
fewer bits or some loss, changes. Neighbouring slices are not: each has its own noise. Where images are so simple that different
ones differ by no more (`simple`), they are the same only if rounding explains what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veridical.core.arrays import check_array, digests
from veridical.core.orientation import unturn
from veridical.metrics.novelty import MARGIN, Crops, nearest_crop
from veridical.metrics.physics_spectrum import luminance, noise_level

NEAR = 0.3  # distance to a crop above which it is no more the same one
SAVED = 5 / 255  # standard deviation of what saving an image with loss changes
SHARE = 1 / 6  # of the contrast, that this is at most
NOISE = 0.5  # of the noise may differ; that of another measurement differs by more than all of it
ROUNDED = 0.35 / 255  # standard deviation of what rounding to 8 bits changes, and a little more
FREQUENT = 0.05  # share of images that are like another one, which is more than images there twice explain
DEVIATIONS = 6  # of the correlation of unrelated images, that one must exceed
SIDE = 16  # images are compared at this size first
LIKE = 0.9  # correlation there, from which on all pixels are compared
FEW = 8  # images that are compared so
KEPT = 4096  # images whose grey levels are kept for the next comparison
AT_ONCE = 256  # images of which all are compared with all earlier ones


class Own(NamedTuple):
    """What `own_crops` finds for N tiles.

    shared : (N,) bool, whether a tile is a crop of the images
    apart : (N,) lists of crops of the images, as (image, top, left), that are the tile or one of its group
    distance : (N,) distance to the nearest crop apart from these
    """

    shared: NDArray[Any]
    apart: list[list[tuple[int, int, int]]]
    distance: NDArray[Any]


def own_crops(
    tiles: np.ndarray,
    images: Sequence[np.ndarray],
    crops: Crops,
    groups: ArrayLike,
    *,
    orientations: int = 8,
    exactly: bool = False,
) -> Own:
    """Crops of training images that are the tiles themselves, and how near the tiles are to all others.

    A tile that was trained on says nothing of how near new images come to the training images, until its own image is left
    out. So are the images of its group (its slice), as often as they are found.

    Parameters
    ----------
    tiles, images, orientations : of `nearest_crop`
    crops : what it found
    groups : (N,) labels of tiles that belong together
    exactly : whether only rounding may differ
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    own: list[list[tuple[int, int, int]]] = [[] for _ in range(int(group.max()) + 1)]
    shared, distance = np.zeros(len(tiles), bool), np.array(crops.distance, np.float64)
    rows = np.arange(len(tiles))
    while True:
        same = same_crops(tiles[rows], images, crops, exactly=exactly)
        shared[rows[same]] = True
        more = set()
        for k, *place in zip(rows[same], crops.image[same], crops.top[same], crops.left[same], strict=True):
            number, y, x = map(int, place)
            if (number, y, x) not in own[group[k]]:
                own[group[k]].append((number, y, x))
                more.add(group[k])
        rows = np.flatnonzero(np.isin(group, list(more)))
        if not len(rows):
            return Own(shared, [own[g] for g in group], distance)
        crops = nearest_crop(tiles[rows], images, orientations=orientations, apart=[own[g] for g in group[rows]])
        distance[rows] = crops.distance


def same_crops(tiles: np.ndarray, images: Sequence[np.ndarray], crops: Crops, *, exactly: bool = False) -> NDArray[Any]:
    """Which tiles (N, C, H, W) are the same as the crops that `nearest_crop` found for them, (N,) bool; but for rounding, if
    `exactly`."""
    height, width = tiles.shape[2:]
    top, left = height // MARGIN, width // MARGIN
    inside = slice(top, height - top), slice(left, width - left)  # a crop may reach out of its image, but not here
    found = np.zeros(len(tiles), bool)
    for k in np.flatnonzero((crops.distance < NEAR) & (crops.image >= 0)):
        middle = unturn(tiles[k : k + 1, :, *inside], int(crops.orientation[k]), (2, 3))
        y, x = crops.top[k] + top, crops.left[k] + left
        crop = images[crops.image[k]][None, :, y : y + middle.shape[2], x : x + middle.shape[3]]
        found[k] = _same(_seen(middle)[0], _seen(crop)[0], exactly)
    return found


def simple(images: np.ndarray) -> bool:
    """Whether different images (N, C, H, W) are too much alike to tell which are the same one, such as drawings of one disc."""
    return float(np.mean(numbered(images) != numbered(images, exactly=True))) > FREQUENT


def numbered(*sets: np.ndarray, exactly: bool = False) -> NDArray[Any]:
    """A number an image, (N,): that of the first image of all sets which is the same, perhaps turned or mirrored.

    Parameters
    ----------
    sets : (N, C, H, W) in [0, 1], images of one size
    exactly : whether only rounding may differ
    """
    images = [np.ascontiguousarray(check_array(each, "images", "(N, C, H, W)"), np.float32) for each in sets]
    ends = np.cumsum([len(each) for each in images])

    def at(some: NDArray[Any]) -> NDArray[Any]:
        """Images of rising numbers; all sets in one array would be a copy of them."""
        within = np.split(some, np.searchsorted(some, ends[:-1]))
        return np.concatenate([each[k - end + len(each)] for each, k, end in zip(images, within, ends, strict=True)])

    first: dict[bytes, int] = {}
    each_digest = (digest for each in images for digest in digests(each))
    numbers = np.array([first.setdefault(digest, k) for k, digest in enumerate(each_digest)], int)
    rows = np.fromiter(first.values(), int)
    if len(rows) < 2:
        return numbers
    codes = range(8 if images[0].shape[2] == images[0].shape[3] else 4)
    seen = lru_cache(KEPT)(lambda j: _seen(at(rows[j : j + 1]))[0])
    small = np.concatenate([_small(luminance(at(part))) for part in _parts_of(rows)])
    for k, near in _alike(small, codes):
        one = seen(k)
        for j, code in near:
            if numbers[rows[j]] != rows[j]:
                continue
            if _same(one._replace(grey=unturn(one.grey, code)), seen(j), exactly):
                numbers[numbers == rows[k]] = rows[j]
                break
    return numbers


def _alike(small: NDArray[Any], codes: range) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Of small images (N, h, w) those that are like earlier ones, and of these the `FEW` nearest: (number, turn), the nearest
    first."""
    flat = small.reshape(len(small), -1)
    for part in _parts_of(np.arange(len(small))):
        best, turn = (
            np.full((len(part), part[-1] + 1), -np.inf, small.dtype),
            np.zeros((len(part), part[-1] + 1), np.int8),
        )
        for code in codes:
            turned = unturn(small[part], code, (1, 2)).reshape(len(part), -1)
            like = turned @ flat[: part[-1] + 1].T
            better = like > best
            best[better], turn[better] = like[better], code
        for row in np.flatnonzero((best > LIKE).sum(1) > 0):
            k = part[row]
            near = np.flatnonzero(best[row, :k] > LIKE)
            near = near[np.argsort(-best[row, near], kind="stable")[:FEW]]
            if len(near):
                yield k, [(int(j), int(turn[row, j])) for j in near]


def _parts_of(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return np.array_split(rows, max(1, -(-len(rows) // AT_ONCE)))


class _Seen(NamedTuple):
    """Grey levels (H, W) of an image in standard deviations from their mean, this deviation, and noise and what saving with loss
    changes as shares of it."""

    grey: NDArray[Any]
    contrast: float
    unsure: float


def _seen(images: np.ndarray) -> list[_Seen]:
    grey = luminance(images)
    grey = grey - grey.mean((1, 2), keepdims=True)
    contrast = grey.std((1, 2))
    units = np.where(contrast > 0, contrast, 1)
    noise = noise_level(images) if min(grey.shape[1:]) > 1 else np.zeros(len(images))
    unsure = np.maximum(NOISE * np.minimum(noise / units, 1), np.minimum(SAVED / units, SHARE))
    return [_Seen(g / u, c, s) for g, u, c, s in zip(grey, units, contrast.tolist(), unsure.tolist(), strict=True)]


def _same(one: _Seen, other: _Seen, exactly: bool) -> bool:
    """Whether each is a smooth function of the other but for what is unsure, and this is no chance."""
    contrast = min(one.contrast, other.contrast)
    if contrast < 1e-6:
        return False
    left = max(_left(one.grey, other.grey), _left(other.grey, one.grey))
    if left >= (ROUNDED / contrast if exactly else max(one.unsure, other.unsure)):
        return False
    # Correlations of unrelated images: the fewer details, the larger (Bartlett 1946).
    power = [np.abs(np.fft.fft2(each.grey)) ** 2 for each in (one, other)]
    chance = np.sqrt((power[0] * power[1]).sum() / (power[0].sum() * power[1].sum()))
    return bool(np.arctanh(np.sqrt(1 - left**2)) > DEVIATIONS * chance) if left > 1e-6 else True


def _left(grey: NDArray[Any], other: NDArray[Any]) -> float:
    """Standard deviation of what is left of grey levels after the cubic of others that comes nearest to them."""
    powers = np.stack([other.ravel() ** p for p in range(4)], 1)
    fitted = np.linalg.lstsq(powers.T @ powers, powers.T @ grey.ravel())[0]
    return float((grey.ravel() - powers @ fitted).std())


def _small(grey: NDArray[Any]) -> NDArray[Any]:
    """Means of (N, H, W) over at most `SIDE` x `SIDE` parts of equal area, of zero mean and unit length."""
    rows, columns = (_parts(side) for side in grey.shape[1:])
    small = rows @ grey @ columns.T
    small -= small.mean((1, 2), keepdims=True)
    length = np.sqrt((small**2).sum((1, 2), keepdims=True))
    return np.divide(small, length, out=np.zeros_like(small), where=length > 1e-6)


def _parts(side: int) -> NDArray[Any]:
    """Weights (parts, side) of pixels in parts of equal length; a pixel on an edge counts for both."""
    edges = np.linspace(0, side, min(side, SIDE) + 1)[:, None]
    pixels = np.arange(side)
    shared = np.minimum(pixels + 1, edges[1:]) - np.maximum(pixels, edges[:-1])
    return np.maximum(shared, 0) / (edges[1] - edges[0])
