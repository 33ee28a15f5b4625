"""A part of the training images that is not trained on, by which a training is watched: never what is held out for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from veridical.data.field import Region
from veridical.data.names import group_of, without_side
from veridical.data.slices import Slices
from veridical.data.split import neighbours

SHARE = 0.1  # of the training images, where nothing is asked for
LARGER = 0.2  # what is worth asking for where that has too few tiles
ENOUGH = 40  # tiles that a score needs (`veridical.scoring.sets.FEWEST`): with fewer nothing is set apart unasked
MOST = 200  # tiles that a score reads: more images than have so many are not set apart unasked
FEWEST = 10  # tiles without which nothing is set apart, even where it is asked for
TAKEN = 1 / 3  # of the length of an image at most, with the gap, where the end of each is set apart


@dataclass(frozen=True)
class Apart:
    """Regions to train on and regions to watch by; how many images (or pixels) lie between; or why there are none."""

    train: list[Region]
    validation: list[Region]
    gap: int
    reason: str = ""
    by_block: bool = False


def set_apart(
    slices: Slices,
    train: Sequence[Region],
    tiles: Sequence[int],
    span: int,
    share: float | None,
    twins: Mapping[int, int],
) -> Apart:
    """Take the last of the training images, whole ones, after a gap as that before the held-out ones.

    Parameters
    ----------
    slices : Slices
    train : sequence of Region
        Whole images, in the order of the split.
    tiles : sequence of int
        Tiles that lie side by side in each of them.
    span : int
        Side of a tile in stored pixels: the largest gap between slices of a volume.
    share : float, optional
        Of the images. By default a tenth, of no more images than give `MOST` tiles, and nothing if these have fewer than
        `ENOUGH`.
    twins : mapping
        The first slice that is the same picture, of each slice that has such: a copy of what is set apart is not trained on.

    Returns
    -------
    Apart
        With all of `train` and the reason where images are too few.
    """
    names = [group_of(without_side(slices.names[region.index])) for region in train]
    distinct = list(dict.fromkeys(names))
    wanted = max(2, round((SHARE if share is None else share) * len(distinct)))
    cut, found = len(distinct), 0
    while cut and len(distinct) - cut < wanted and (share is not None or found < MOST or len(distinct) - cut < 2):
        cut -= 1
        found += sum(n for n, name in zip(tiles, names, strict=True) if name == distinct[cut])
    gap = max(1, min(span, cut // 10)) if slices.stack else neighbours(distinct, cut, span) if cut else 0
    chosen, left = set(distinct[cut:]), set(distinct[: max(0, cut - gap)])
    apart = [region for region, name in zip(train, names, strict=True) if name in chosen]
    pictures = {twins.get(region.index, region.index) for region in apart}
    kept = [
        region
        for region, name in zip(train, names, strict=True)
        if name in left and twins.get(region.index, region.index) not in pictures
    ]
    least = ENOUGH if share is None else FEWEST
    if found < least or len(kept) < len(train) / 2:
        said = f"{len(chosen)} of {len(distinct)} training images have {found} tiles, and a score needs {least}"
        if share is None and found >= FEWEST and len(kept) >= len(train) / 2:  # else that would be refused, too
            said += f" (--validation {LARGER:g}: fewer will do)"
        few = f"with {len(distinct)} training images, setting two and a gap apart would leave less than half of them"
        return Apart(list(train), [], 0, said if found < least else few)
    return Apart(kept, apart, gap)


def set_ends_apart(
    slices: Slices, train: Sequence[Region], count: Callable[[Region], int], span: int, share: float | None
) -> Apart:
    """Take the end of each training image along its longer side, after a gap of one tile, where whole images are too few.

    Parameters
    ----------
    slices : Slices
    train : sequence of Region
    count : callable
        Tiles that lie side by side in a region.
    span, share
        As of `set_apart`. By default as many rows of tiles as a score needs.

    Returns
    -------
    Apart
        Its gap is in stored pixels. With all of `train` and the reason where more than a third of each would be lost.
    """
    least, rows, found = ENOUGH if share is None else FEWEST, 1, 0
    names = [group_of(without_side(slices.names[region.index])) for region in train]
    if len(set(names)) < len(names):
        return Apart(list(train), [], 0, f"{len(names)} files are tiles of {len(set(names))} images")
    while True:
        cut = [
            region.parted(held, span)
            for region in train
            if (held := _held(region, rows, span, share)) + span <= TAKEN * max(region.height, region.width)
            and min(region.height, region.width) >= span
        ]
        if len(cut) < len(train):
            said = f"the ends of {len(train)} training images have {found} tiles, and a score needs {least}"
            return Apart(list(train), [], 0, said)
        found = sum(count(end) for _, end in cut)
        if found >= least and all(count(rest) for rest, _ in cut):
            return Apart([rest for rest, _ in cut], [end for _, end in cut], span, by_block=True)
        rows += 1


def _held(region: Region, rows: int, span: int, share: float | None) -> int:
    return max(rows * span, round((share or 0) * max(region.height, region.width)))
