"""One cell of a bench, in a process of its own: train (or go on), sample, score, account for the cost."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from veridical.auditing.verdict import audit
from veridical.benching.changes import paired_data
from veridical.benching.drawing import conditions, draw_others, draw_run
from veridical.benching.edit_cell import chroma_row, control, run_edit, run_truth
from veridical.benching.rows import UNWATCHED
from veridical.conditions.delivery import open_data
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import read_json, write_array, write_json
from veridical.core.interrupt import Stopped
from veridical.core.lock import alone
from veridical.core.orientation import ORIENTATIONS
from veridical.metrics.novelty import Crops, cut_crops
from veridical.recipes.config import TrainConfig
from veridical.reporting.contents import Plan
from veridical.reporting.plan import AWAY, Job, Kind, source_of
from veridical.runs.run import load
from veridical.scoring.nearest import Training
from veridical.scoring.score import gather, measure
from veridical.training.start import train


def run_stage(out: Path, dataset: str, name: str, seed: int) -> None:
    """Train, or go on with, the stage `name` of a dataset."""
    spec: Any = read_json(out / "spec.json", Plan)
    job, row = Job("stage", dataset, name, seed), spec["stages"][name]
    recipe = row.get("recipe", name)
    entry = UNWATCHED | spec["datasets"][dataset]
    data = entry.pop("data")
    if "before" in row["needs"]:
        data = paired_data(data, spec["changes"][dataset], spec["truth"]["learn"])
        entry = {name: value for name, value in entry.items() if name not in ("split", "hold_out")}
    given = entry | _settings(spec, row, seed)
    first = _first(out, spec, row, dataset, seed)
    try:
        folder = train(recipe, data, job.folder(out) / "run", resume=True, first=first, **given)
    except Stopped:
        return
    write_json(job.folder(out) / "cost.json", load(folder).info.cost_of_all().to_json())


def _settings(spec: dict[str, Any], row: dict[str, Any], seed: int) -> dict[str, Any]:
    """How a row is trained: size, seed, threads, its own budget or the bench's, its arguments."""
    budget = {} if {"minutes", "steps"} & set(row["args"]) else {k: spec[k] for k in ("steps", "minutes")}
    return {"size": spec["size"], "seed": seed, "threads": use_threads(), **budget, **row["args"]}


def _first(out: Path, spec: dict[str, Any], row: dict[str, Any], dataset: str, seed: int) -> dict[str, Path] | None:
    """Run folders of the stages that a row begins with."""
    found = {
        which: source_of(spec, dataset, name, seed).folder(out) / "run"
        for which, name in (row.get("first") or {}).items()
    }
    return found or None


def run_cell(out: Path, dataset: str, recipe: str, seed: int) -> None:
    """Do what is still to do of the cell `recipe`, `seed` on `dataset` in the bench folder `out`."""
    spec: Any = read_json(out / "spec.json", Plan)
    folder = out / "cells" / dataset / f"{recipe}-seed{seed}"
    entry = UNWATCHED | spec["datasets"][dataset]
    data = entry.pop("data")
    row = spec["recipes"][recipe]
    given: dict[str, Any] = entry | _settings(spec, row, seed)
    name = row.get("recipe", recipe)
    place, needs, size = out / "datasets" / dataset, row["needs"], spec["size"]
    if name.startswith(AWAY):
        use_threads(given["threads"])
        target = open_data(recipe, (), data, TrainConfig(size=size, **entry)).target
        drawn = draw_others(name, row["args"], target, place, folder, spec["samples"], seed + 1)
    else:
        first = _first(out, spec, row, dataset, seed)
        try:
            run = load(train(name, data, folder / "run", resume=True, first=first, **given))
        except Stopped:
            return
        use_threads(given["threads"])
        drawn = draw_run(run, place, folder, spec["samples"], seed + 1)
        target = open_data(recipe, {"mask"} & set(needs), data, TrainConfig(size=size, **entry)).target
    images = drawn.images
    write_array(folder / "samples.npy", images)

    real, about = real_tiles(out, dataset)
    images_of, names, searched = target.regions("train")
    # The distances of held-out tiles, the same for all cells of equal training data, are kept beside them.
    kept = place / f"test_distance-{target.fingerprint[:16]}.npy"
    by_mask = synth_groups(place, drawn.needs, len(images))
    gathered = gather(real, images, synth_groups=by_mask, cache=out / "cache", **about)
    sets = replace(
        gathered,
        remarks=(*gathered.remarks, *drawn.remarks),
        # Sample k has the mask of held-out tile k: they are pairs.
        pairs=min(len(real), len(images)) if "mask" in drawn.needs else 0,
        distinct=drawn.distinct,
        train=Training(images_of, ORIENTATIONS[target.augment], searched),
        test_distance=np.load(kept) if kept.is_file() else None,
    )  # fmt: skip
    rows = measure(sets, recipe=recipe, dataset=dataset, seed=seed)
    near, held_out = sets.crops
    if not kept.is_file():
        write_array(kept, held_out)
    _write_nearest(folder, near, held_out, images_of, names, images.shape[2:])
    report = _audit(
        images,
        real,
        about["real_groups"],
        about["floor_real"],
        np.arange(len(images)) if drawn.alone else None,
        (held_out, near.distance),
        out / "cache",
        folder / "audit",
    )
    write_json(folder / "audit.json", report)
    if dataset in spec.get("changes", {}) and "text" in needs and drawn.redraw is not None:
        write_json(folder / "control.json", control(out, spec, dataset, drawn.redraw, seed))
    if drawn.chroma is not None and images.shape[1] == 1:
        rows.append(chroma_row(drawn.chroma) | {"recipe": recipe, "dataset": dataset, "seed": seed})
    write_json(folder / "rows.json", rows)
    write_json(folder / "cost.json", drawn.cost)


def real_tiles(out: Path, dataset: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Held-out tiles that every cell is compared with, and what `gather` is told of these and of training tiles."""
    place = out / "datasets" / dataset
    real, other = (np.load(place / f"{which}.npy") for which in ("test", "train"))
    groups, others = (read_json(place / f"{which}_groups.json", list[str]) for which in ("test", "train"))
    return real, {"real_groups": groups, "floor_real": other, "floor_groups": others}


def synth_groups(place: Path, needs: tuple[str, ...], n: int) -> np.ndarray | None:
    """Labels of `n` samples, those of one mask alike; None where each has a mask of its own or none."""
    _, n, distinct = conditions(place, needs, n)
    return np.arange(n) % distinct if distinct < n else None


def _write_nearest(
    folder: Path, near: Crops, held_out: np.ndarray, images: list[np.ndarray], names: list[str], shape: tuple[int, int]
) -> None:
    """Which training crop is nearest to every sample, in nearest.json, and these crops in nearest.npy."""
    found = {
        "sample": list(range(len(near.distance))),
        "train": near.image.tolist(),
        "top": near.top.tolist(),
        "left": near.left.tolist(),
        "orientation": near.orientation.tolist(),
        "distance": near.distance.tolist(),
        "test_distance": held_out.tolist(),
        "name": [names[k] for k in near.image],
    }
    write_json(folder / "nearest.json", found)
    write_array(folder / "nearest.npy", cut_crops(images, near, shape))


def _audit(
    images: np.ndarray,
    test: np.ndarray,
    groups: list[str],
    train: np.ndarray,
    synth_groups: np.ndarray | None,
    copies: tuple[np.ndarray, np.ndarray],
    cache: Path,
    pictures: Path,
) -> dict[str, Any]:
    """What the audit says of the samples; without a verdict, the reason. What it would have found is not asked."""
    about: dict[str, Any] = {"real_groups": groups, "synth_groups": synth_groups, "copies": copies}
    about |= {"cache": cache, "pictures": pictures}
    try:
        return audit(test, images, train, power=False, **about)
    except InputError as error:
        return {"verdict": None, "reason": str(error)}


def _end_with_the_bench() -> None:
    """Stop as at SIGTERM when the bench is gone: its end of the pipe to here closes, even at kill -9."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


RUNS: dict[str, Callable[[Path, str, str, int], None]] = {
    "cell": run_cell, "stage": run_stage, "truth": run_truth, "edit": run_edit,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """``python -m veridical.benching.cell KIND OUT DATASET NAME SEED [THREADS]``; exit code 2 and one sentence for bad input.

    Without THREADS it takes its share of the processors.
    """
    threading.Thread(target=_end_with_the_bench, daemon=True).start()
    kind, out, dataset, name, seed, *threads = arguments
    try:
        spec: Any = read_json(Path(out) / "spec.json", Plan)
        share = int(threads[0]) if threads else max(1, use_threads() // spec["jobs"])
        # Whatever is trained, drawn or edited here takes as many.
        os.environ["OMP_NUM_THREADS"] = str(use_threads(share))
        # Of a worker that was lost, the job may still be saving.
        with alone(Job(cast(Kind, kind), dataset, name, int(seed)).folder(Path(out)), "cell", 600):
            RUNS[kind](Path(out), dataset, name, int(seed))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
