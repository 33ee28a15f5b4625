"""Processes of torchrun that draw into one folder: each every so many batches, with the bytes of one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch

from veridical.core.device import World
from veridical.core.errors import InputError
from veridical.runs.samples import PROVENANCE, Samples

PATIENCE = timedelta(weeks=4)  # what processes that are done wait for the others
SEEN = 60.0  # seconds until a machine sees the new file of another on a shared disk


def world_of(device: torch.device) -> World:
    """The processes that draw together."""
    return World(device, PATIENCE)


def begin(out: Path, samples: Samples, world: World) -> None:
    """Let the first process begin the folder, once all have read what is there.

    Raises
    ------
    InputError
        If the processes see different folders.
    """
    if world.size == 1:
        return
    there = sum(samples.there)
    least, most = world.largest(-there, there)
    if world.rank == 0:
        samples.begin()
    world.largest(0)
    until = time.monotonic() + SEEN
    while not (seen := (out / PROVENANCE).is_file()) and time.monotonic() < until:
        time.sleep(1)
    if world.largest(not seen or -least != most)[0]:
        raise InputError(f"the processes do not see the same {out}: choose an --out on a disk that all machines share.")


def mine(batches: Iterator[range], world: World) -> Iterator[range]:
    """The batches of this process: those of one process, so that each image is drawn beside the same others."""
    return (numbers for turn, numbers in enumerate(batches) if turn % world.size == world.rank)


def end(samples: Samples, world: World, chroma: dict[int, float]) -> list[float]:
    """Tell the first process what all have drawn, once they have; the chroma of the images, by number, of all processes."""
    if world.size > 1:
        samples.record()  # who waits may be killed
        there = len(samples.there)
        found = world.largest(*samples.there, *(chroma.get(k, -1.0) for k in range(there)))
        samples.told(found[:there], *world.total(samples.seconds))
        chroma = {k: value for k, value in enumerate(found[there:]) if value >= 0}
    return list(chroma.values())
