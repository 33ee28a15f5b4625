"""Which images are one and the same measurement? Equal pixels, but also the same image turned, shifted or saved anew.

Two images are the same if a smooth change of grey levels turns one into the other but for what noise, or saving it with
fewer bits or some loss, changes. Neighbouring slices are not: each has its own noise. Where images are so simple that different
ones differ by no more (`simple`), they are the same only if rounding explains what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def numbered(images: np.ndarray, *, exactly: bool = False) -> NDArray[Any]:
    """A number an image, (N,): that of the first image which is the same, perhaps turned or mirrored.

    Parameters
    ----------
    images : (N, C, H, W) in [0, 1]
    exactly : whether only rounding may differ
    """
    images = np.ascontiguousarray(check_array(images, "images", "(N, C, H, W)"), np.float32)
    first: dict[bytes, int] = {}
    numbers = np.array([first.setdefault(each, k) for k, each in enumerate(digests(images))], int)
    rows = np.fromiter(first.values(), int)
    if len(rows) < 2:
        return numbers
    seen = _seen(images[rows])
    codes = range(8 if images.shape[2] == images.shape[3] else 4)
    small = _small(luminance(images[rows]))
    turned = [unturn(small, code, (1, 2)).reshape(len(small), -1) for code in codes]
    for k in range(1, len(rows)):
        like = np.stack([each[k] @ small[:k].reshape(k, -1).T for each in turned])
        best = like.max(0)
        for j in np.argsort(-best, kind="stable")[:FEW]:
            same = numbers[rows[j]] == rows[j] and best[j] > LIKE
            code = int(like[:, j].argmax())
            if same and _same(seen[k]._replace(grey=unturn(seen[k].grey, code)), seen[j], exactly):
                numbers[numbers == rows[k]] = rows[j]
                break
    return numbers


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
