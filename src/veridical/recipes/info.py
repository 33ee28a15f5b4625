"""What ``run.json`` says, with types."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.core.parse import listed
from veridical.data.window import IntensityWindow
from veridical.recipes import table
from veridical.recipes.config import TrainConfig

FORMAT = 2


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
    threads : int
    """

    parameters: int
    steps: int
    batch: int
    train_seconds: float
    peak_memory_mb: float | None
    device: str
    threads: int

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cost:
        """Read what `to_json` wrote; a `KeyError` where something is missing."""
        return cls(**{f.name: content[f.name] for f in dataclasses.fields(cls)})


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
    args: dict[str, Any]
    config: TrainConfig
    dataset: dict[str, Any]
    cost: Cost
    path: str
    beside: str
    given: bool
    sha256: str
    stages: dict[str, StageInfo] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> StageInfo:
        """Read what `to_json` wrote; a `KeyError` where something is missing."""
        read = {f.name: content[f.name] for f in dataclasses.fields(cls) if f.name != "stages"}
        read["config"] = TrainConfig.from_json(content["config"])
        read["cost"] = Cost.from_json(content["cost"])
        return cls(**read, stages=_stages(content.get("stages", {})))


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
    """

    version: str
    torch: str
    recipe: str
    args: dict[str, Any]
    config: TrainConfig
    channels: int
    size: int
    window: IntensityWindow
    dataset: dict[str, Any]
    finished: bool
    cost: Cost
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, StageInfo] = field(default_factory=dict)

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
        return {"format": FORMAT, **content.pop("conditions"), **content}

    @classmethod
    def from_json(cls, content: dict[str, Any], path: Path) -> RunInfo:
        """Read what `to_json` wrote to `path`, by this or an earlier version.

        Raises
        ------
        InputError
            Where something is missing, or of another type.
        """
        content = {"version": "", "torch": "", "stages": {}} | content
        if "first" in content:  # of before: it holds the weights of its only stage itself, and does not say their hash
            given = content.get("given_first")
            place = given or str(path.parent.resolve() / "first")
            where = {"path": place, "beside": place, "given": given is not None, "sha256": ""}
            content["stages"] = {"first": {**content["first"], **where}}
        read = {}
        for name, (kind, reader) in CONTENT.items():
            try:
                if not isinstance(content[name], kind):
                    raise TypeError(name)
                read[name] = reader(content[name]) if reader else content[name]
            except InputError:
                raise
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path} does not say {name!r}: it was damaged; restore it or train again.") from error
        beside = {k: v for k, v in content.items() if k not in (*CONTENT, "first") and isinstance(v, dict)}
        return cls(**read, conditions=beside)


def _costs(stages: dict[str, StageInfo]) -> list[Cost]:
    return [cost for stage in stages.values() for cost in (stage.cost, *_costs(stage.stages))]


def _stages(content: dict[str, Any]) -> dict[str, StageInfo]:
    return {name: StageInfo.from_json(stage) for name, stage in content.items()}


# What run.json says of every run, of what type it is there, and how it is read.
CONTENT: dict[str, tuple[Any, Callable[[Any], Any] | None]] = {
    "version": (str, None),
    "torch": (str, None),
    "recipe": (str, None),
    "args": (dict, None),
    "config": (dict, TrainConfig.from_json),
    "channels": (int, None),
    "size": (int, None),
    "window": (dict, IntensityWindow.from_json),
    "dataset": (dict, None),
    "finished": (bool, None),
    "cost": (dict, Cost.from_json),
    "stages": (dict, _stages),
}
