"""How a model is trained: one frozen table of settings, in and out of JSON; the command line takes its flags from here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from veridical.conditions.table import DataSettings
from veridical.core.errors import InputError
from veridical.core.settings import setting


@dataclass(frozen=True)
class TrainConfig(DataSettings):
    """Settings of one training run: those of the data, and how to learn from them.

    Every field is a flag of ``veridical train`` and can be given as ``--set NAME=VALUE``; a recipe overrides some of the
    defaults, the user overrides both.
    """

    steps: int | None = setting(None, "Stop after this many optimiser steps.", low=1)
    minutes: float | None = setting(None, "Stop after this many minutes of wall-clock time.", low=1e-3)
    batch: int = setting(32, "Tiles in a step, over all processes.", low=1, high=1_000_000)
    optimiser: str = setting(
        "adamw", "adamw, or muon for matrices of at least 64 rows and columns.", choices=("adamw", "muon")
    )
    lr: float = setting(2e-4, "Learning rate.", low=0)
    beta1: float = setting(0.9, "Adam's decay of the first moment.", low=0, below=1)
    beta2: float = setting(0.99, "Adam's decay of the second moment.", low=0, below=1)
    weight_decay: float = setting(0.0, "Decoupled weight decay (AdamW).", low=0)
    warmup: int = setting(100, "Steps over which the learning rate rises linearly.", low=0)
    decay: float = setting(
        0.0, "Last part of the run (0 to 1) over which the learning rate falls linearly to zero.", low=0, high=1
    )
    clip: float = setting(0.0, "Largest gradient norm of a part; 0 leaves gradients as they are.", low=0)
    ema: float = setting(0.999, "Decay of the running average of the weights, reached gradually.", low=0, below=1)
    seed: int = setting(0, "Seed of weights, tiles and noise.", low=0)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps.")
    threads: int = setting(
        0, "CPU threads; 0: all that this process may use, or as many as OMP_NUM_THREADS says.", low=0, high=1024
    )
    save_every: float = setting(60.0, "Seconds between checkpoints.", low=0)
    preview_every: float = setting(
        60.0,
        "Seconds between grids of samples and their scores (they never take more than 5 % of the time).",
        low=0,
    )
    patience: int = setting(
        0, "Stop early after so many scores without one that is lower, the last three taken together; 0: never.", low=0
    )
    tensorboard: bool = setting(
        False, "Write losses, scores and grids for TensorBoard, too (extra tensorboard), into tensorboard/ of the run."
    )

    def replace(self, **changes: Any) -> TrainConfig:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON-able dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """Return the settings stored by `to_json`; unknown names are an `InputError`."""
        unknown = set(values) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise InputError(f"unknown training setting {sorted(unknown)[0]!r}: it was written by another version.")
        return cls(**{"validation": 0.0} | values)  # of runs of before nothing was set apart
