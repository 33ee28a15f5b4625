"""What a bench has to do: jobs by kind, their folders, and which of them wait for which. Read from its ``spec.json``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["truth", "stage", "cell", "edit"]
PLACES: dict[str, str] = {"stage": "stages", "cell": "cells", "edit": "edits"}
AWAY = ("hub:", "hosted:")  # systems of others begin so; alone, it keeps a place for one that nobody has given


class Job(NamedTuple):
    """One thing to do: the truth of a dataset, a stage, a system with a seed, or a system of edits with a seed."""

    kind: Kind
    dataset: str
    name: str
    seed: int

    def folder(self, bench: Path) -> Path:
        """Where it is done."""
        if self.kind == "truth":
            return bench / "datasets" / self.dataset / "truth"
        return bench / PLACES[self.kind] / self.dataset / f"{self.name}-seed{self.seed}"

    @property
    def title(self) -> str:
        """What it is called while it runs."""
        if self.kind == "truth":
            return f"{self.dataset}: the truth of edits"
        return f"{self.dataset}: {self.kind + ' ' if self.kind != 'cell' else ''}{self.name}, seed {self.seed}"


def seeds_of(spec: Mapping[str, Any], name: str) -> list[int]:
    """Seeds of a recipe, or of a stage, which has one unless it says more."""
    every: list[int] = spec.get("seeds") or [0]
    stages, recipes = spec.get("stages") or {}, spec.get("recipes") or {}
    if name in stages:
        return stages[name].get("seeds") or every[:1]
    return (recipes.get(name) or {}).get("seeds") or every


def edit_seeds(spec: Mapping[str, Any], row: Mapping[str, Any]) -> list[int]:
    """Seeds of a system of edits: those of its runs."""
    if row.get("seeds"):
        return list(row["seeds"])
    run = row.get("run") or ""
    known = run in (spec.get("stages") or {}) or run in (spec.get("recipes") or {})
    return seeds_of(spec, run) if known else (spec.get("seeds") or [0])[:1]


def source_of(spec: Mapping[str, Any], dataset: str, name: str, seed: int) -> Job:
    """The job whose run a stage or a recipe of the bench is: with this seed if there is one, else of its first seed."""
    seeds = seeds_of(spec, name)
    kind: Kind = "stage" if name in (spec.get("stages") or {}) else "cell"
    return Job(kind, dataset, name, seed if seed in seeds else seeds[0])


def judge_of(spec: Mapping[str, Any], dataset: str) -> Job | None:
    """The stage that compares images with words on a dataset, if there is one."""
    name = (spec.get("truth") or {}).get("judge") or ""
    row = (spec.get("stages") or {}).get(name)
    if row is None or (row.get("datasets") is not None and dataset not in row["datasets"]):
        return None
    return source_of(spec, dataset, name, seeds_of(spec, name)[0])


def is_free(row: Mapping[str, Any]) -> bool:
    """Whether a row of a recipe or of an edit only keeps a place."""
    return row.get("recipe") in AWAY or row.get("run") in AWAY


def jobs_of(spec: Mapping[str, Any]) -> list[Job]:
    """All that a bench is to do, each after what it waits for, systems with the edits that their runs make.

    First seeds come first, so that a bench that is stopped early has something of every system; within a seed the order is
    that of the rows, each on all datasets, so that whoever writes cheap systems first has a report of these first.
    """
    datasets, changes = list(spec["datasets"]), spec.get("changes") or {}
    stages, recipes, edits = (spec.get(part) or {} for part in ("stages", "recipes", "edits"))
    jobs: dict[Job, None] = {}

    def add(job: Job) -> None:
        for need in needs_of(spec, job):
            if need not in jobs:
                add(need)
        jobs.setdefault(job)

    def there(row: Mapping[str, Any]) -> list[str]:
        return [d for d in datasets if row.get("datasets") is None or d in row["datasets"]]

    def add_edits(runs: Collection[str], dataset: str, seed: int | None = None) -> None:
        for name, row in edits.items():
            if row.get("run", "") in runs and dataset in there(row) and dataset in changes:
                for own in edit_seeds(spec, row):
                    if seed is None or own == seed:
                        add(Job("edit", dataset, name, own))

    away = {row.get("run", "") for row in edits.values()} - {*stages, *recipes}
    for dataset in datasets:
        add_edits(away, dataset)
    for rank in range(max((len(seeds_of(spec, name)) for name in recipes), default=0)):
        for name, row in recipes.items():
            seeds = seeds_of(spec, name)
            for dataset in there(row) if rank < len(seeds) else ():
                add(Job("cell", dataset, name, seeds[rank]))
                add_edits((name,), dataset, seeds[rank])
        if rank == 0:
            for name, row in stages.items():
                for dataset in there(row):
                    for seed in seeds_of(spec, name):
                        add(Job("stage", dataset, name, seed))
                    add_edits((name,), dataset)
    return list(jobs)


def needs_of(spec: Mapping[str, Any], job: Job) -> list[Job]:
    """Jobs that have to be done before."""
    stages, recipes, edits = (spec.get(part) or {} for part in ("stages", "recipes", "edits"))
    truth = Job("truth", job.dataset, "truth", 0)
    if job.kind == "truth":
        judge = judge_of(spec, job.dataset)
        return [judge] if judge else []
    if job.kind == "edit":
        run = edits[job.name].get("run") or ""
        known = run in stages or run in recipes
        return [truth, *([source_of(spec, job.dataset, run, job.seed)] if known else [])]
    row = (stages if job.kind == "stage" else recipes).get(job.name) or {}
    before = [source_of(spec, job.dataset, name, job.seed) for name in (row.get("first") or {}).values()]
    heard = job.kind == "cell" and "text" in (row.get("needs") or ()) and job.dataset in (spec.get("changes") or {})
    return [*before, *([truth] if heard else [])]
