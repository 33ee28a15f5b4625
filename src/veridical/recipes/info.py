"""What ``run.json`` says, with types."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


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
    config: dict[str, Any]
    dataset: dict[str, Any]
    cost: dict[str, Any]
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
        """Read what `to_json` wrote; a `KeyError` or `TypeError` where something is missing."""
        stages = {name: cls.from_json(stage) for name, stage in content.get("stages", {}).items()}
        return cls(**{**content, "stages": stages})
