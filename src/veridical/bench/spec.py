"""What a bench is to do: one TOML file, checked before anything is trained."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError

EXAMPLE = """title = "Our core, four systems"
size = 64
minutes = 6
samples = 256
seeds = [0]

[datasets]
core = "scans/core.tif"

[recipes]
random_phase = {}
dcgan = {}
edm = { lr = 5e-4 }
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
        Name to settings, of which ``data`` says what to open; the rest are settings of `open_dataset`
        (augment, scale, split).
    recipes : dict
        Recipe name to training settings and model arguments that differ from its own.
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
    recipes: dict[str, dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return the spec as a JSON-able dict."""
        return asdict(self)


def read_spec(path: str | Path) -> Spec:
    """Read and check a bench specification; paths in it are relative to the file.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or names something unknown; the message says which.
    """
    from ..recipes import settings

    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a bench specification in TOML.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML ({error}): see `veridical bench --help` for an example.") from error
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
    datasets = {}
    for name, entry in values["datasets"].items():
        entry = dict(entry) if isinstance(entry, dict) else {"data": entry}
        if "data" not in entry or set(entry) - {"data", "augment", "scale", "split"}:
            raise InputError(
                f'{path}: dataset {name!r} needs data = "..." and may have augment, scale and split, nothing else.'
            )
        datasets[name] = entry | {k: _relative(str(entry[k]), path.parent) for k in ("data", "split") if k in entry}
    for name, given in values["recipes"].items():
        settings(name, given)
    return Spec(**(values | {"datasets": datasets}))


def _relative(spec: str, folder: Path) -> str:
    """Resolve the path part of a dataset spec against the folder of the file that names it."""
    if spec.split(":", 1)[0] in ("phantom", "skimage"):
        return spec
    return str((folder / spec).resolve())
