"""Work through a bench: every cell in a process of its own, so that one that fails or is killed stops no other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from veridical.benching.cluster import Cluster, cluster_at
from veridical.benching.processes import Processes
from veridical.benching.spec import UNWATCHED, Spec, read_spec
from veridical.conditions.delivery import Data, open_data, write_arrays
from veridical.conditions.table import CONDITIONS
from veridical.core.errors import InputError
from veridical.core.files import read_json, write_array, write_json
from veridical.core.interrupt import on_stop
from veridical.core.lock import LOCK, alone
from veridical.core.pace import slowed
from veridical.core.version import __version__
from veridical.metrics.same import numbered, simple
from veridical.recipes.config import TrainConfig
from veridical.reporting.contents import Plan, ResultRow, Spent, Status, Summary
from veridical.reporting.results import bench_spec, cells_of
from veridical.runs.run import row_of
from veridical.scoring.common import SAME
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE, METRICS

PROGRESS = re.compile(r"[\w ]+: \d+ % after ")  # a line of `veridical.core.progress.Progress`


def bench(spec: str | Path, out: str | Path, *, dask: str | None = None, say: Callable[[str], None] = print) -> Path:
    """Train, sample and score every dataset x recipe x seed of a specification, then write the report.

    Safe to stop at any moment and to run again: finished cells are kept, an interrupted one goes on where it was, a failed one
    is tried again.

    Parameters
    ----------
    spec : str or Path
        TOML file, see `veridical.benching.spec.Spec`.
    out : str or Path
        Folder of the bench.
    dask : str, optional
        Address of a Dask scheduler, whose workers take the cells and see `out` and the data under the same names; or
        ``local``, for a cluster on this machine. A worker's threads are how many cells it takes at a time; each has its share
        of the processors.
    say : callable
        Gets a line of progress now and then.

    Returns
    -------
    Path
        ``report.html``

    Raises
    ------
    InputError
        Bad specification or data, or a folder that holds something else or where another bench is at work.
    """
    plan, folder = read_spec(spec), Path(out)
    content, opened = _check(plan, folder)
    with alone(folder, "bench"):
        _prepare(plan, folder, content, opened)
        if dask is None:
            return _work(plan, folder, cells_of(content), Processes(), plan.jobs, say)
        with cluster_at(dask, plan.jobs) as cluster:  # which says how many cells run at a time
            cells = cells_of(content)
            return _work(plan, folder.resolve(), cells, cluster, len(cells), say)


def _work(
    plan: Spec,
    folder: Path,
    cells: list[tuple[str, str, int]],
    processes: Processes | Cluster,
    jobs: int,
    say: Callable[[str], None],
) -> Path:
    """Run the cells and write the report, whose path is returned."""
    from veridical.benching.differences import write_differences
    from veridical.reporting.report import report

    # First seeds first: a bench that is stopped early has something of every system.
    datasets = list(plan.datasets)
    ranks = {cell: sum(other[:2] == cell[:2] for other in cells[:k]) for k, cell in enumerate(cells)}
    cells.sort(key=lambda cell: (datasets.index(cell[0]), ranks[cell]))
    with on_stop(processes.stop), ThreadPoolExecutor(jobs) as pool:

        def work(number: int, cell: tuple[str, str, int]) -> str:
            title = f"[{number}/{len(cells)}] {cell[0]}: {cell[1]}, seed {cell[2]}"
            return _run(folder, *cell, processes, lambda text: say(f"{title}: {text}"))

        states = list(pool.map(work, range(1, len(cells) + 1), cells))
    write_differences(folder, bench_spec(folder))
    page = report(folder)
    if processes.stopped:
        say("stopped; run the same command again to go on")
    if failed := states.count("failed"):
        say(f"{failed} of {len(cells)} cells failed; the report says why")
    return page


def _check(plan: Spec, folder: Path) -> tuple[dict[str, Any], dict[str, Data]]:
    """The resolved spec and the open data, once both are found to fit what the folder holds; nothing is written."""
    kept = [p.name for p in folder.iterdir() if p.name != LOCK] if folder.is_dir() else []
    if (folder.exists() and not folder.is_dir()) or (kept and "spec.json" not in kept):
        raise InputError(f"{folder} holds something that is not a bench: choose another --out.")
    shared = ("title", "size", "minutes", "steps", "samples", "tiles", "seeds", "jobs", "datasets")
    content: dict[str, Any] = {k: getattr(plan, k) for k in shared}
    content |= {"version": __version__, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    content["budget"] = {k: v for k, v in (("minutes", plan.minutes), ("steps", plan.steps)) if v is not None}
    content["recipes"] = {
        name: row.to_json(name) | {k: getattr(row_of(row.recipe), k) for k in ("family", "task", "summary", "citation")}
        for name, row in plan.recipes.items()
    }
    if (folder / "spec.json").is_file():
        old: Any = read_json(folder / "spec.json", Plan)
        if not all(k in old for k in ("datasets", "recipes")):
            raise InputError(f"{folder}/spec.json is not that of a bench: choose another --out.")
        # Cells may be added to a bench, but what its cells share may not change under them.
        changed = [k for k in ("size", "samples", "tiles", "minutes", "steps") if old.get(k) != content[k]]
        changed += [f"datasets.{k}" for k, entry in plan.datasets.items() if old["datasets"].get(k, entry) != entry]
        changed += [
            f"recipes.{k}"
            for k in plan.recipes
            if k in old["recipes"]
            # of a row, where it runs may change, and how it is described
            and any(old["recipes"][k].get(key) != content["recipes"][k].get(key) for key in ("recipe", "args"))
        ]
        if changed:
            raise InputError(
                f"{folder} was made with another {changed[0]}: choose another --out or restore the specification."
            )
    return content, {name: _open(plan, name) for name in plan.datasets}


def _prepare(plan: Spec, folder: Path, content: dict[str, Any], opened: dict[str, Data]) -> None:
    """Write the resolved spec, and the real tiles that every cell of a dataset is compared with."""
    write_json(folder / "spec.json", content)
    for name, data in opened.items():
        place, dataset = folder / "datasets" / name, data.target
        if (place / "summary.json").is_file():
            if read_json(place / "summary.json", Summary).get("fingerprint") != dataset.fingerprint:
                raise InputError(
                    f"{folder}: the images of {name} have changed since the bench began: choose another --out."
                )
        else:
            place.mkdir(parents=True, exist_ok=True)
            tiles = {}
            for which in ("test", "train"):
                tiles[which], groups = dataset.tiles(which, n=plan.tiles)
                write_array(place / f"{which}.npy", tiles[which])
                write_json(place / f"{which}_groups.json", list(groups))
            summary = dataset.summary()
            summary["notes"] += _in_both(tiles["test"], tiles["train"])
            write_json(place / "summary.json", summary)
        if cond := data.conditions("test", plan.tiles, plan.samples):
            write_arrays(place / "conditions.npz", cond)


def _in_both(test: np.ndarray, train: np.ndarray) -> list[str]:
    """A note if held-out tiles are training tiles, too."""
    numbers = numbered(test, train, exactly=simple(test))
    shared = int(np.isin(numbers[: len(test)], numbers[len(test) :]).sum())
    if not shared:
        return []
    return [
        f"{shared} of the {len(test)} held-out tiles are training tiles, too ({SAME}): left out of the floor, and compared with "
        "the other training tiles in the search for copies"
    ]


def _open(plan: Spec, name: str) -> Data:
    """Open a dataset with all the conditions that its recipes need, or that its entry gives."""
    entry = UNWATCHED | {k: v for k, v in plan.datasets[name].items() if k != "data"}
    rows = [row for row in plan.recipes.values() if row.datasets is None or name in row.datasets]
    needs = {need for row in rows for need in row_of(row.recipe).needs} | {
        row.name for row in CONDITIONS.values() if row.setting in entry
    }
    return open_data(name, needs, plan.datasets[name]["data"], TrainConfig(size=plan.size, **entry))


def _run(
    folder: Path, dataset: str, recipe: str, seed: int, processes: Processes | Cluster, say: Callable[[str], None]
) -> str:
    """Run one cell unless it is done; return done, failed or running (stopped)."""
    if processes.stopped:
        return "running"
    cell = folder / "cells" / dataset / f"{recipe}-seed{seed}"
    cell.mkdir(parents=True, exist_ok=True)
    status = cell / "status.json"
    if status.is_file() and read_json(status, Status).get("state") == "done":
        say("done before")
        return "done"
    write_json(status, {"state": "running", "reason": None})
    say(processes.begins)
    began = time.monotonic()
    output = cell / "output.txt"
    try:
        code, why = processes.run([str(folder), dataset, recipe, str(seed)], output, _Course(output, say).look), ""
    except InputError as error:  # a worker could not do it
        code, why = 2, str(error)
    if code == 0 and (cell / "cost.json").is_file():
        write_json(status, {"state": "done", "reason": None})
        spent = read_json(cell / "cost.json", Spent)
        steps = f", {spent['steps']} steps" if spent.get("steps") else ""
        say(f"done after {time.monotonic() - began:.0f} s{steps}{_headline(cell)}")
        if said := slowed(spent):
            say(f"note: {said}")
        return "done"
    if processes.stopped:
        return "running"
    lines = [why] if why else output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1] if lines and code > 0 else f"the process ended with signal {-code} (out of memory?)"
    write_json(status, {"state": "failed", "reason": reason})
    say(f"failed: {reason}")
    return "failed"


class _Course:
    """What a cell last wrote of its progress, said once."""

    def __init__(self, output: Path, say: Callable[[str], None]) -> None:
        self._output, self._say, self._said = output, say, ""

    def look(self) -> None:
        """Say the last line of progress, if it is new."""
        with self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        found = [line for line in lines if PROGRESS.match(line)]
        if found and found[-1] != self._said:
            self._said = found[-1]
            self._say(self._said.partition("  ")[0])


def _headline(cell: Path) -> str:
    rows = read_json(cell / "rows.json", list[ResultRow])
    row = next((r for r in rows if r.get("metric") == HEADLINE and r.get("value") is not None), None)
    return f", {METRICS[HEADLINE].title} {row['value']:.2f} ({HEADLINE_SCALE})" if row else ""
