"""How long a system would train on some data on this machine: it is trained for a few steps, and nothing is kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veridical.training.start import train

STEPS = 8
# Steps of `edm` until samples of sandstone were near the real images, and those of finer materials (docs/results/diffusion.md).
NEEDED = {"edm": (2566, 4800)}


def seconds_a_step(recipe: str, data: str, given: Mapping[str, Any]) -> float:
    """Time of a step, without the first, in which much is made ready.

    Parameters
    ----------
    recipe, data : str
    given : mapping
        Settings of the training.

    Raises
    ------
    InputError
        If the data cannot serve.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, data, Path(folder) / "run", steps=STEPS, minutes=None, validation=0.0, quiet=True, **given)
        times = [json.loads(line)["seconds"] for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    pace: float = (times[-1] - times[0]) / (len(times) - 1)
    return pace


def forecast(data: str, size: int, scale: float) -> list[str]:
    """Minutes that systems need here, in sentences."""
    said = []
    for recipe, (coarse, fine) in NEEDED.items():
        pace = seconds_a_step(recipe, data, {"size": size, "scale": scale})
        said.append(
            f"{recipe}: {pace:.2g} s a step here now; {coarse * pace / 60:.0f} minutes for the {coarse:,} steps after which "
            f"samples of sandstone were near real, {fine * pace / 60:.0f} for the {fine:,} that finer materials took"
        )
    return said
