"""Are labelled images of use? A small segmentation network of fixed design, to train on one set and to test on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import NO_LABEL
from veridical.core.errors import InputError
from veridical.data.masks import labelled_only, rank, stored
from veridical.data.open import open_dataset
from veridical.data.pixel_size import pixel_size_remarks
from veridical.metrics.same import numbered, simple
from veridical.nets.segmentation import predict_masks, train_segmentation
from veridical.scoring.common import SAME
from veridical.scoring.result_rows import interval_row, joined
from veridical.stats.jackknife import jackknife

FEWEST_SEEDS = 2


def utility(
    real: str,
    synth: str,
    *,
    size: int = 64,
    scale: float | None = None,
    split: str | None = None,
    hold_out: int = 0,
    seeds: int = 3,
    steps: int = 600,
    progress: Callable[[float, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Train to segment real images on synthetic ones: is that as good as real ones, and do both together help?

    Parameters
    ----------
    real, synth : folders of images with ``masks/`` beside them, or phantoms
    size : side of the tiles
    scale : factor by which both are resized first
    split, hold_out : what of the real images is held out for the test, as in `open_dataset`
    seeds : networks to train of each kind
    steps : of each training; the same for few and for many images
    progress : function called with (share done, what is going on)

    Returns
    -------
    list of dict
        Result rows `dice_real` (trained on real training tiles), `dice_synth`, `dice_both`, and the differences
        `dice_synth_minus_real` and `dice_both_minus_real`, each with its 95 % interval: the mean over classes of the
        Dice coefficient on held-out real tiles, mean over seeds. ``settings`` has that of every class. Intervals are by
        jackknife over seeds and over slices of the test.

    Raises
    ------
    InputError
        Masks missing, or synthetic ones with classes that the real ones do not have.
    """  # fmt: skip
    if seeds < FEWEST_SEEDS:
        raise InputError(f"{seeds} seed says nothing of chance; give at least {FEWEST_SEEDS}")
    say = progress or (lambda share, note: None)
    data = open_dataset(real, size, scale=scale, split=split, hold_out=hold_out, masks=True, augment="none")
    made = open_dataset(synth, size, scale=scale, split="none", masks=True, augment="none", window=data.window)
    if made.channels != data.channels:
        raise InputError(
            f"{real} and {synth} differ in channels ({data.channels} and {made.channels}); convert one of them"
        )
    remarks = pixel_size_remarks({real: data.pixel_size, synth: made.pixel_size})
    values = data.mask_values or ()
    pairs = {
        which: (data.tiles(which)[0], labelled_only(data.tile_conditions(which)["mask"], values))
        for which in ("train", "test")
    }
    images = made.tiles("train")[0]
    masks = stored(made.tile_conditions("train")["mask"], made.mask_values or ())
    masks = labelled_only(rank(masks, values, [synth] * len(masks)), values)
    kinds = {
        "real": pairs["train"], "synth": (images, masks),
        "both": tuple(np.concatenate(each) for each in zip(pairs["train"], (images, masks), strict=True)),
    }  # fmt: skip
    test, truth = pairs["test"]
    remarks += leaked(test, images)
    classes, total = len(values), len(kinds) * seeds
    counts = {name: np.empty((seeds, 2, len(test), classes)) for name in kinds}
    for k, (name, seed) in enumerate((name, seed) for seed in range(seeds) for name in kinds):
        say(k / total, f"training on {name}, seed {seed}")
        network = train_segmentation(*kinds[name], classes=classes, steps=steps, seed=seed)
        counts[name][seed] = overlaps(truth, predict_masks(network, test), classes)
    say(1.0, "done")
    about = {
        "steps": steps,
        "seeds": seeds,
        "size": size,
        "train_tiles": {name: len(x) for name, (x, _) in kinds.items()},
    }
    return [row | {"remark": joined(row["remark"], *remarks)} for row in _rows(counts, data.tiles("test")[1], about)]


def leaked(test: NDArray[Any], images: NDArray[Any]) -> list[str]:
    """A remark if held-out images are among the synthetic ones."""
    both = numbered(np.concatenate([test, images]), exactly=simple(test))
    many = int(np.isin(both[: len(test)], both[len(test) :]).sum())
    if not many:
        return []
    return [
        f"{many} of the {len(test)} held-out real tiles are among the synthetic ones ({SAME}): trained on these, a network "
        "has seen the answer"
    ]


def _rows(counts: dict[str, NDArray[Any]], groups: list[str], about: dict[str, Any]) -> list[dict[str, Any]]:
    seeds, _, n, _ = counts["real"].shape

    def mean(name: str) -> Callable[..., float]:
        return lambda of, rows: float(np.nanmean(dice_of(counts[name][np.ix_(of, [0, 1], rows)])))

    rows = []
    for name in counts:
        each = np.nanmean(dice_of(counts[name]), 0)
        settings = about | {"classes": {k: float(v) for k, v in enumerate(each) if np.isfinite(v)}}
        found = jackknife(mean(name), [range(seeds), groups], bounds=(0, 1))
        rows.append(interval_row(f"dice_{name}", found, n, None, settings))
    for name in ("synth", "both"):
        first, second = mean(name), mean("real")
        found = jackknife(
            lambda of, at, a=first, b=second: a(of, at) - b(of, at), [range(seeds), groups], bounds=(-1, 1)
        )
        rows.append(interval_row(f"dice_{name}_minus_real", found, n, None, about))
    return rows


def overlaps(true: NDArray[Any], found: NDArray[Any], classes: int) -> NDArray[Any]:
    """Twice the common pixels, and the sum of the pixels, of every image and class: (2, N, classes)."""
    known = true != NO_LABEL
    both = [[(a == k) & known for k in range(classes)] for a in (true, found)]
    counts = [[2 * (a & b).sum((1, 2)), a.sum((1, 2)) + b.sum((1, 2))] for a, b in zip(*both, strict=True)]
    return np.array(counts, float).transpose(1, 2, 0)


def dice_of(counts: NDArray[Any]) -> NDArray[Any]:
    """Dice of each network and class, (seeds, classes), over all images; NaN for a class that is nowhere."""
    common, total = counts.sum(2).transpose(1, 0, 2)
    return np.divide(common, total, out=np.full_like(common, np.nan), where=total > 0)


def dice(true: NDArray[Any], predicted: NDArray[Any]) -> dict[int, float]:
    """Dice coefficient 2 |A and B| / (|A| + |B|) of every class that occurs, over all pixels of all masks together.

    Parameters
    ----------
    true, predicted : arrays of one shape, class numbers
        Pixels where `true` is 255 do not count.

    Raises
    ------
    InputError
        If the shapes differ, or no pixel counts.
    """
    if true.shape != predicted.shape:
        raise InputError(f"masks to compare must have one shape, not {true.shape} and {predicted.shape}.")
    a, b = true[true != NO_LABEL], predicted[true != NO_LABEL]
    if not a.size:
        raise InputError("no pixel of the true masks is labelled: nothing can be compared.")
    shares = {int(k): 2 * np.sum((a == k) & (b == k)) / (np.sum(a == k) + np.sum(b == k)) for k in np.union1d(a, b)}
    return {k: float(share) for k, share in shares.items()}
