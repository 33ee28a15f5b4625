"""What ``run.json`` says, with types, and what of it is read back.

Longer than other files because the types of all that a run says stand together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from typing_extensions import TypedDict

from veridical.conditions.table import needed
from veridical.core.errors import InputError
from veridical.core.files import check_content
from veridical.core.parse import listed
from veridical.data.labels import Labels
from veridical.data.window import IntensityWindow
from veridical.recipes import table
from veridical.recipes.adaptation import Adaptation
from veridical.recipes.config import TrainConfig

FORMAT = 2
LARGEST = 2**53  # whole number
PIPELINE = "hub_"  # how names of recipes begin that are kinds of pipelines


class Checked:
    """In ``Annotated[T, Checked(kind)]``: what is read as `kind` and is a T to everybody else."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """For pydantic."""
        return handler.generate_schema(self._kind)


Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Number = (
    bool | Annotated[int, Field(strict=True, ge=-LARGEST, le=LARGEST)]
    | Annotated[float, Field(strict=True, allow_inf_nan=False)]
)  # fmt: skip
Arguments = Annotated[dict[str, Any], Checked(dict[str, Number | str | list[Number | str | None] | None])]


def _window(content: Any) -> Any:
    """An intensity window from its JSON; `ValueError` for one that maps nothing to [0, 1]."""
    if not isinstance(content, dict):
        return content
    low: Any = content.get("low")
    high: Any = content.get("high")
    name = content.get("dtype")
    try:
        dtype = np.dtype(name if isinstance(name, str) else "O")
    except (TypeError, ValueError):
        dtype = np.dtype("O")
    if dtype.kind not in "biuf":
        raise ValueError(f"dtype {name!r} is none of images")
    least, most = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-1e300, 1e300)
    # bool is an int, too; NaN fails every comparison
    if not all(type(value) in (int, float) and least <= value <= most for value in (low, high)) or not low < high:
        raise ValueError(f"low {low!r} and high {high!r} are no window of {name} values")
    return IntensityWindow(float(low), float(high), str(name))


def _of_window(content: Any) -> Any:
    _window(content)
    return content


def _labels(content: dict[str, Any]) -> dict[str, Any]:
    labels: Labels = check_content(content, Labels, "labels")
    unknown = content.keys() - {f.name for f in dataclasses.fields(Labels)}
    numbers = [labels.low, labels.high, labels.mean, labels.std, *(labels.edges or ())]
    if unknown or not all(-1e300 < value < 1e300 for value in numbers if value is not None):
        raise ValueError("something is unknown, or no number")
    if not labels.classes and (labels.mean is None or not labels.std or labels.std < 0):
        raise ValueError("neither classes nor a mean and a deviation")
    return content


class Tokenizer(TypedDict):
    """The file of a vocabulary."""

    file: str
    sha256: str


class Described(TypedDict, total=False):
    """What of the summary of data is read again; there may be more."""

    __pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]  # noqa: RUF012

    spec: str
    fingerprint: str
    channels: Literal[1, 3]
    size: Count
    pixel_size: Positive | list[Positive] | None
    window: Annotated[dict[str, Any], AfterValidator(_of_window)]
    labels: Annotated[dict[str, Any], AfterValidator(_labels)] | None
    mask_values: list[Annotated[int, Field(strict=True, ge=-LARGEST, le=LARGEST)]] | None
    tokenizer: Tokenizer


About = Annotated[dict[str, Any], Checked(Described)]


def _settings(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    for name, value in content.items():
        if type(value) is int and abs(value) > LARGEST:
            raise ValueError(f"{name} is too large")
    return TrainConfig.from_json(content)


Settings = Annotated[TrainConfig, BeforeValidator(_settings)]


@dataclass(frozen=True)
class Cost:
    """What a training has cost.

    Attributes
    ----------
    parameters : int
        Numbers that were trained.
    steps, batch : int
    train_seconds : float
        Without those that previews took.
    peak_memory_mb : float or None
        None where it is not known.
    device : str
    threads, processes : int
    steps_per_second, first_steps_per_second : float or None
        Of this training by itself, over all of it and in its first seconds (`veridical.core.pace`); None where too few were made.
    """

    parameters: Count
    steps: Count
    batch: Count
    train_seconds: Amount
    peak_memory_mb: Amount | None
    device: str
    threads: Count
    processes: Count = 1
    steps_per_second: Amount | None = None
    first_steps_per_second: Amount | None = None

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that ``json.dump`` takes."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Best:
    """The state of a training in ``best.safetensors``, and why it is that.

    Attributes
    ----------
    metric : str
        What it was scored by, see `veridical.scoring.table.METRICS`.
    step : int
    value, low, high : float
        Score of its preview and the 95 % interval.
    error : float
        Standard error that the samples alone make.
    smoothed : float
        Mean of its score and the two before, which states are compared by (`veridical.training.course`).
    n, tiles : int
        Samples, and validation tiles that they were compared with.
    """

    metric: str
    step: Count
    value: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    low: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
    high: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
    error: Amount
    smoothed: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    n: Count
    tiles: Count


NOTHING = Cost(0, 0, 0, 0.0, None, "", 0)  # before training


@dataclass(frozen=True)
class StageInfo:
    """A frozen stage of a run: a run of its own.

    Attributes
    ----------
    recipe, args, config, dataset, cost
        Of that run.
    path, beside : str
        Its folder, and the same as seen from the folder of the run that holds the stage.
    given : bool
        Whether it was there before, or was trained for that run, with a share of its budget.
    sha256 : str
        Of its ``model.safetensors``; empty in runs of before, which hold the weights of their first stage themselves.
    stages : dict
        Its own frozen stages.
    """

    recipe: str
    args: Arguments
    config: Settings
    dataset: About
    cost: Cost
    path: str
    beside: str
    given: bool
    sha256: str
    stages: dict[str, StageInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run.

    Attributes
    ----------
    version, torch : str
        Of veridical and of PyTorch.
    recipe : str
    args : dict
        Of the model.
    config : TrainConfig
    channels, size : int
        Of its images.
    window : IntensityWindow
        The map between [0, 1] and the counts of the data.
    dataset : dict
        What it was trained on, see `veridical.data.dataset.Dataset.summary`.
    finished : bool
        Whether the budget is spent.
    cost : Cost
    conditions : dict of str to dict
        What conditions are from, by name: ``source`` has the same as `dataset`.
    stages : dict of str to StageInfo
        Frozen stages.
    resumed : list of str
        Where it went on with what changes its last bits (threads, device, processes, PyTorch).
    adapted : Adaptation, optional
        How it was made of another run, the stage ``base``, or of a pipeline; its recipe is that of the base.
    best : Best, optional
        The state in ``best.safetensors``, of a training whose previews were scored.
    """

    version: str
    torch: str
    recipe: str
    args: Arguments
    config: Settings
    channels: Annotated[int, Checked(Literal[1, 3])]
    size: Annotated[int, Field(strict=True, ge=1, le=2**15)]
    window: Annotated[IntensityWindow, BeforeValidator(_window)]
    dataset: About
    finished: Annotated[bool, Field(strict=True)]
    cost: Cost
    conditions: dict[str, About] = field(default_factory=dict)
    stages: dict[str, StageInfo] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    adapted: Adaptation | None = None
    best: Best | None = None

    def replace(self, **changes: Any) -> RunInfo:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def completed(self) -> RunInfo:
        """The same with all arguments that there are today (`Recipe.complete`)."""
        args = table.find(self.recipe).complete(self.args)
        return self.replace(args={name: listed(value) for name, value in args.items()})

    def cost_of_all(self) -> Cost:
        """What it has cost with its stages, and theirs."""
        costs = [self.cost, *_costs(self.stages)]
        memory = [cost.peak_memory_mb for cost in costs if cost.peak_memory_mb is not None]
        return dataclasses.replace(
            self.cost,
            parameters=sum(cost.parameters for cost in costs),
            train_seconds=sum(cost.train_seconds for cost in costs),
            peak_memory_mb=max(memory, default=None),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        content = dataclasses.asdict(self)
        for name in ("adapted", "best"):
            if content[name] is None:
                del content[name]
        return {"format": FORMAT, **content.pop("conditions"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any], path: Path) -> RunInfo:
        """Read what `to_json` wrote to `path`, by this or an earlier version.

        Raises
        ------
        InputError
            Where something is missing or cannot be, or where it was changed after it was written.
        """
        content = {"version": "", "torch": ""} | content
        written = content.pop("sha256", None)
        if written is not None and written != digest(content):
            raise InputError(
                f"{path} is not as it was written (its SHA-256 differs): restore it; or, if you changed it on purpose, remove "
                "its line sha256."
            )
        if "first" in content:  # of before: it holds the weights of its only stage itself, and does not say their hash
            given = content.get("given_first")
            place = given or str(path.parent.resolve() / "first")
            where = {"path": place, "beside": place, "given": given is not None, "sha256": ""}
            first = check_content(content["first"], dict[str, Any], f"{path}, first")
            content["stages"] = {"first": first | where}
        names = {f.name for f in dataclasses.fields(cls)} - {"conditions"}
        beside = {k: v for k, v in content.items() if k not in (*names, "first") and isinstance(v, dict)}
        known = {k: v for k, v in content.items() if k in names} | {"conditions": beside}
        run: RunInfo = check_content(known, cls, path)
        run._check(path)
        if run.dataset.get("unwatched"):  # another version might set something of the same images apart
            return run.replace(config=run.config.replace(validation=0.0))
        return run

    def _check(self, path: Path) -> None:
        """Refuse what contradicts itself, or lacks what samples of the recipe are made of."""
        about: dict[str, Any] = {"dataset": self.dataset, **self.conditions}
        window = self.dataset.get("window", self.window.to_json())
        said = {"size": self.config.size, "channels": self.dataset.get("channels", self.channels)}
        if said != {"size": self.size, "channels": self.channels} or IntensityWindow(**window) != self.window:
            raise InputError(f"{path} says two sizes, channels or windows: it was damaged; restore it or train again.")
        for part, entry in (row.kept for row in needed(_conditions(self.recipe)) if row.kept):
            if about.get(part, {}).get(entry) is None:
                raise InputError(f"{path} does not say {part}.{entry}: it was damaged; restore it or train again.")


def _conditions(recipe: str) -> tuple[str, ...]:
    if recipe.startswith(PIPELINE):  # which has words of its own
        return ()
    row = table.find(recipe)
    return (*row.needs, *row.learns)


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of what JSON says, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _costs(stages: dict[str, StageInfo]) -> list[Cost]:
    return [cost for stage in stages.values() for cost in (stage.cost, *_costs(stage.stages))]
