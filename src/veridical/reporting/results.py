"""What a bench left in its output folder. Anything may be missing or broken off: a bench can be at work on it."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError

NAME = re.compile(r"(?P<recipe>.+)-seed(?P<seed>\d+)")


@dataclass(frozen=True)
class Cell:
    """What one system did on one dataset with one seed; `trouble` says why there is no result, None if there is one."""

    dataset: str
    recipe: str
    seed: int
    folder: Path
    state: str
    trouble: str | None
    rows: list[dict[str, Any]]
    cost: dict[str, Any]


def bench_spec(folder: Path) -> dict[str, Any]:
    """The bench's spec.json."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the output folder of `veridical bench`")
    if not (folder / "spec.json").is_file():
        raise InputError(f"{folder} holds no spec.json: give the output folder of `veridical bench`")
    spec = read_json(folder / "spec.json")
    if not isinstance(spec, dict) or not isinstance(spec.get("datasets"), dict):
        raise InputError(f"{folder / 'spec.json'} is damaged or not of a bench: run `veridical bench` again")
    return spec


def read_cells(folder: Path, spec: dict[str, Any]) -> list[Cell]:
    """All cells of the spec in its order, then any others that the folder holds (of an earlier spec)."""
    planned = cells_of(spec)
    found = []
    for path in sorted(folder.glob("cells/*/*")):
        if (match := NAME.fullmatch(path.name)) and path.is_dir():
            found.append((path.parent.name, match["recipe"], int(match["seed"])))
    return [_read_cell(folder, *key) for key in dict.fromkeys(planned + found)]


def _read_cell(folder: Path, dataset: str, recipe: str, seed: int) -> Cell:
    path = folder / "cells" / dataset / f"{recipe}-seed{seed}"
    status = read_json(path / "status.json") or {}
    rows = [_clean(row) for row in read_json(path / "rows.json") or []]
    state = status.get("state", "missing")
    reason = " ".join(str(status.get("reason") or "no reason was recorded").split())
    trouble = {
        "done": None if rows else "done, but rows.json is missing or unreadable",
        "failed": f"failed: {reason}",
        "running": "not finished (still running, or stopped: run the bench again)",
    }.get(state, "not started" if not path.is_dir() else "no status.json: run the bench again")
    return Cell(dataset, recipe, seed, path, state, trouble, rows, read_json(path / "cost.json") or {})


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None for anything that is not a number."""
    for key in ("value", "low", "high", "floor"):
        if isinstance(row.get(key), float) and not math.isfinite(row[key]):
            row = row | {key: None, "reason": row.get("reason") or f"{key} is not a finite number"}
    return row


def read_json(path: Path) -> Any:
    """The file's content, None if it is missing or broken off (a bench may be at work on it)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_images(path: Path) -> np.ndarray | None:
    """Memory-mapped images, None if there are none to show."""
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return images if images.ndim == 4 and len(images) else None


def read_log(path: Path) -> dict[str, Any] | None:
    """Loss curves of a run: {"minutes": (n,), "steps": (n,), "parts": {name: (n,)}}, None without any.

    Broken lines are left out; after a resume the later record of a step counts.
    """
    records = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        try:
            record = json.loads(line)
            records[int(record["step"])] = (float(record["seconds"]) / 60, dict(record["loss"]))
        except (ValueError, TypeError, KeyError):
            continue
    curve = [(step, *records[step]) for step in sorted(records)]
    names = dict.fromkeys(name for _, _, loss in curve for name in loss)
    parts = {name: np.array([loss.get(name, np.nan) for _, _, loss in curve], float) for name in names}
    return {
        "minutes": np.array([minutes for _, minutes, _ in curve]),
        "parts": {name: values for name, values in parts.items() if np.isfinite(values).sum() > 1},
    }  # fmt: skip


def cells_of(spec: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Dataset, name of the recipe and seed of every cell that a ``spec.json`` plans."""
    rows = spec.get("recipes", {})
    return [
        (dataset, name, seed)
        for dataset in spec["datasets"]
        for name, row in rows.items()
        if row.get("datasets") is None or dataset in row["datasets"]
        for seed in row.get("seeds") or spec.get("seeds", [0])
    ]
