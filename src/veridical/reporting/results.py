"""What a bench left in its output folder. Anything may be missing: a bench can be at work on it.

The folder may be somebody else's: names and contents are checked, and nothing outside it is read or written.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import check_regular, parse_json, read_bytes, read_json
from veridical.core.limits import LARGEST_TILE, check_cost
from veridical.core.text import is_name
from veridical.reporting.contents import (
    MOST_CELLS,
    Audited,
    Nearest,
    Plan,
    Record,
    ResultRow,
    Spent,
    Status,
)
from veridical.reporting.plan import edit_seeds

NAME = re.compile(r"(?P<recipe>.+)-seed(?P<seed>\d{1,15})")
LARGEST_VALUE = 1e100  # of a metric
LARGEST_PICTURE = 32 * 2**20  # bytes of a PNG that is put on the page
PNG = b"\x89PNG\r\n\x1a\n"

T = TypeVar("T")


@dataclass(frozen=True)
class Files:
    """The files of a bench `folder`; what cannot be read is told in `damaged`, a sentence a file, and left out."""

    folder: Path
    damaged: list[str] = field(default_factory=list)

    def tell(self, error: InputError) -> None:
        """Keep the sentence of what cannot be read, once."""
        if str(error) not in self.damaged:
            self.damaged.append(str(error))


@dataclass(frozen=True)
class Cell:
    """What one system did on one dataset with one seed; `trouble` says why there is no result, None if there is one.

    `recipe` is the name of a row of recipes or of edits, `control` the rows of what it made of captions.
    """

    dataset: str
    recipe: str
    seed: int
    folder: Path
    state: str
    trouble: str | None
    rows: list[dict[str, Any]]
    cost: dict[str, Any]
    audit: Audited | None = None
    control: tuple[dict[str, Any], ...] = ()


def bench_spec(folder: Path) -> dict[str, Any]:
    """The bench's spec.json."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the output folder of `veridical bench`")
    if not (folder / "spec.json").is_file():
        raise InputError(f"{folder} holds no spec.json: give the output folder of `veridical bench`")
    spec = read_json(inside(folder, folder / "spec.json"), Plan)
    if "datasets" not in spec:
        raise InputError(f"{folder / 'spec.json'} is damaged or not of a bench: run `veridical bench` again")
    return cast(dict[str, Any], spec)


def inside(folder: Path, path: Path) -> Path:
    """`path`, which lies in the folder.

    Raises
    ------
    InputError
        If it, or a link on the way to it, leads out of the folder.
    """
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, names that cannot be
        within = False
    if not within:
        raise InputError(f"{path}: leads out of the folder of the bench; put what is meant into it")
    return path


def read(files: Files, path: Path, kind: type[T]) -> T | None:
    """Content of a JSON file of the bench as `kind`; None if it is missing or cannot be read, which is told."""
    if not path.is_symlink() and not path.exists():
        return None
    try:
        return read_json(inside(files.folder, path), kind)
    except InputError as error:
        files.tell(error)
        return None


def read_images(files: Files, path: Path, size: int | None) -> np.ndarray | None:
    """Memory-mapped images (N, C, H, W) of that size, None if there are none to show."""
    if not path.is_symlink() and not path.exists():
        return None
    try:
        check_regular(inside(files.folder, path))
        try:
            images = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # whatever a damaged header makes numpy raise
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(f"{path}: is damaged or cut short ({reason}); run the bench again") from None
        shape = np.shape(images)
        side = shape[-1] if shape else 0
        fits = len(shape) == 4 and shape[1] in (1, 3) and shape[2] == side and 0 < side <= (size or LARGEST_TILE)
        if not fits or (size and side != size) or images.dtype.kind not in "fu" or not shape[0]:
            raise InputError(f"{path}: holds {images.dtype} of shape {shape}, which are no tiles of this bench")
        check_cost(path, images=shape[0])
    except InputError as error:
        files.tell(error)
        return None
    return images


def read_picture(files: Files, path: Path) -> bytes | None:
    """A PNG file, None if it is not there, which is told if there is something else."""
    if not path.is_symlink() and not path.exists():
        return None
    try:
        content = read_bytes(inside(files.folder, path), LARGEST_PICTURE)
        if not content.startswith(PNG):
            raise InputError(f"{path}: is not a PNG picture; run the bench again")
    except InputError as error:
        files.tell(error)
        return None
    return content


def read_nearest(files: Files, cell: Cell, n: int) -> Nearest | None:
    """``nearest.json`` of a cell of `n` samples; None if it is missing or cannot be of them."""
    path = cell.folder / "nearest.json"
    found = read(files, path, Nearest)
    if found is None:
        return None
    lists = [found[name] for name in ("sample", "left", "top", "name")]
    if n != len(found["distance"]) or any(len(each) != n for each in lists) or max(found["sample"], default=0) >= n:
        files.tell(InputError(f"{path}: is not of the {n} samples beside it; run the bench again"))
        return None
    return found


def read_log(files: Files, path: Path) -> dict[str, Any] | None:
    """Loss curves of a run: {"minutes": (n,), "steps": (n,), "parts": {name: (n,)}}, None without any.

    Broken lines are left out; after a resume the later record of a step counts.
    """
    if not path.is_symlink() and not path.exists():
        return None
    try:
        lines = read_bytes(inside(files.folder, path)).decode(errors="replace").splitlines()
    except InputError as error:
        files.tell(error)
        return None
    records = {}
    for line in lines:
        try:
            record = parse_json(line, Record, path)
        except InputError:
            continue
        records[record["step"]] = (record["seconds"] / 60, record["loss"])
    curve = [(step, *records[step]) for step in sorted(records)]
    names = dict.fromkeys(name for _, _, loss in curve for name in loss)
    parts = {name: np.array([loss.get(name, np.nan) for _, _, loss in curve], float) for name in names}
    return {
        "minutes": np.array([minutes for _, minutes, _ in curve]),
        "parts": {name: values for name, values in parts.items() if np.isfinite(values).sum() > 1},
    }  # fmt: skip


def read_cells(files: Files, spec: dict[str, Any]) -> list[Cell]:
    """All cells of the spec in its order, then any others that the folder holds (of an earlier spec)."""
    planned = cells_of(spec)
    found = []
    for path in sorted(files.folder.glob("cells/*/*")):
        match = NAME.fullmatch(path.name)
        if match and path.is_dir() and is_name(path.parent.name) and is_name(match["recipe"]):
            found.append((path.parent.name, match["recipe"], int(match["seed"])))
    return [_read_cell(files, "cells", *key) for key in dict.fromkeys(planned + found)]


def read_edits(files: Files, spec: dict[str, Any]) -> list[Cell]:
    """All cells of edits of the spec, in its order."""
    rows = spec.get("edits") or {}
    seeds = {name: edit_seeds(spec, row) for name, row in rows.items()}
    count = len(spec["datasets"]) * sum(map(len, seeds.values()))
    if count > MOST_CELLS:
        raise InputError(f"spec.json plans {count:,} edits, more than {MOST_CELLS:,}: leave out some of its seeds")
    return [
        _read_cell(files, "edits", dataset, name, seed)
        for dataset in spec["datasets"]
        for name, row in rows.items()
        if dataset in (row.get("datasets") or ())
        for seed in seeds[name]
    ]


def _read_cell(files: Files, place: str, dataset: str, recipe: str, seed: int) -> Cell:
    path = files.folder / place / dataset / f"{recipe}-seed{seed}"
    status: Any = read(files, path / "status.json", Status) or {}
    rows: list[Any] = read(files, path / "rows.json", list[ResultRow]) or []
    cost: Any = read(files, path / "cost.json", Spent) or {}
    rows = [_clean(row) for row in rows if "metric" in row]
    state = status.get("state", "missing")
    reason = " ".join(str(status.get("reason") or "no reason was recorded").split())
    trouble = {
        "done": None if rows else "done, but rows.json is missing or unreadable",
        "failed": f"failed: {reason}",
        "skipped": f"skipped: {reason}",
        "running": "not finished (still running, or stopped: run the bench again)",
    }.get(state, "not started" if not path.is_dir() else "no status.json: run the bench again")
    control: list[Any] = read(files, path / "control.json", list[ResultRow]) or []
    audit = read(files, path / "audit.json", Audited)
    told = tuple(_clean(row) for row in control if "metric" in row)
    return Cell(dataset, recipe, seed, path, state, trouble, rows, cost, audit, told)


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    """The row with None for anything that is not a number. Older rows have in `reason` what is the remark on a value now."""
    if "remark" not in row and row.get("value") is not None:
        row = row | {"reason": None, "remark": row.get("reason")}
    for key in ("value", "low", "high", "floor"):
        if isinstance(row.get(key), float) and not abs(row[key]) < LARGEST_VALUE:  # NaN, too
            row = row | {key: None}
            said = "reason" if row.get("value") is None else "remark"
            row[said] = row.get(said) or f"{key} is not a finite number"
    return row


def cells_of(spec: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Dataset, name of the recipe and seed of every cell that a ``spec.json`` plans.

    Raises
    ------
    InputError
        If there are more than anybody can look at.
    """
    rows = spec.get("recipes", {})
    seeds = {name: row.get("seeds") or spec.get("seeds") or [0] for name, row in rows.items()}
    count = len(spec["datasets"]) * sum(map(len, seeds.values()))
    if count > MOST_CELLS:
        raise InputError(f"spec.json plans {count:,} cells, more than {MOST_CELLS:,}: leave out some of its seeds")
    return [
        (dataset, name, seed)
        for dataset in spec["datasets"]
        for name, row in rows.items()
        if row.get("datasets") is None or dataset in row["datasets"]
        for seed in seeds[name]
    ]
