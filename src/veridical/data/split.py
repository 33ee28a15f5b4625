"""Which parts of which slices are for training and which are held out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.field import Fields, Region, Regions
from veridical.data.names import group_of, sides_of
from veridical.data.rows import key_of, rows_of
from veridical.data.slices import Slices
from veridical.data.tables import read_table

__all__ = ["group_of", "neighbours", "split_regions"]

SPLIT_WORDS = {"training": "train", "trn": "train", "testing": "test", "tst": "test"}  # other spellings in a table
FEW = 5  # with fewer images than this, a part of each is held out instead of whole images


def split_regions(
    spec: str | Path,
    slices: Slices,
    use: Sequence[int],
    span: int,
    fields: Fields,
    fraction: float = 0.2,
    hold_out: int = 0,
    table: str | Path | None = None,
    twins: Mapping[int, int] | None = None,
    notes: list[str] | None = None,
) -> tuple[dict[str, Any], Regions]:
    """Decide what is held out; `veridical.data.open.open_dataset` states the rules.

    Parameters
    ----------
    spec : str or Path
        Names the data in errors.
    slices : Slices
    use : sequence of int
        Slices worth using.
    span : int
        Side of a tile in stored pixels.
    fields : mapping
        Field of view for each image shape.
    fraction : float
        Share to hold out.
    hold_out : int
        Images or slices to hold out instead of a share; 0 is the share.
    table : path, optional
        CSV file with columns name, split; "none": every image is on both sides.
    twins : mapping, optional
        The first slice that is the same picture, of each slice that has such; they are never on both sides.
    notes : list of str, optional
        What a user should know is added to it.

    Returns
    -------
    rule : dict
        ``by``: "table", "folder", "slice", "image", "block" or "none"; with counts and the gap.
    regions : dict
        Lists of `Region` under "train" and "test".
    """
    if not 0 < fraction < 1:
        raise InputError(f"test_fraction={fraction}: must lie between 0 and 1; 0.2 holds out a fifth")
    if hold_out < 0:
        raise InputError(f"hold_out={hold_out}: must not be negative; 4 holds out four images, 0 a fifth")
    names = [slices.names[i] for i in use]
    twins, notes = twins or {}, [] if notes is None else notes
    by_folder = sides_of(names)
    if table is None and Path(spec, "split.csv").exists():
        table = Path(spec, "split.csv")
    if hold_out and (table or by_folder):
        said = "its folders" if not table else "split none" if table == "none" else Path(table).name
        raise InputError(
            f"{spec}: what is held out is said by {said}, so that hold_out={hold_out} cannot be: leave it out"
        )
    if table == "none":
        rule, regions = _whole(slices, use, ["train"] * len(use), {"by": "none"})
        return {**rule, "n_test": len(use)}, {"train": regions["train"], "test": list(regions["train"])}
    if table is not None:
        return _apart(
            spec, slices, use, _read_table(Path(table), str(spec), names, notes), {"by": "table"}, twins, notes
        )
    if by_folder is not None:
        return _apart(spec, slices, use, by_folder, {"by": "folder"}, twins, notes)
    if slices.stack and (hold_out or len(use) >= FEW):
        gap = max(1, min(span, len(use) // 10))
        n_test = _number(spec, len(use), fraction, hold_out, gap)
        sides = ["train"] * (len(use) - n_test - gap) + ["gap"] * gap + ["test"] * n_test
        return _apart(spec, slices, use, sides, {"by": "slice", "gap": gap}, twins, notes)
    groups = _groups(slices, use, twins)
    distinct = list(dict.fromkeys(groups))
    counted = _counted(slices, use, groups, distinct)
    by_image = not slices.stack and len(distinct) >= 2
    if not hold_out and (not by_image or len(distinct) < FEW):
        boxes = {i: _box(slices.shapes[i], fields) for i in use}
        small = [i for i in use if max(boxes[i][2:]) < 3 * span or min(boxes[i][2:]) < span]
        if not small:
            return _blocks(boxes, span, fraction)
        if not by_image:
            raise _too_small(spec, slices.names[small[0]], boxes[small[0]], span, counted)
    if counted and len(distinct) < FEW:
        notes.append(counted)
    if twins:
        copy, first = next(iter(twins.items()))
        notes.append(
            f"{len(twins)} images are the same pictures as others, such as {slices.names[copy]} and {slices.names[first]}; "
            "those that are equal stay on one side of the split"
        )
    cut = len(distinct) - _number(spec, len(distinct), fraction, hold_out)
    gap = neighbours(distinct, cut, span)
    side = {group: "train" if k < cut - gap else "gap" if k < cut else "test" for k, group in enumerate(distinct)}
    rule = {"by": "image", **({"gap": gap} if gap else {})}
    return _apart(spec, slices, use, [side[group] for group in groups], rule, twins, notes)


def _number(spec: str | Path, count: int, fraction: float, hold_out: int, gap: int = 0) -> int:
    """How many of `count` images or slices to hold out, so that one is left to train on."""
    most = count - gap - 1
    if hold_out > most:
        raise InputError(
            f"{spec}: hold_out={hold_out} leaves nothing to train on: there are {count} images (slices, of a stack; tiles of one "
            f"image count as one); {f'hold out at most {most}' if most > 0 else 'leave it out'}"
        )
    return hold_out or min(max(1, round(fraction * count)), most)


def _groups(slices: Slices, use: Sequence[int], twins: Mapping[int, int]) -> list[str]:
    """The image that each slice is of: tiles of one image, and the same picture under several names, are of one."""
    group = {i: group_of(slices.names[i]) for i in use}
    first: dict[str, str] = {}  # of each group, the one that it has become part of

    def root(name: str) -> str:
        while name in first:
            name = first[name]
        return name

    for i in use:
        if i in twins and twins[i] in group:
            mine, other = root(group[i]), root(group[twins[i]])
            if mine != other:
                first[mine] = other
    return [root(group[i]) for i in use]


def _counted(slices: Slices, use: Sequence[int], groups: Sequence[str], distinct: Sequence[str]) -> str:
    """How names, or copies, make few images out of many files; empty if they do not."""
    if len(distinct) == len(use):
        return ""
    k = next(k for k, group in enumerate(groups) if groups.index(group) < k)
    return (
        f"{len(use)} files count as {len(distinct)} image{'s' * (len(distinct) > 1)} for the split: "
        f"{slices.names[use[k]]}, by its name or its pixels, is of {groups[k]}"
    )


def _apart(
    spec: str | Path,
    slices: Slices,
    use: Sequence[int],
    sides: Sequence[str],
    rule: dict[str, Any],
    twins: Mapping[int, int],
    notes: list[str],
) -> tuple[dict[str, Any], Regions]:
    """Whole images on their sides, but a training image that is the same picture as a held-out one is left out."""
    held = {twins.get(i, i): i for i, side in zip(use, sides) if side == "test"}
    both = [i for i, side in zip(use, sides) if side == "train" and twins.get(i, i) in held]
    if both:
        pair = f"{slices.names[both[0]]} and {slices.names[held[twins.get(both[0], both[0])]]}"
        if len(both) == sum(side == "train" for side in sides):
            raise InputError(
                f"{spec}: all training images are held-out ones too, such as {pair}; give two disjoint sets"
            )
        notes.append(
            f"{len(both)} training images are the same pictures as held-out ones, such as {pair}, and are left out of training"
        )
    dropped = set(both)
    return _whole(slices, use, ["copy" if i in dropped else side for i, side in zip(use, sides)], rule)


def neighbours(names: Sequence[str], cut: int, span: int) -> int:
    """Images to leave out before the first held-out one where they are numbered like it: slices of one volume, perhaps.

    A missing slice, a second scan or a stray picture keeps a folder from being one series (`Slices.stack`).
    """
    series = [re.sub(r"\d+(?=\D*$)", "#", name) for name in names]
    if "#" not in series[cut]:
        return 0
    before = 0
    while before < cut - 1 and series[cut - 1 - before] == series[cut]:
        before += 1
    return min(before, span, max(1, series.count(series[cut]) // 10))


def _whole(
    slices: Slices, use: Sequence[int], sides: Sequence[str], rule: dict[str, Any]
) -> tuple[dict[str, Any], Regions]:
    regions: Regions = {"train": [], "test": []}
    for i, side in zip(use, sides):
        if side in regions:
            regions[side].append(Region(i, 0, 0, *slices.shapes[i]))
    return {**rule, "n_train": len(regions["train"]), "n_test": len(regions["test"])}, regions


def _blocks(
    boxes: Mapping[int, tuple[int, int, int, int]], span: int, fraction: float
) -> tuple[dict[str, Any], Regions]:
    """Hold out the end of every image along its longer side, after a gap of one tile."""
    regions: Regions = {"train": [], "test": []}
    for i, box in boxes.items():
        whole = Region(i, *box)
        length = max(whole.height, whole.width)
        rest, end = whole.parted(min(max(span, round(fraction * length)), length - 2 * span), span)
        regions["train"].append(rest)
        regions["test"].append(end)
    return {"by": "block", "gap": span, "n_train": len(boxes), "n_test": len(boxes)}, regions


def _box(shape: tuple[int, int], fields: Fields) -> tuple[int, int, int, int]:
    """Top, left, height and width of the field of view."""
    field = fields.get(shape)
    if field is None:
        return 0, 0, *shape
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _too_small(spec: str | Path, name: str, box: tuple[int, int, int, int], span: int, counted: str) -> InputError:
    _, _, height, width = box
    return InputError(
        f"{spec}: {counted}{'; ' if counted else ''}{name} has {width} x {height} usable pixels, too few for a training and a "
        f"test block with a gap between them at a tile size of {span}; give an image of at least {3 * span} x {span}, or a "
        f"tile size of at most {min(max(height, width) // 3, height, width)}"
    )


def _read_table(path: Path, spec: str, names: Sequence[str], notes: list[str]) -> list[str]:
    """Side of each image from a CSV file that names it with or without folder and suffix."""
    table: dict[str, set[str]] = {}
    for image, row in zip(*read_table(path, ["split"]), strict=True):
        said_of = row["split"].lower()
        table.setdefault(key_of(image), set()).add(SPLIT_WORDS.get(said_of, said_of))
    found = [set().union(*(table[key] for key in keys)) for keys in rows_of(spec, names, list(table))]
    missing = [name for name, said in zip(names, found) if not said]
    if missing:
        raise InputError(f"{path}: has no row for {missing[0]} and {len(missing) - 1} more; add name,split rows")
    for name, said in zip(names, found):
        if len(said) > 1:
            raise InputError(f"{path}: says {' and '.join(sorted(said))} of {name}; leave one row")
    sides = [next(iter(each)) for each in found]
    if others := {side: sides.count(side) for side in dict.fromkeys(sides) if side not in ("train", "test")}:
        counted = ", ".join(f"{count} called {side or 'nothing'!r}" for side, count in others.items())
        notes.append(f"{path.name} puts {counted} neither into train nor into test: they are left out")
    for side in ("train", "test"):
        if side not in sides:
            raise InputError(f"{path}: puts no image into {side}; both train and test need one")
    return sides
