"""Memorisation: copies of training images, or of real ones, among synthetic images."""

from __future__ import annotations

import numpy as np

from veridical.auditing.inputs import Side
from veridical.auditing.measure import Measured
from veridical.core.errors import InputError


def with_copies(
    side: Side,
    other: Side,
    train: Side | None,
    known: tuple[np.ndarray, np.ndarray] | None,
    part: np.ndarray,
    x: Measured,
    y: Measured,
) -> tuple[Measured, Measured, np.ndarray | None, np.ndarray]:
    """Measurements with distances to training crops, fair ones, and which synthetic images equal a real or training image.

    Without training data, copies of REAL are searched for. As many threads search as the network's.
    """
    import torch
    from scipy.fft import set_workers

    from veridical.metrics.novelty import nearest_crop
    from veridical.scoring.result_rows import digests

    synth = other.images if other.images.shape[1] == side.images.shape[1] else other.images.mean(1, keepdims=True)
    files = set(digests(side.images)) | set(digests(train.images) if train else ())
    identical = np.array([digest in files for digest in digests(synth)])
    if known is not None:
        if [len(each) for each in known] != [len(x), len(y)]:
            raise InputError(f"copies must hold {len(x)} distances of real and {len(y)} of synthetic images")
        return x.with_copies(known[0]), y.with_copies(known[1]), np.asarray(known[1], np.float64), identical
    both = np.concatenate([side.images, synth])
    with set_workers(torch.get_num_threads()):
        if train is not None:
            found = nearest_crop(both, list(train.images)).distance
            return x.with_copies(found[: len(x)]), y.with_copies(found[len(x) :]), found[len(x) :], identical
        parts = int(part.max()) + 1
        if parts < 2:
            return x, y, None, identical
        found = np.stack([nearest_crop(both, list(side.images[part == f])).distance for f in range(parts)])
    own, nearest, fair = fair_distances(found, part, len(y))
    return x.with_copies(own), y.with_copies(nearest), fair, identical


def fair_distances(found: np.ndarray, part: np.ndarray, synth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copy distances of real images, of synthetic ones, and of those to as many training images as real ones have.

    Parameters
    ----------
    found : (parts, N + M)
        Distance of every image, real ones first, to the nearest crop in each part of the real images.
    part : (N,)
        Part that each real image belongs to. It is not searched for in there, so each synthetic one leaves out one, too.
    synth : M
    """
    parts, n = len(found), len(part)
    left_out = np.concatenate([part, np.arange(synth) % parts])
    others = found.copy()
    others[left_out, np.arange(found.shape[1])] = np.inf
    nearest = others.min(0)
    return nearest[:n], found[:, n:].min(0), nearest[n:]
