"""What is known of edits beforehand: pairs of phantoms before and after a change, or real images of which nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.conditions.delivery import write_arrays
from veridical.core.arrays import Images
from veridical.core.files import read_json, write_json
from veridical.phantoms import parse_options
from veridical.phantoms.drawing import CHANGE, draw_structure, stream, views
from veridical.phantoms.pairing import CHANGES, pairs
from veridical.phantoms.telling import captions_of

APART = 1000  # between the seeds of two changes: no phantom is in two, as an image is compared with its own source and others


@dataclass(frozen=True)
class Pairs:
    """Images to edit, and what is known of them; N rows.

    Attributes
    ----------
    before : ndarray of float32, shape (N, C, H, W), values in [0, 1]
    names : list of str
        The change of each.
    source_prompts, prompts, instructions : list of str
        What each shows, what it shall show, and what is to be done; "" where that is not said.
    after, another : ndarray, like `before`, or None
        The true after-image and another draw of the same change; None where nothing is known.
    region : ndarray of bool, shape (N, H, W), or None
        Where the true change is.
    masks : ndarray of uint8, shape (N, H, W), or None
        Labels of what is before.
    had, asked : list of dict
        Properties of before and after.
    groups : list of str
        The slice of each.
    """

    before: Images
    names: list[str]
    source_prompts: list[str]
    prompts: list[str]
    instructions: list[str]
    groups: list[str]
    after: Images | None = None
    another: Images | None = None
    region: NDArray[np.bool_] | None = None
    masks: NDArray[np.uint8] | None = None
    had: list[dict[str, float]] | None = None
    asked: list[dict[str, float]] | None = None

    def __len__(self) -> int:
        return len(self.before)

    def of(self, name: str) -> NDArray[np.int_]:
        """Row numbers of a change."""
        return np.flatnonzero([name == other for other in self.names])

    def rows(self, numbers: NDArray[np.int_]) -> Pairs:
        """Some of them."""

        def some(value: Any) -> Any:
            if value is None:
                return None
            return value[numbers] if isinstance(value, np.ndarray) else [value[k] for k in numbers]

        return Pairs(**{name: some(getattr(self, name)) for name in self.__dataclass_fields__})


def phantom_pairs(kind: str, name: str, n: int, size: int, seed: int, given: Mapping[str, str]) -> Pairs:
    """Pairs of one change with complete captions, and another draw of each."""
    options = parse_options(kind, dict(given))
    found = pairs(kind, name, n, size, seed, options=options)
    another = []
    for k in found.numbers:
        structure, rng = draw_structure(kind, size, seed, options, k)
        other = structure
        for number, one in enumerate(name.split("+")):
            other = CHANGES[kind][one](stream(seed + 1, k, *CHANGE, number), other, options) or other
        another.append(views(kind, rng, [structure, other], options)[1].image)
    rng = np.random.default_rng(0)

    def told(masks: NDArray[Any], properties: Sequence[Mapping[str, float]]) -> list[str]:
        return [captions_of(kind, m, p, rng)[0][0] for m, p in zip(masks, properties, strict=True)]

    return Pairs(
        found.before, [name] * n, told(found.before_masks, found.before_properties),
        told(found.after_masks, found.after_properties), list(found.instructions),
        [f"{name} {k}" for k in found.numbers], found.after, np.stack(another), found.changed, found.before_masks,
        found.before_properties, found.after_properties,
    )  # fmt: skip


def all_pairs(kind: str, names: Sequence[str], n: int, size: int, seed: int, given: Mapping[str, str]) -> Pairs:
    """`n` pairs of each of some changes, of phantoms of their own."""
    return joined([phantom_pairs(kind, name, n, size, seed + APART * k, given) for k, name in enumerate(names)])


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Several as one."""

    def whole(name: str) -> Any:
        found = [getattr(part, name) for part in parts]
        if found[0] is None:
            return None
        return np.concatenate(found) if isinstance(found[0], np.ndarray) else [one for rows in found for one in rows]

    return Pairs(**{name: whole(name) for name in Pairs.__dataclass_fields__})


def told_pairs(tiles: Images, groups: Sequence[str], asked: Sequence[Mapping[str, str]], n: int) -> Pairs:
    """Real tiles, `n` of their own for each of some changes in words: nothing else is known of these."""
    rows = np.linspace(0, len(tiles) - 1, min(len(tiles), n * len(asked))).astype(int)
    turns = [asked[k % len(asked)] for k in range(len(rows))]

    def said(name: str) -> list[str]:
        return [turn.get(name, "") for turn in turns]

    names = [turn.get("instruction") or turn["prompt"] for turn in turns]
    return Pairs(
        tiles[rows], names, said("source_prompt"), said("prompt"), said("instruction"), [groups[k] for k in rows]
    )


ARRAYS = ("before", "after", "another", "region", "masks")


def write_pairs(folder: Path, known: Pairs) -> None:
    """As ``pairs.npz`` and ``pairs.json``."""
    write_arrays(folder / "pairs.npz", {name: v for name in ARRAYS if (v := getattr(known, name)) is not None})
    said = {name: getattr(known, name) for name in known.__dataclass_fields__ if name not in ARRAYS}
    write_json(folder / "pairs.json", said)


def read_pairs(folder: Path) -> Pairs:
    """What `write_pairs` wrote."""
    with np.load(folder / "pairs.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Pairs(**arrays, **read_json(folder / "pairs.json", dict[str, Any]))
