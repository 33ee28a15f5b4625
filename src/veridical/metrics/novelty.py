"""Is a synthetic image new? Distances to the nearest training tile, in pixels."""

from typing import NamedTuple

import numpy as np

SUSPICIOUS = 0.05  # share of held-out real tiles that the threshold of `memorised_share` gives away by chance
CHUNK_BYTES = 256 * 2**20


class Nearest(NamedTuple):
    """For every image the number of its nearest training tile and the distance to it, both (N,)."""

    tile: np.ndarray
    distance: np.ndarray


def nearest(images: np.ndarray, train: np.ndarray, *, orientations: bool = True) -> Nearest:
    """Nearest training tile of every image over flips and quarter turns.

    Parameters
    ----------
    images : (N, C, H, W)
    train : (M, C, H, W)
    orientations : compare all 8 flips and quarter turns (4 flips when H != W), as training with these augmentations can
        copy a tile in any of them

    Returns
    -------
    Nearest
        distance = 1 - normalised cross-correlation: 0 for a copy up to brightness and contrast, 1 for unrelated images
        and for an image without contrast, at most 2.

    Notes
    -----
    A correlation sees copies in place only: a training crop that was copied a few pixels off is as far as any other
    image, so give training tiles cut as training cuts them. Smooth images correlate better with anything than sharp
    ones do.
    """
    images, train = np.asarray(images, np.float32), np.asarray(train, np.float32)
    if images.ndim != 4 or images.shape[1:] != train.shape[1:] or not len(train):
        raise ValueError(
            f"images and training tiles must be (N, C, H, W) of one size, got {images.shape}, {train.shape}"
        )
    index, best = np.zeros(len(images), int), np.full(len(images), -np.inf, np.float32)
    step = max(1, CHUNK_BYTES // (4 * train[0].size))
    for start in range(0, len(train), step):
        tiles = _unit(train[start : start + step]).T
        rows = max(1, CHUNK_BYTES // (4 * tiles.shape[1]))
        for first in range(0, len(images), rows):
            part = slice(first, first + rows)
            for turned in _turns(images[part]) if orientations else [images[part]]:
                correlation = _unit(turned) @ tiles
                at = correlation.argmax(1)
                value = correlation[np.arange(len(at)), at]
                nearer = value > best[part]
                index[part] = np.where(nearer, start + at, index[part])
                best[part] = np.where(nearer, value, best[part])
    return Nearest(index, np.clip(1 - best.astype(np.float64), 0, 2))


def memorised_threshold(test_distance: np.ndarray, share: float = SUSPICIOUS) -> tuple[float, float]:
    """Distance below which an image counts as a copy, and the share of new real images that fall below it by chance.

    The threshold is the k-th smallest of the n distances of held-out real tiles, k = floor(share (n + 1)). A further
    held-out tile falls below it with probability k / (n + 1) exactly, whatever the distribution. Needs n >= 1 / share -
    1 tiles.
    """
    ordered = np.sort(np.asarray(test_distance, np.float64))
    k = int(np.floor(share * (len(ordered) + 1) + 1e-9))
    if k < 1:
        raise ValueError(f"at least {int(np.ceil(1 / share)) - 1} held-out tiles are needed, got {len(ordered)}")
    return float(ordered[k - 1]), k / (len(ordered) + 1)


def memorised_share(synth_distance: np.ndarray, test_distance: np.ndarray, share: float = SUSPICIOUS) -> float:
    """Share of synthetic images nearer to a training tile than all but about 5 % of held-out real tiles are.

    Real images that were never trained on score `share` on average; a generator that copies scores 1.
    """
    threshold, _ = memorised_threshold(test_distance, share)
    return float(np.mean(np.asarray(synth_distance) < threshold))


def _turns(images: np.ndarray):
    for image in (images, images.swapaxes(2, 3)) if images.shape[2] == images.shape[3] else (images,):
        for rows in (image, image[:, :, ::-1]):
            yield rows
            yield rows[:, :, :, ::-1]


def _unit(images: np.ndarray) -> np.ndarray:
    """Rows of zero mean and unit length, (N, C H W); zeros for an image without contrast."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # rounding leaves a constant image some 1e-8 a pixel, which must not pass for contrast
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-6 * np.sqrt(flat.shape[1]))
