"""Which parts of which slices are for training and which are held out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.field import Fields, Region, Regions
from veridical.data.slices import Slices
from veridical.data.tables import read_table, stem

FEW = 5  # with fewer images than this, a part of each is held out instead of whole images


def group_of(name: str) -> str:
    """Name of the image that a tile file was cut from: ``versa0000_r1c2`` and ``versa0000_y0x128`` -> ``versa0000``."""
    return re.sub(r"[_-](r\d+c\d+|y\d+x\d+)$", "", name)


def split_regions(
    spec: str | Path,
    slices: Slices,
    use: Sequence[int],
    span: int,
    fields: Fields,
    fraction: float = 0.2,
    table: str | Path | None = None,
) -> tuple[dict[str, Any], Regions]:
    """Decide what is held out; `veridical.data.dataset.open_dataset` states the rules.

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
    table : path, optional
        CSV file with columns name, split; "none": every image is on both sides.

    Returns
    -------
    rule : dict
        ``by``: "table", "folder", "slice", "image", "block" or "none"; with counts and the gap.
    regions : dict
        Lists of `Region` under "train" and "test".
    """
    if not 0 < fraction < 1:
        raise InputError(f"test_fraction={fraction}: must lie between 0 and 1; 0.2 holds out a fifth")
    names = [slices.names[i] for i in use]
    tops = [name.split("/")[0] for name in names]
    groups = [group_of(name) for name in names]
    distinct = list(dict.fromkeys(groups))
    if table == "none":
        rule, regions = _whole(slices, use, ["train"] * len(use), {"by": "none"})
        return {**rule, "n_test": len(use)}, {"train": regions["train"], "test": list(regions["train"])}
    if table is None and Path(spec, "split.csv").is_file():
        table = Path(spec, "split.csv")
    if table is not None:
        return _whole(slices, use, _read_table(Path(table), names), {"by": "table"})
    if set(tops) == {"train", "test"}:
        return _whole(slices, use, tops, {"by": "folder"})
    if slices.stack and len(use) >= FEW:
        gap = max(1, min(span, len(use) // 10))
        n_test = min(max(1, round(fraction * len(use))), len(use) - gap - 1)
        sides = ["train"] * (len(use) - n_test - gap) + ["gap"] * gap + ["test"] * n_test
        return _whole(slices, use, sides, {"by": "slice", "gap": gap})
    by_image = not slices.stack and len(distinct) >= 2
    if not by_image or len(distinct) < FEW:
        boxes = {i: _box(slices.shapes[i], fields) for i in use}
        small = [i for i in use if max(boxes[i][2:]) < 3 * span or min(boxes[i][2:]) < span]
        if not small:
            return _blocks(boxes, span, fraction)
        if not by_image:
            raise _too_small(spec, slices.names[small[0]], boxes[small[0]], span)
    cut = len(distinct) - min(max(1, round(fraction * len(distinct))), len(distinct) - 1)
    gap = _neighbours(distinct, cut, span)
    side = {group: "train" if k < cut - gap else "gap" if k < cut else "test" for k, group in enumerate(distinct)}
    return _whole(slices, use, [side[group] for group in groups], {"by": "image", **({"gap": gap} if gap else {})})


def _neighbours(names: Sequence[str], cut: int, span: int) -> int:
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
    for i, (top, left, height, width) in boxes.items():
        length = max(height, width)
        held = min(max(span, round(fraction * length)), length - 2 * span)
        kept, start = length - held - span, length - held
        if height >= width:
            regions["train"].append(Region(i, top, left, kept, width))
            regions["test"].append(Region(i, top + start, left, held, width))
        else:
            regions["train"].append(Region(i, top, left, height, kept))
            regions["test"].append(Region(i, top, left + start, height, held))
    return {"by": "block", "gap": span, "n_train": len(boxes), "n_test": len(boxes)}, regions


def _box(shape: tuple[int, int], fields: Fields) -> tuple[int, int, int, int]:
    """Top, left, height and width of the field of view."""
    field = fields.get(shape)
    if field is None:
        return 0, 0, *shape
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _too_small(spec: str | Path, name: str, box: tuple[int, int, int, int], span: int) -> InputError:
    _, _, height, width = box
    return InputError(
        f"{spec}: {name} has {width} x {height} usable pixels, too few for a training and a test block with a gap "
        f"between them at a tile size of {span}; give an image of at least {3 * span} x {span}, or a tile size of at "
        f"most {min(max(height, width) // 3, height, width)}"
    )


def _read_table(path: Path, names: Sequence[str]) -> list[str]:
    """Side of each image from a CSV file that names it with or without folder and suffix."""
    table = {}
    for image, row in zip(*read_table(path, ["split"]), strict=True):
        table[image] = table[stem(image)] = row["split"].lower()
    sides = [table.get(name, table.get(name.rsplit("/", 1)[-1])) for name in names]
    missing = [name for name, side in zip(names, sides) if side is None]
    if missing:
        raise InputError(f"{path}: has no row for {missing[0]} and {len(missing) - 1} more; add name,split rows")
    for side in ("train", "test"):
        if side not in sides:
            raise InputError(f"{path}: puts no image into {side}; both train and test need one")
    return [side or "" for side in sides]
