"""What a bench is to do: one TOML file, checked before anything is trained."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from veridical.conditions.table import CONDITIONS, DATA_SETTINGS, needed
from veridical.core.errors import InputError
from veridical.core.files import read_text
from veridical.core.limits import LARGEST_TILE
from veridical.core.text import is_name
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


# What a dataset may say; a recipe may not change it, or it would be compared with other tiles. The size is the bench's.
OF_DATASET = tuple(name for name in DATA_SETTINGS if name != "size")
# Systems are compared by their last states, after training on all that is not held out; a dataset may say otherwise.
UNWATCHED: dict[str, Any] = {"validation": 0.0}


@dataclass(frozen=True)
class Row:
    """One system of a bench.

    Attributes
    ----------
    recipe : str
        Its recipe; the name in the bench may be another one.
    args : dict
        Training settings and model arguments that differ from the recipe's own. Its own ``minutes`` or ``steps`` take the
        place of the bench's budget.
    datasets : list of str, or None
        Only these datasets; None is all.
    seeds : list of int, or None
        These seeds instead of the bench's.
    """

    recipe: str
    args: dict[str, Any]
    datasets: list[str] | None = None
    seeds: list[int] | None = None

    def to_json(self, name: str) -> dict[str, Any]:
        """What ``spec.json`` says of the row called `name`."""
        content: dict[str, Any] = {"args": self.args}
        limits = {
            "recipe": None if self.recipe == name else self.recipe,
            "datasets": self.datasets,
            "seeds": self.seeds,
        }
        return content | {k: v for k, v in limits.items() if v is not None}


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
        "datasets": {}, "recipes": {},
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
    rows = {name: _row(path, name, dict(given), datasets) for name, given in values["recipes"].items()}
    return Spec(**(values | {"datasets": datasets, "recipes": rows}))


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
        "recipes": folders(values["recipes"]) and all(isinstance(row, dict) for row in values["recipes"].values()),
    }
    for name, fits in good.items():
        if not fits:
            raise InputError(
                f"{path}: {name} = {shorten(repr(values[name]), 80)} cannot be: see `veridical bench --help` for an example."
            )
    for name, row in values["recipes"].items():
        rows = {
            "recipe": isinstance(row.get("recipe", ""), str),
            "seeds": "seeds" not in row or wholes(row["seeds"]),
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


def _row(path: Path, name: str, given: dict[str, Any], datasets: dict[str, dict[str, Any]]) -> Row:
    from veridical.pretrained.folder import is_hub
    from veridical.recipes.table import find_drawing, settings

    row = Row(given.pop("recipe", name), given, given.pop("datasets", None), given.pop("seeds", None))
    if "/" in name or "-seed" in name:
        raise InputError(f"{path}: the recipe name {name!r} cannot be that of a folder; leave out '/' and '-seed'.")
    if fixed := set(given) & {"size", "seed", *OF_DATASET}:
        raise InputError(
            f"{path}: {name} sets {sorted(fixed)[0]}, which is of the bench or of a dataset; set it there, if need be for a "
            "dataset of another name."
        )
    if is_hub(row.recipe):
        return _pipeline(path, name, row, datasets)
    drawn = find_drawing(row.recipe)
    settings(row.recipe, given)
    for dataset in row.datasets or datasets:
        if dataset not in datasets:
            raise InputError(f"{path}: {name} names the dataset {dataset!r}; there are {', '.join(datasets)}.")
        for need in needed(drawn.needs):
            if need.setting and not datasets[dataset].get(need.setting):
                raise InputError(
                    f"{path}: {name} needs a {need.name}, which dataset {dataset!r} does not give; "
                    f'add {need.setting} = "..." to it, or '
                    f"datasets = [...] to {name}."
                )
    return row


def _pipeline(path: Path, name: str, row: Row, datasets: dict[str, dict[str, Any]]) -> Row:
    """A row that is not trained: its folder against that of the file, its prompt and settings."""
    from veridical.pretrained.folder import HUB
    from veridical.pretrained.settings import parsed

    place = row.recipe.removeprefix(HUB)
    if (path.parent / place).exists():
        row = replace(row, recipe=f"{HUB}{(path.parent / place).resolve()}")
    prompt = row.args.get("prompt")
    if not prompt or not all(isinstance(text, str) for text in ([prompt] if isinstance(prompt, str) else prompt)):
        raise InputError(f'{path}: {name} draws what a prompt says: add prompt = "...", or a list of them.')
    parsed(name, {key: value for key, value in row.args.items() if key != "prompt"}, {})
    for dataset in row.datasets or []:
        if dataset not in datasets:
            raise InputError(f"{path}: {name} names the dataset {dataset!r}; there are {', '.join(datasets)}.")
    return row


def _relative(spec: str, folder: Path) -> str:
    """Resolve the path part of a dataset spec against the folder of the file that names it."""
    if spec.split(":", 1)[0] in ("phantom", "skimage"):
        return spec
    return str((folder / spec).resolve())
