"""Make a review: tiles of two sets in random order, as they are shown, and a key to what they are."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import new_folder, write_array, write_json
from veridical.core.version import __version__
from veridical.data.alike import common_size, cut_images
from veridical.data.focus import undone
from veridical.data.images import ImageSet, read_images
from veridical.data.names import group_of
from veridical.data.readers.runs import is_run
from veridical.data.window import IntensityWindow
from veridical.runs.real import cut_alike, held_out
from veridical.scoring.reviewed import REVIEW, TILES, Plan, Side, Tile
from veridical.stats.groups import spread_evenly

LARGEST = 1024  # pixels of a side that fit on a screen
Set = tuple[Images, list[str], list[str]]  # images, names, groups


def make_review(
    real: str | Path, synth: str | Path, out: str | Path, *, tiles: int = 20, size: int | None = None, seed: int = 0
) -> Path:
    """Write a folder with which people review tiles blind: ``veridical studio`` shows them, `veridical.review` reads the answers.

    Parameters
    ----------
    real : str or Path
        Real images, best such as were not trained on; or a run: its held-out tiles.
    synth : str or Path
        Synthetic images.
    out : str or Path
        New folder: ``review.json`` (what each tile is), ``tiles.npy`` (8 bits, in the window of the real images).
    tiles : int
        Of each kind, spread evenly over the slices.
    size : int, optional
        Cut images to this size; by default what fits if sizes differ.
    seed : int
        Of the choice of tiles; their order is drawn anew.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        If images cannot be read or compared, are fewer than `tiles` or too large for a screen, or `out` is not new.
    """
    if tiles < 1 or seed < 0:
        raise InputError(f"tiles={tiles}, seed={seed}: give at least one tile of each kind and a seed of at least 0.")
    window, sides = _opened(real, synth, size)
    chosen: list[Tile] = []
    pixels: list[NDArray[np.uint8]] = []
    kinds: tuple[Side, Side] = ("real", "synthetic")
    for k, (side, spec, (images, names, groups)) in enumerate(zip(kinds, (real, synth), sides, strict=True)):
        if len(images) < tiles:
            raise InputError(f"{spec} has {len(images)} tiles, fewer than {tiles}: ask for fewer.")
        for row in spread_evenly(groups, tiles, seed + k):
            chosen.append({"file": names[row], "side": side, "group": groups[row]})
            pixels.append(np.rint(np.clip(np.nan_to_num(images[row]), 0, 1) * 255).astype(np.uint8))
    channels = max(len(each) for each in pixels)
    shown = np.stack([np.broadcast_to(each, (channels, *each.shape[1:])) for each in pixels]).transpose(0, 2, 3, 1)
    # Not by the seed: who knows that, and this file, would know what is what.
    order = np.random.default_rng(secrets.randbits(128)).permutation(len(chosen))
    plan: Plan = {
        "schema": 1, "version": __version__, "created": datetime.now(UTC).isoformat(timespec="seconds"), "real": str(real),
        "synth": str(synth), "seed": seed, "window": asdict(window), "tiles": [chosen[k] for k in order],
    }  # fmt: skip
    with new_folder(Path(out)) as folder:
        write_array(folder / TILES, np.ascontiguousarray(shown[order]))
        write_json(folder / REVIEW, plan)
    return Path(out)


def _opened(real: str | Path, synth: str | Path, size: int | None) -> tuple[IntensityWindow, tuple[Set, Set]]:
    """Both sets in the window of the real one, cut to one size."""
    if is_run(Path(real)):
        shown, groups, made = cut_alike(*held_out(real), synth, size)
    else:
        shown = read_images(real)
        made = read_images(synth, window=shown.window)
        side = size or common_size({"real": shown.images.shape[2:], "synth": made.images.shape[2:]})
        made = undone(synth, made, side)
        if side is not None:
            shown, made = _cut(shown, side, "REAL"), _cut(made, side, "SYNTH")
        groups = [group_of(name) for name in shown.names]
    height, width = made.images.shape[2:]
    if max(height, width) > LARGEST:
        raise InputError(
            f"images of {width} x {height} pixels do not fit on a screen: give a size of at most {LARGEST}."
        )
    return shown.window, (
        (shown.images, shown.names, groups),
        (made.images, made.names, [group_of(name) for name in made.names]),
    )


def _cut(found: ImageSet, size: int, called: str) -> ImageSet:
    images, names = cut_images(found.images, found.names, size, called)
    return found._replace(images=images, names=names)
