"""Pairs of phantoms, before and after an instruction, that differ in nothing else.

The structure is drawn once, its objects are changed from a random stream of their own, and both are seen with the same grey
values, noise and rings: outside the written region of change every pixel of the two is equal to the bit.
"""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.phantoms import changes_cmc, changes_rocks, changes_roots
from veridical.phantoms.drawing import CHANGE, KINDS, Options, View, draw_structure, stream, views
from veridical.wording import instruct, instructions

CHANGES: dict[str, dict[str, Callable[..., Any]]] = {
    "cmc": changes_cmc.CHANGES,
    "rocks": changes_rocks.CHANGES,
    "roots": changes_roots.CHANGES,
}
"""What can be changed, by kind; each is a function (rng, structure, options) -> structure or None."""

VISIBLE = 0.01  # change of an image value that belongs to the region of change; noise is two to five times as large
SPECK = 6  # pixels; smaller pieces of visible change, where no label changes, are streaks of the reconstruction
REACH = 3  # pixels round it that belong to it too
TRIES = 50  # phantoms that are looked through for each pair found, and for the next
SELDOM = 5  # of the first `TRIES` phantoms have to allow a change for it to be one of "all"


@dataclass(frozen=True)
class Pairs:
    """Images before and after an instruction.

    Attributes
    ----------
    before, after : (N, C, S, S) float32 in [0, 1]; equal to the bit where `changed` is False.
    changed : (N, S, S) bool.
    before_masks, after_masks : (N, S, S) uint8 labels, as of phantoms.
    before_properties, after_properties : N rows of numbers.
    instructions : one sentence each.
    paraphrases : of each all sentences that say the same.
    numbers : which phantom of the seed each `before` is.
    """

    before: np.ndarray
    after: np.ndarray
    changed: np.ndarray
    before_masks: np.ndarray
    after_masks: np.ndarray
    before_properties: list[dict[str, float]]
    after_properties: list[dict[str, float]]
    instructions: list[str]
    paraphrases: list[tuple[str, ...]]
    numbers: list[int]


Pair = tuple[int, View, View, np.ndarray, str]


def pairs(
    kind: str,
    name: str,
    n: int,
    size: int = 256,
    seed: int = 0,
    *,
    options: Options | None = None,
    workers: int = 1,
) -> Pairs:
    """Make pairs of one change, of several at once, or of several kinds in turn.

    Phantoms in which there is nothing to change are passed over, so that `before` is a choice of the phantoms of this seed;
    pair j depends neither on n nor on the number of processes.

    Parameters
    ----------
    kind : "cmc", "rocks" or "roots".
    name : a key of ``CHANGES[kind]``, or several joined by "+", which are done one after another. Several of these with
        commas, or "all" keys, take turns; no phantom is in two pairs. "all" leaves out, with a note, what phantoms of these
        options hardly ever allow.
    n, size, seed, options, workers : as in `veridical.phantoms.generate`.

    Raises
    ------
    InputError : unknown kind or change, numbers out of range, or phantoms that hardly ever allow the change.
    """
    if kind not in KINDS:
        raise InputError(f"there is no phantom {kind!r}: choose one of {', '.join(KINDS)}")
    kinds = [one.split("+") for one in (CHANGES[kind] if name == "all" else name.split(","))]
    for one in (one for names in kinds for one in names):
        if one not in CHANGES[kind]:
            raise InputError(
                f"{kind} phantoms have no change {one!r}: choose from {', '.join(CHANGES[kind])}, joined by + (at once) or "
                "commas (in turn), or all"
            )
    options = options or KINDS[kind][1]()
    if not isinstance(options, KINDS[kind][1]):
        raise InputError(f"options of the {kind} phantom must be {KINDS[kind][1].__name__}")
    if n < 1 or size < 32 or seed < 0:
        raise InputError(f"pairs need n >= 1, size >= 32 and seed >= 0, not n={n}, size={size}, seed={seed}")
    if name == "all":
        kinds = _allowed(kind, kinds, size, seed, options)
    values = n * size**2 * (27 if kind == "roots" else 11)  # two float32 images, two uint8 masks and a bool
    check_cost(f"pairs of phantom {kind}", pixels=size**2, images=2 * n, nbytes=values)
    workers = min(workers, n, os.cpu_count() or 1)
    turns = [
        _of_one(kind, names, len(range(k, n, len(kinds))), (k, len(kinds)), size, seed, options, workers)
        for k, names in enumerate(kinds[:n])
    ]
    found = [turns[k % len(kinds)][k // len(kinds)] for k in range(n)]
    return Pairs(
        np.stack([before.image for _, before, *_ in found]),
        np.stack([after.image for _, _, after, *_ in found]),
        np.stack([changed for _, _, _, changed, _ in found]),
        np.stack([before.mask for _, before, *_ in found]),
        np.stack([after.mask for _, _, after, *_ in found]),
        [before.properties for _, before, *_ in found],
        [after.properties for _, _, after, *_ in found],
        [text for *_, text in found],
        [instructions(kinds[k % len(kinds)]) for k in range(n)],
        [number for number, *_ in found],
    )


def _allowed(kind: str, kinds: list[list[str]], size: int, seed: int, options: Options) -> list[list[str]]:
    """Those of some changes that phantoms of these options allow more than now and then."""
    times = dict.fromkeys(map(tuple, kinds), 0)
    for k in range(TRIES):
        structure, _ = draw_structure(kind, size, seed, options, k)
        for (name,) in [names for names, found in times.items() if found < SELDOM]:
            times[(name,)] += CHANGES[kind][name](stream(seed, k, *CHANGE, 0), structure, options) is not None
        if min(times.values()) >= SELDOM:
            break
    seldom = [name for (name,), found in times.items() if found < SELDOM]
    if len(seldom) == len(kinds):
        raise InputError(f"phantom {kind}: these options allow no change; {_hint(kind)}")
    if seldom:
        tell(
            f"phantom:{kind}",
            f"{', '.join(seldom)} left out: hardly a phantom of these options allows it; {_hint(kind)}",
        )
    return [list(names) for names, found in times.items() if found >= SELDOM]


def _of_one(
    kind: str,
    names: list[str],
    n: int,
    which: tuple[int, int],
    size: int,
    seed: int,
    options: Options,
    workers: int,
) -> list[Pair]:
    """Pairs of one change, or of several at once, of every so many-th phantom from one on."""
    found, tried = _find(partial(_pair, kind, names, size, seed, options, which), n, workers)
    if len(found) < n:
        raise InputError(
            f"phantom {kind}: only {len(found)} of {tried} allow {'+'.join(names)}, {n} are asked for; {_hint(kind)}"
        )
    if tried > n:
        tell(f"phantom:{kind}", f"{tried - n} of {tried} phantoms do not allow {'+'.join(names)} and are passed over")
    return found


def _hint(kind: str) -> str:
    """How to ask for phantoms that allow more."""
    room = {"cmc": ", such as volume_fraction=0.2,0.64 for room between fibres"}
    return f"ask for others with its options{room.get(kind, '')}"


def _find(one: Callable[[int], Pair | None], n: int, workers: int) -> tuple[list[Pair], int]:
    """The first n pairs, in the order of their phantoms, or fewer if they are too rare, and how many were looked through."""
    found: list[Pair] = []
    tried = 0
    with ProcessPoolExecutor(workers) if workers > 1 else contextlib.nullcontext() as pool:
        for pair in _in_order(one, n, pool):
            tried += 1
            found += [pair] if pair else []
            if len(found) == n or tried == TRIES * (len(found) + 1):
                break
    return found, tried


def _in_order(one: Callable[[int], Pair | None], n: int, pool: ProcessPoolExecutor | None) -> Iterator[Pair | None]:
    """What becomes of phantom 0, 1, ..., on several processors a block at a time."""
    block = min(n, TRIES)
    for first in itertools.count(step=block):
        turns = range(first, first + block)
        yield from map(one, turns) if pool is None else pool.map(one, turns)


def _pair(
    kind: str, names: list[str], size: int, seed: int, options: Options, which: tuple[int, int], turn: int
) -> Pair | None:
    k = which[0] + which[1] * turn
    structure, rng = draw_structure(kind, size, seed, options, k)
    changed = structure
    for number, name in enumerate(names):
        changed = CHANGES[kind][name](stream(seed, k, *CHANGE, number), changed, options)
        if changed is None:
            return None
    before, after = views(kind, rng, [structure, changed], options)
    region = _region(before, after)
    after = View(np.where(region, after.image, before.image), after.mask, after.properties)
    return k, before, after, region, instruct(names, stream(seed, k, *CHANGE, len(names)))


def _region(before: View, after: View) -> np.ndarray:
    """Where labels differ, or image values visibly, and what lies near; (S, S) bool."""
    labels = after.mask != before.mask
    differs = labels | (np.abs(after.image - before.image).max(0) > VISIBLE)
    pieces, n = ndimage.label(differs, structure=np.ones((3, 3)))
    numbers = np.arange(n + 1)
    keep = (ndimage.sum_labels(differs, pieces, numbers) >= SPECK) | (ndimage.sum_labels(labels, pieces, numbers) > 0)
    keep[0] = False
    if not keep.any():
        return np.zeros_like(labels)
    return np.asarray(ndimage.distance_transform_edt(~keep[pieces]) <= REACH)
