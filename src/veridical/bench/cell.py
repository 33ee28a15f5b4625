"""One cell of a bench, in a process of its own: train (or go on), sample, score, account for the cost."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint
from ..device import use_threads
from ..errors import InputError
from ..sample import draw, load
from ..score import score, score_novelty
from ..train import train


def run_cell(out: Path, dataset: str, recipe: str, seed: int) -> None:
    """Do what is still to do of the cell `recipe`, `seed` on `dataset` in the bench folder `out`."""
    spec = checkpoint.read_json(out / "spec.json")
    folder = out / "cells" / dataset / f"{recipe}-seed{seed}"
    entry = dict(spec["datasets"][dataset])
    data = entry.pop("data")
    threads = max(1, use_threads() // spec["jobs"])
    given: dict[str, Any] = {
        "size": spec["size"],
        "seed": seed,
        "threads": threads,
        **{k: spec[k] for k in ("steps", "minutes")},
        **entry,
        **spec["recipes"][recipe]["args"],
    }
    train(recipe, data, folder / "run", resume=True, **given)
    run = load(folder / "run")
    use_threads(threads)
    if not run.run["finished"]:
        return
    began = time.monotonic()
    images = draw(run, spec["samples"], seed=seed + 1, quiet=False)
    seconds = time.monotonic() - began
    _save(folder / "samples.npy", images)

    real, other = (np.load(out / "datasets" / dataset / f"{which}.npy") for which in ("test", "train"))
    groups, other_groups = (
        checkpoint.read_json(out / "datasets" / dataset / f"{which}_groups.json") for which in ("test", "train")
    )
    rows = score(
        real, images, real_groups=groups, floor_real=other, floor_groups=other_groups, cache=out / "cache",
        recipe=recipe, dataset=dataset, seed=seed,
    )  # fmt: skip
    row, near = score_novelty(images, other, real, recipe=recipe, dataset=dataset, seed=seed)
    checkpoint.write_json(folder / "rows.json", [*rows, row])
    checkpoint.write_json(folder / "nearest.json", near)
    cost = dict(run.run["cost"])
    if "first" in run.run:
        first = run.run["first"]["cost"]
        cost["parameters"] += first["parameters"]
        cost["train_seconds"] += first["train_seconds"]
        cost["peak_memory_mb"] = max(cost["peak_memory_mb"], first["peak_memory_mb"])
    checkpoint.write_json(folder / "cost.json", {**cost, "seconds_per_image": seconds / len(images)})


def _save(path: Path, array: np.ndarray) -> None:
    with checkpoint.replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def main(arguments: list[str]) -> int:
    """``python -m veridical.bench.cell OUT DATASET RECIPE SEED``; exit code 2 and one sentence for bad input."""
    try:
        run_cell(Path(arguments[0]), arguments[1], arguments[2], int(arguments[3]))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
