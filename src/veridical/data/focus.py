"""Training tiles drawn by what is in them, where most are empty; and samples brought back to how often such tiles are."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import check_content, read_json
from veridical.core.notes import tell
from veridical.data.alike import cut_images
from veridical.data.images import ImageSet

EMPTY = 0.2  # of the contrast of the richest tenth of tiles: what has less is as good as empty
RICH = 0.9  # the quantile that is the richest tenth
KINDS: dict[str, Any] = {"factor": float, "full": float, "kept": float, "size": int, "counts": float}
TRIES = 8  # times `factor`, after which a tile is taken as it comes: one in 3,000 of data that are all empty


@dataclass(frozen=True)
class Focus:
    """How training tiles are drawn: with a chance proportional to `weights`, anywhere in the training images.

    Attributes
    ----------
    factor : float
        How much more often the richest tenth of tiles is drawn than empty ones.
    full : float
        Contrast of the richest tenth.
    kept : float
        Share of samples that `natural` leaves, if they are as what was trained on.
    size : int
        Pixels across a tile.
    counts : float
        Grey levels of the data from 0 to 1.
    """

    factor: float
    full: float
    kept: float
    size: int
    counts: float

    def weights(self, images: Images) -> np.ndarray:
        """From 1 for empty images to `factor` for full ones, (N,): linear in the contrast between them."""
        part = (contrast(images) / self.full - EMPTY) / (1 - EMPTY)
        return 1 + (self.factor - 1) * np.clip(part, 0, 1)

    def natural(self, images: Images, counts: float | None = None) -> np.ndarray:
        """Which of the images (N, C, S, S) to keep, so that they are as if all tiles had been drawn alike; increasing numbers.

        They have as many grey levels from 0 to 1 as the data, or so many `counts`.

        Rejection sampling: image k is kept with the chance one over its weight, by the k-th of a fixed row of random numbers.
        """
        if counts is not None and counts != self.counts:
            images = images * np.float32(counts / self.counts)
        kept: np.ndarray = np.flatnonzero(np.random.default_rng(0).random(len(images)) * self.weights(images) < 1)
        return kept

    def more(self, n: int) -> int:
        """How many samples to draw so that about `n` are kept, rather more."""
        return math.ceil(n / self.kept + 3 * math.sqrt(n) / self.kept)

    def to_json(self) -> dict[str, Any]:
        """As ``run.json`` and the provenance of samples have it."""
        return asdict(self) | {
            "what": "training tiles are drawn by their contrast, full ones `factor` times as often as empty ones; scores keep of "
            "the samples what a draw of all tiles alike would give",
        }


def contrast(images: Images) -> np.ndarray:
    """Standard deviation of images (N, C, H, W) over pixels, without noise of single ones, in quadratic mean over channels: (N,).

    A plain colour has none, however far its channels lie apart.
    """
    from scipy.ndimage import uniform_filter

    found = uniform_filter(images, (0, 0, 3, 3), mode="nearest").std((2, 3))
    return np.sqrt((found**2).mean(1))


def focus_on(factor: float, tiles: Images, counts: float) -> Focus:
    """What `factor` means for data with such training tiles, drawn alike, and so many grey levels from 0 to 1.

    Raises
    ------
    InputError
        If there is no contrast in any of them.
    """
    full = float(np.quantile(contrast(tiles), RICH))
    if full <= 0:
        raise InputError(
            f"focus={factor:g}: nine of ten tiles are of one grey level, so that none is richer: leave it out."
        )
    found = Focus(factor, full, 1.0, tiles.shape[2], counts)
    # Of tiles drawn by their weight w, 1 / w is kept: the mean over these is one over the mean of w over all tiles.
    return replace(found, kept=float(1 / found.weights(tiles).mean()))


def focus_of(about: dict[str, Any], name: object) -> Focus | None:
    """What ``run.json`` or a provenance that `name` holds says of the data that were trained on; None: all tiles alike."""
    held = about.get("focus")
    if held is None:
        return None
    check_content(held, dict[str, float | str], name)
    try:
        found = Focus(*(kind(held[key]) for key, kind in KINDS.items()))
    except (KeyError, ValueError, OverflowError):
        found = Focus(0, 0, 0, 0, 0)
    sound = 1 <= found.factor < 1e6 and 0 < found.full < 1e6 and 0 < found.kept <= 1
    if not (sound and found.size > 0 and 0 < found.counts < math.inf):
        raise InputError(f"{name}: its focus cannot be read: it was damaged or is not what it should be.")
    return found


def undone(spec: object, samples: ImageSet, size: int | None) -> ImageSet:
    """Samples of a run with a focus, as many as `Focus.natural` keeps; any others as they are. How many are left is told.

    Parameters
    ----------
    spec : str or Path
        Where they were read from: a folder that `veridical sample` wrote says how its run was trained.
    samples : ImageSet
        Images (N, C, H, W) in [0, 1] of any window, as they were drawn: what a training tile weighed is known of all of it alone.
    size : int, optional
        What they will be cut to. Images larger than tiles are cut to tiles here.

    Raises
    ------
    InputError
        If images larger than tiles are not to be cut to tiles.
    """
    place = Path(str(spec)) / "provenance.json"
    focus = None
    if place.is_file():
        held = read_json(place)
        dataset = held.get("dataset") if isinstance(held, dict) else None
        focus = focus_of(dataset, place) if isinstance(dataset, dict) else None
    if focus is None:
        return samples
    images, names = samples.images, samples.names
    if images.shape[2:] != (focus.size, focus.size):
        if size != focus.size:
            raise InputError(
                f"{spec}: these images are larger than the tiles that were drawn by contrast (focus {focus.factor:g}): "
                f"compare them as tiles, with --size {focus.size}."
            )
        images, names = cut_images(images, names, size, str(spec))
    kept = focus.natural(images, samples.window.high - samples.window.low)
    tell(
        spec,
        f"{len(kept)} of {len(names)} samples are compared: they were learned from tiles that were drawn by contrast "
        f"(focus {focus.factor:g}), and these are as many of each kind as in tiles drawn alike; draw more for more",
    )
    return samples._replace(images=images[kept], names=[names[k] for k in kept])
