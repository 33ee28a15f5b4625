"""Work through a bench: every cell in a process of its own, so that one that fails or is killed stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from veridical.benching.cluster import Cluster, cluster_at
from veridical.benching.one_row import Row
from veridical.benching.others import check_pipelines, described
from veridical.benching.processes import Course, Processes
from veridical.benching.rows import CAPTIONS, UNWATCHED
from veridical.benching.schedule import FINAL, work_through
from veridical.benching.spec import Spec, read_spec
from veridical.conditions.delivery import Data, open_data, write_arrays
from veridical.conditions.table import CONDITIONS
from veridical.conditions.text import captions_of
from veridical.core.errors import InputError
from veridical.core.files import read_json, write_array, write_json
from veridical.core.interrupt import on_stop
from veridical.core.lock import LOCK, alone
from veridical.core.pace import slowed
from veridical.core.progress import bar_if_slow
from veridical.core.version import __version__
from veridical.metrics.same import numbered, simple
from veridical.recipes.config import TrainConfig
from veridical.reporting.contents import Plan, ResultRow, Spent, Status, Summary
from veridical.reporting.plan import AWAY, Job, is_free, jobs_of, needs_of
from veridical.reporting.results import bench_spec, cells_of
from veridical.runs.run import row_of
from veridical.scoring.common import SAME
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE, METRICS

# Of a row, where it runs may change, and how it is described; not these.
KEPT = {
    "recipes": ("recipe", "args", "first"), "stages": ("recipe", "args", "first"),
    "edits": ("how", "run", "prompt", "mask", "settings", "sampling"),
}  # fmt: skip


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
    with bar_if_slow():
        content, opened = _check(plan, folder)
    cells_of(content)  # so many that nobody could look at them are refused
    with alone(folder, "bench"):
        _prepare(plan, folder, content, opened)
        if dask is None:
            return _work(folder, content, Processes(), plan.jobs, say)
        with cluster_at(dask, plan.jobs) as cluster:  # which says how many cells run at a time
            return _work(folder.resolve(), content, cluster, len(jobs_of(content)), say)


def _work(
    folder: Path,
    content: dict[str, Any],
    processes: Processes | Cluster,
    workers: int,
    say: Callable[[str], None],
) -> Path:
    """Run the jobs and write the report, whose path is returned."""
    from veridical.benching.differences import write_differences
    from veridical.benching.worth import write_worth
    from veridical.reporting.report import report

    jobs = jobs_of(content)
    number = {job: k for k, job in enumerate(jobs, 1)}

    def work(job: Job, lacking: list[Job]) -> str:
        title = f"[{number[job]}/{len(jobs)}] {job.title}"
        return _run(folder, content, job, lacking, processes, lambda text: say(f"{title}: {text}"))

    with on_stop(processes.stop):
        states = list(work_through(jobs, {job: needs_of(content, job) for job in jobs}, work, workers).values())
    spec = bench_spec(folder)
    write_differences(folder, spec)
    write_worth(folder, spec)
    page = report(folder)
    if processes.stopped:
        say("stopped; run the same command again to go on")
    if failed := states.count("failed"):
        say(f"{failed} of {len(jobs)} cells failed; the report says why")
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
    for part, rows in (("recipes", plan.recipes), ("stages", plan.stages)):
        content[part] = {name: row.to_json(name) | _described(row) for name, row in rows.items()}
    content["edits"] = {name: row.to_json() for name, row in plan.edits.items()}
    content |= {"changes": plan.changes, "truth": asdict(plan.truth)}
    if (folder / "spec.json").is_file():
        old: Any = read_json(folder / "spec.json", Plan)
        if not all(k in old for k in ("datasets", "recipes")):
            raise InputError(f"{folder}/spec.json is not that of a bench: choose another --out.")
        # Cells may be added to a bench, but what its cells share may not change under them.
        changed = [k for k in ("size", "samples", "tiles", "minutes", "steps") if old.get(k) != content[k]]
        changed += [f"datasets.{k}" for k, entry in plan.datasets.items() if old["datasets"].get(k, entry) != entry]
        changed += [
            f"changes.{k}" for k, asked in plan.changes.items() if old.get("changes", {}).get(k, asked) != asked
        ]
        changed += ["truth"] if old.get("changes") and old.get("truth") != content["truth"] else []
        changed += [
            f"{part}.{k}"
            for part, keys in KEPT.items()
            for k in content[part]
            if k in old.get(part, {}) and any(old[part][k].get(key) != content[part][k].get(key) for key in keys)
        ]
        if changed:
            raise InputError(
                f"{folder} was made with another {changed[0]}: choose another --out or restore the specification."
            )
    opened = {name: _open(plan, name) for name in plan.datasets}
    check_pipelines(plan.recipes, plan.size, {name: data.target for name, data in opened.items()})
    return content, opened


def _described(row: Row) -> dict[str, Any]:
    if row.recipe.startswith(AWAY):
        return described(row)
    of = row_of(row.recipe)
    return {k: getattr(of, k) for k in ("family", "task", "summary", "citation")} | {"needs": list(of.needs)}


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
        if where := plan.datasets[name].get("text"):
            write_json(place / CAPTIONS, captions_of(dataset, where, "test", plan.tiles))


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
    needs = {need for row in rows if not row.recipe.startswith(AWAY) for need in row_of(row.recipe).needs} | {
        row.name for row in CONDITIONS.values() if row.setting in entry
    }
    return open_data(name, needs, plan.datasets[name]["data"], TrainConfig(size=plan.size, **entry))


def _run(
    folder: Path,
    spec: dict[str, Any],
    job: Job,
    lacking: list[Job],
    processes: Processes | Cluster,
    say: Callable[[str], None],
) -> str:
    """Do one job unless it is done; return done, failed, skipped or running (stopped)."""
    if processes.stopped:
        return "running"
    place = job.folder(folder)
    place.mkdir(parents=True, exist_ok=True)
    status = place / "status.json"
    if status.is_file() and read_json(status, Status).get("state") == "done":
        say("done before")
        return "done"

    def end(state: str, reason: str) -> str:
        write_json(status, {"state": state, "reason": reason})
        say(f"{state}: {reason}")
        return state

    row = spec.get({"cell": "recipes", "edit": "edits"}.get(job.kind, ""), {}).get(job.name, {})
    if is_free(row):
        kind = row.get("recipe") or row["run"]
        given = "hub:FOLDER, a pipeline of diffusers" if kind == "hub:" else "hosted:MODEL@URL, a server"
        return end("skipped", f"nobody gave one: write {given}, in place of {kind} in a copy of the specification")
    if lacking:
        stopped = [need for need in lacking if not _at_its_end(need.folder(folder))]
        if stopped:
            return "running"
        state = read_json(lacking[0].folder(folder) / "status.json", Status).get("state")
        if state == "skipped":
            return end("skipped", f"needs {lacking[0].title}, which was skipped")
        return end("failed", f"needs {lacking[0].title}, which was not done")
    write_json(status, {"state": "running", "reason": None})
    say(processes.begins)
    began = time.monotonic()
    output, code, why = place / "output.txt", 2, ""
    try:
        cell = [job.kind, str(folder), job.dataset, job.name, str(job.seed)]
        code = processes.run(cell, output, Course(output, say).look)
    except InputError as error:  # a worker could not do it
        why = str(error)
    if code == 0 and (place / "cost.json").is_file():
        write_json(status, {"state": "done", "reason": None})
        spent = read_json(place / "cost.json", Spent)
        steps = f", {spent['steps']} steps" if spent.get("steps") else ""
        say(f"done after {time.monotonic() - began:.0f} s{steps}{_headline(place)}")
        if said := slowed(spent):
            say(f"note: {said}")
        return "done"
    if processes.stopped:
        return "running"
    lines = [why] if why else output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return end("failed", lines[-1] if lines and code > 0 else f"the process ended with signal {-code} (out of memory?)")


def _at_its_end(place: Path) -> bool:
    """Whether a job came to an end, be it a bad one."""
    status = place / "status.json"
    return status.is_file() and read_json(status, Status).get("state") in FINAL


def _headline(cell: Path) -> str:
    if not (cell / "rows.json").is_file():
        return ""
    rows = read_json(cell / "rows.json", list[ResultRow])
    row = next((r for r in rows if r.get("metric") == HEADLINE and r.get("value") is not None), None)
    return f", {METRICS[HEADLINE].title} {row['value']:.2f} ({HEADLINE_SCALE})" if row else ""
