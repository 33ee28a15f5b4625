"""Memorisation: copies of training images, or of real ones, among synthetic images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from veridical.auditing.inputs import Side
from veridical.auditing.measure import Measured
from veridical.core.arrays import digests
from veridical.core.errors import InputError
from veridical.stats.groups import merged

PARTS = 10  # of the real images, one of which is left out in the search for copies of them


class Copies(NamedTuple):
    """What the search for copies gives.

    real, synth : measurements with copy distances, if copies were searched for
    fair : (M,) distances of synthetic images to as many training images as those of real ones, or None
    identical : (M,) bool, synthetic images that equal a real or training image
    notes : what a user should know of the search
    """

    real: Measured
    synth: Measured
    fair: np.ndarray | None
    identical: np.ndarray
    notes: list[str]


def with_copies(
    side: Side,
    other: Side,
    train: Side | None,
    known: tuple[np.ndarray, np.ndarray] | None,
    units: np.ndarray,
    exactly: bool,
    x: Measured,
    y: Measured,
) -> Copies:
    """Search for copies of training images; without such, of real ones. As many threads search as the network's.

    Real images that are training images too would be 0 from them, as copies are: for these, and all of their unit by
    `units` (N,), their own images are left out of the search. They are recognised `exactly`, up to rounding, or up to noise.
    """
    import torch
    from scipy.fft import set_workers

    from veridical.metrics.novelty import nearest_crop

    synth = other.images if other.images.shape[1] == side.images.shape[1] else other.images.mean(1, keepdims=True)
    files = set(digests(side.images)) | set(digests(train.images) if train else ())
    identical = np.array([digest in files for digest in digests(synth)])
    if known is not None:
        known = _checked(known, side, train, exactly, len(y))
        return Copies(x.with_copies(known[0]), y.with_copies(known[1]), known[1], identical, [])
    both = np.concatenate([side.images, synth])
    with set_workers(torch.get_num_threads()):
        if train is not None:
            own, nearest, fair, shared = _among_training(side.images, synth, list(train.images), units, exactly)
            notes = [_note(shared, len(x))] if shared else []
            return Copies(x.with_copies(own), y.with_copies(nearest), fair, identical, notes)
        part = merged(units, PARTS)
        parts = int(part.max()) + 1
        if parts < 2:
            return Copies(x, y, None, identical, [])
        found = np.stack([nearest_crop(both, list(side.images[part == f])).distance for f in range(parts)])
    own, nearest, fair = fair_distances(found, part, len(y))
    return Copies(x.with_copies(own), y.with_copies(nearest), fair, identical, [])


def _among_training(
    real: np.ndarray, synth: np.ndarray, images: list[np.ndarray], units: np.ndarray, exactly: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Distances of real images to others than themselves, of synthetic ones to all and fair ones; how many real ones are among
    the training images."""
    from veridical.metrics.novelty import Crops, nearest_crop
    from veridical.metrics.same import own_crops

    found = nearest_crop(np.concatenate([real, synth]), images)
    n, nearest = len(real), found.distance[len(real) :]
    own = own_crops(real, images, Crops(*(column[:n] for column in found)), units, exactly=exactly)
    # A real image is compared with all but its own unit's images; so each synthetic one leaves out those of a unit, too: of any,
    # as synthetic images may be in the order of those that they are copies of.
    drawn = np.random.default_rng(0).permutation(n)
    without = [own.apart[drawn[j % n]] for j in range(len(synth))]
    rows = [j for j, places in enumerate(without) if places]
    fair = nearest.copy()
    if rows:
        fair[rows] = nearest_crop(synth[rows], images, apart=[without[j] for j in rows]).distance
    return own.distance, nearest, fair, int(own.shared.sum())


def _note(shared: int, n: int) -> str:
    return (
        f"{shared} of the {n} real images are among the training images (equal, turned, shifted or saved anew); in the "
        "search for copies they were compared with the other training images, without their own"
    )


def _checked(
    known: tuple[np.ndarray, np.ndarray], side: Side, train: Side | None, exactly: bool, synth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances that are given, if real images are none of the training images."""
    from veridical.metrics.novelty import nearest_crop
    from veridical.metrics.same import NEAR, same_crops

    real, made = (np.asarray(each, np.float64) for each in known)
    if [real.shape, made.shape] != [(len(side.images),), (synth,)]:
        raise InputError(f"copies must hold {len(side.images)} distances of real and {synth} of synthetic images")
    near, images = side.images[real < NEAR], [] if train is None else list(train.images)
    if images and len(near) and same_crops(near, images, nearest_crop(near, images), exactly=exactly).any():
        raise InputError("copies: some real images are among the training images, 0 from themselves; leave copies out")
    return real, made


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
