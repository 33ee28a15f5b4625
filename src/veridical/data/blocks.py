"""Which slices of a volume the block of a training tile is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from veridical.core.errors import InputError
from veridical.data.field import Region
from veridical.data.slices import Slices


def first_slices(spec: str, slices: Slices, regions: Sequence[Region], size: int) -> dict[int, int]:
    """First slice of the block of each training slice; all slices of a block are training slices and neighbours.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    slices : Slices
    regions : sequence of Region
        Of training; whole slices of a volume, in their order.
    size : int
        Slices of a block.

    Returns
    -------
    dict
        Of a run of L slices all ``L - size + 1`` blocks are about equally often found, and a slice lies in its block; one of a
        run that is too short has that of the nearest slice.

    Raises
    ------
    InputError
        If slices are no volume, every other slice of one, or too few.
    """
    if not slices.stack:
        raise InputError(
            f"{spec}: blocks are cut out of a volume: give a stack (multi-page TIFF, HDF5, Zarr, ...) or a folder of evenly "
            "numbered slices of one size"
        )
    steps = {_number(slices.names[k + 1]) - _number(slices.names[k]) for k in range(min(len(slices) - 1, 9))}
    if steps != {1}:
        raise InputError(
            f"{spec}: slices are numbered in steps of {'/'.join(map(str, sorted(steps)))}, so that some may lack: blocks need "
            "all of them; if none lacks, save them as one multi-page TIFF"
        )
    runs: list[list[int]] = []
    for k, region in enumerate(regions):
        if k and region.index == regions[k - 1].index + 1:
            runs[-1].append(region.index)
        else:
            runs.append([region.index])
    first: dict[int, int] = {}
    for run in runs:
        room = len(run) - size + 1
        first |= {index: run[0] + k * room // len(run) for k, index in enumerate(run) if room > 0}
    if not first:
        longest = max(map(len, runs), default=0)
        raise InputError(
            f"{spec}: {longest} training slices lie side by side, too few for blocks of {size}: give a smaller --size, a taller "
            "volume, or --validation 0"
        )

    def nearest(index: int) -> int:
        return min(first, key=lambda other: abs(other - index))

    return {r.index: first[r.index if r.index in first else nearest(r.index)] for r in regions}


def _number(name: str) -> int:
    found = re.findall(r"\d+", name)
    return int(found[-1]) if found else 0
