"""A part of the training images that is not trained on, by which a training is watched: never what is held out for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veridical.data.field import Region
from veridical.data.names import group_of, without_side
from veridical.data.slices import Slices
from veridical.data.split import neighbours

SHARE = 0.1  # of the training images, where nothing is asked for
ENOUGH = 40  # tiles that a score needs (`veridical.scoring.sets.FEWEST`): with fewer nothing is set apart unasked
MOST = 200  # tiles that a score reads: more images than have so many are not set apart unasked
FEWEST = 10  # tiles without which nothing is set apart, even where it is asked for


@dataclass(frozen=True)
class Apart:
    """Regions to train on and regions to watch by; how many images lie between them; or the reason why there are none."""

    train: list[Region]
    validation: list[Region]
    gap: int
    reason: str = ""


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
        said = f"{len(chosen)} of {len(distinct)} training images have {found} tiles of the {least} that a score needs"
        return Apart(
            list(train), [], 0, said if found < least else f"of {len(distinct)} training images half would be left"
        )
    return Apart(kept, apart, gap)
