"""What a bench is to do: one TOML file, checked before anything is trained."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

from veridical.benching.changes import phantom_of
from veridical.benching.edit_rows import EditRow, Truth, read_changes, read_edits, read_truth
from veridical.benching.one_row import Row
from veridical.benching.rows import OF_DATASET, check_first, read_row
from veridical.conditions.table import CONDITIONS
from veridical.core.errors import InputError
from veridical.core.files import read_text
from veridical.core.limits import LARGEST_TILE
from veridical.core.text import is_name
from veridical.hub.hosted import is_hosted
from veridical.recipes.config import TrainConfig

LARGEST = 2**20  # bytes of a specification

EXAMPLE = """title = "Our core, four systems"
size = 64
minutes = 6
samples = 256
seeds = [0]

[datasets]
core = "scans/core.tif"
core_50 = { data = "scans/core.tif", limit = 50 }
rocks = { data = "phantom:rocks?n=400&size=64", label = "porosity", bins = 4 }

[recipes]
random_phase = {}
dcgan = { seeds = [0, 1, 2] }
edm = { lr = 5e-4, minutes = 12 }
edm_small = { recipe = "edm", widths = [32, 64], datasets = ["core"] }
cgan = { datasets = ["rocks"] }
"""


@dataclass(frozen=True)
class Spec:
    """Datasets x recipes x seeds.

    Attributes
    ----------
    title : str
    size : int
        Side of the tiles in pixels.
    minutes, steps : float or None, int or None
        Training budget of a cell; both stages of a two-stage system share it.
    samples : int
        Images to draw from each system.
    tiles : int
        At most so many real tiles, of training and of held-out data, are compared with.
    seeds : list of int
    jobs : int
        Cells that run at the same time, each on its share of the processors; on a CPU, as many as there are processors make
        the most of them.
    datasets : dict
        Name to settings, of which ``data`` says what to open; the rest are among `OF_DATASET`.
    recipes : dict
        Name in the bench to `Row`.
    stages : dict
        Likewise, of what is trained for others and draws nothing by itself.
    edits, changes, truth
        What is edited and how that is measured, see `veridical.benching.edit_rows`.
    """

    title: str
    size: int
    minutes: float | None
    steps: int | None
    samples: int
    tiles: int
    seeds: list[int]
    jobs: int
    datasets: dict[str, dict[str, Any]]
    recipes: dict[str, Row]
    stages: dict[str, Row] = field(default_factory=dict)
    edits: dict[str, EditRow] = field(default_factory=dict)
    changes: dict[str, list[Any]] = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)


def read_spec(path: str | Path) -> Spec:
    """Read and check a bench specification; paths in it are relative to the file.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or names something unknown; the message says which.
    """
    path = Path(path)
    try:
        table = tomllib.loads(read_text(path, LARGEST))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is not TOML ({reason}): see `veridical bench --help` for an example.") from error
    defaults: dict[str, Any] = {
        "title": path.stem, "size": 64, "minutes": None, "steps": None, "samples": 256, "tiles": 256, "seeds": [0], "jobs": 1,
        "datasets": {}, "recipes": {}, "stages": {}, "edits": {}, "changes": {}, "truth": {},
    }  # fmt: skip
    unknown = set(table) - set(defaults)
    if unknown:
        raise InputError(f"{path} has an unknown entry {sorted(unknown)[0]!r}: it may have {', '.join(defaults)}.")
    values = defaults | table
    for name in ("datasets", "recipes"):
        if not values[name]:
            raise InputError(f"{path} names no {name}: add a [{name}] table (see `veridical bench --help`).")
    if values["minutes"] is None and values["steps"] is None:
        values["minutes"] = 10.0
    _check_types(path, values)
    datasets = {name: _dataset(path, name, entry) for name, entry in values["datasets"].items()}
    changes = read_changes(path, values["changes"], datasets, values["size"])
    given = {name: _paired(path, name, dict(row), datasets, changes) for name, row in values["stages"].items()}
    stages = {name: read_row(path, name, row, datasets, stage=True) for name, row in given.items()}
    rows = {name: read_row(path, name, dict(given), datasets) for name, given in values["recipes"].items()}
    check_first(path, stages, rows, list(datasets))
    there = {name: row.datasets or list(datasets) for name, row in (stages | rows).items()}
    hosted = {name: row.recipe for name, row in rows.items() if is_hosted(row.recipe)}
    edits = read_edits(path, _addressed(values["edits"], hosted), changes, there)
    for name, edit in edits.items():
        if edit.run in rows and (untrained := set(edit.seeds or ()) - set(rows[edit.run].seeds or values["seeds"])):
            raise InputError(
                f"{path}: the edit {name} has seed {min(untrained)}, with which {edit.run} is not trained."
            )
    truth = read_truth(path, values["truth"], stages)
    more = {"stages": stages, "edits": edits, "changes": changes, "truth": truth}
    return Spec(**(values | {"datasets": datasets, "recipes": rows} | more))


def _addressed(edits: dict[str, Any], hosted: dict[str, str]) -> dict[str, Any]:
    """Edits whose run is a row of a hosted generator, which leaves no run, with the generator itself in its place."""

    def known(row: Any) -> bool:
        return isinstance(row, dict) and isinstance(row.get("run"), str) and row["run"] in hosted

    return {name: row | {"run": hosted[row["run"]]} if known(row) else row for name, row in edits.items()}


def _paired(
    path: Path, name: str, given: dict[str, Any], datasets: dict[str, Any], changes: dict[str, Any]
) -> dict[str, Any]:
    """A stage that learns from pairs is trained where there are some."""
    from veridical.recipes.table import find

    recipe = given.get("recipe", name)
    if "before" not in find(recipe).needs:
        return given
    there = [dataset for dataset in changes if phantom_of(datasets[dataset]["data"])]
    wanted = given.get("datasets", there)
    if not wanted or set(wanted) - set(there):
        raise InputError(f"{path}: {name} learns from pairs: say in [changes] what is changed in its phantoms.")
    return given | {"datasets": wanted}


def _check_types(path: Path, values: dict[str, Any]) -> None:
    def whole(value: Any, least: int) -> bool:
        return type(value) is int and value >= least

    def wholes(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(whole(seed, 0) for seed in value)

    def folders(value: Any) -> bool:
        return isinstance(value, dict) and all(is_name(name) for name in value)

    minutes, steps = values["minutes"], values["steps"]
    good = {
        "title": isinstance(values["title"], str),
        "size": whole(values["size"], 8) and values["size"] <= LARGEST_TILE,
        "minutes": minutes is None or (type(minutes) in (int, float) and 0 < minutes < math.inf),
        "steps": steps is None or whole(steps, 1),
        "samples": whole(values["samples"], 1),
        "tiles": whole(values["tiles"], 1),
        "jobs": whole(values["jobs"], 1),
        "seeds": wholes(values["seeds"]),
        "datasets": folders(values["datasets"]),
        **{
            part: folders(values[part]) and all(isinstance(row, dict) for row in values[part].values())
            for part in ("recipes", "stages")
        },
        **{part: isinstance(values[part], dict) for part in ("changes", "truth")},
        "edits": folders(values["edits"]),
    }
    for name, fits in good.items():
        if not fits:
            raise InputError(
                f"{path}: {name} = {shorten(repr(values[name]), 80)} cannot be: see `veridical bench --help` for an example."
            )
    for name, row in (values["recipes"] | values["stages"]).items():
        rows = {
            "recipe": isinstance(row.get("recipe", ""), str),
            "seeds": "seeds" not in row or wholes(row["seeds"]),
            "first": isinstance(row.get("first", {}), dict)
            and all(isinstance(source, str) for source in row.get("first", {}).values()),
            "datasets": "datasets" not in row
            or (isinstance(row["datasets"], list) and all(isinstance(dataset, str) for dataset in row["datasets"])),
        }
        for key, fits in rows.items():
            if not fits:
                raise InputError(f"{path}: {key} = {row[key]!r} of {name} cannot be: see `veridical bench --help`.")


def _dataset(path: Path, name: str, given: Any) -> dict[str, Any]:
    entry: dict[str, Any] = dict(given) if isinstance(given, dict) else {"data": given}
    if "data" not in entry or set(entry) - {"data", *OF_DATASET}:
        raise InputError(
            f'{path}: dataset {name!r} needs data = "..." and may have {", ".join(OF_DATASET)}, nothing else.'
        )
    if not isinstance(entry["data"], str) or not entry["data"].strip():
        raise InputError(
            f"{path}: data = {entry['data']!r} of dataset {name!r} names no images: give a folder or a file."
        )
    try:
        TrainConfig(**{k: v for k, v in entry.items() if k != "data"})
    except InputError as error:
        raise InputError(f"{path}: dataset {name!r}: {error}") from error
    places: dict[str, Any] = {k: _relative(str(entry[k]), path.parent) for k in ("data", "split") if k in entry}
    for row in CONDITIONS.values():
        places |= row.located(entry, lambda spec: _relative(spec, path.parent))
    return entry | places


def _relative(spec: str, folder: Path) -> str:
    """Resolve the path part of a dataset spec against the folder of the file that names it."""
    if spec.split(":", 1)[0] in ("phantom", "skimage"):
        return spec
    return str((folder / spec).resolve())
