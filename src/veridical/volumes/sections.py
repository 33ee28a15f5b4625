"""Whether the sections that a run was trained on may be those of an isotropic body."""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.conditions.delivery import open_target
from veridical.conditions.reopen import exists
from veridical.core.errors import InputError
from veridical.runs.run import Run
from veridical.volumes.direction import ALARM, Direction, direction_of

MOST = 1000  # tiles that are looked at
KNOWN = "give --isotropic (isotropic=True) if you know that the material has no direction"


def look(run: Run) -> Direction:
    """What the training tiles of a run say of directions.

    Raises
    ------
    InputError
        If they certainly have one; if the data are gone or are others now.
    """
    spec, row = str(run.info.dataset["spec"]), run.row
    if not exists(spec):
        raise InputError(
            f"{spec}, which {run.folder} was trained on, is not there (seen from this folder), so that its sections cannot be "
            f"tested for a direction: put it back, or {KNOWN}."
        )
    try:
        data = open_target(run.info.recipe, (*row.needs, *row.learns), spec, run.info.config)
    except InputError as reason:
        raise InputError(f"{reason} (It is read again to test its sections for a direction: {KNOWN}.)") from reason
    if data.fingerprint != run.info.dataset["fingerprint"]:
        raise InputError(
            f"{spec} is not the data that {run.folder} was trained on (images or split are others now), so that its sections "
            f"cannot be tested for a direction: put them back, or {KNOWN}."
        )
    places = data.chosen("train", None, oriented=False)[0]
    if len(places) > MOST:  # at random: a regular choice would be of few places in all slices
        places = places[np.sort(np.random.default_rng(0).permutation(len(places))[:MOST])]
    tiles = data.images(places, np.zeros(len(places), int)).mean(1)
    found = direction_of(tiles, places)
    if found.p < ALARM:
        raise InputError(
            f"{run.folder}: the images that it was trained on vary {found.ratio:.1f} times more along some directions than along "
            f"others ({found.tiles} tiles, as good as {found.independent:.0f} unrelated ones), so that they are no sections of "
            f"an isotropic body: train on sections of one, or {KNOWN}."
        )
    return found


def remarks(found: Direction | None) -> list[str]:
    """What a user should know of a test that found nothing, or of none."""
    if found is None or np.isfinite(found.tellable):
        return []
    return [
        f"its {found.tiles} training tiles are as good as {found.independent:.0f} unrelated ones, too few to tell whether the "
        "material has a direction"
    ]


def as_record(found: Direction | None) -> dict[str, Any] | None:
    """JSON-able; None where nobody looked."""
    if found is None:
        return None
    numbers = {name: round(float(value), 4) for name, value in found._asdict().items() if np.isfinite(value)}
    return {"tellable": None} | numbers
