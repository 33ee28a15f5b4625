"""The ways of adapting a trained model to few images: one row each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from veridical.core.errors import InputError, check_known
from veridical.core.parse import value_of
from veridical.core.settings import types_of
from veridical.recipes.adaptation import Lora, Prior, Reward, Telling, Word
from veridical.recipes.config import TrainConfig

# Settings of training that are those of the base, or nothing here.
FIXED = ("size", "label", "bins", "source", "source_scale", "hint", "label_tiles", "label_share", "complete",
         "validation", "patience")  # fmt: skip


@dataclass(frozen=True)
class How:
    """One way.

    Attributes
    ----------
    name, summary, paper : str
    settings : tuple of type
        Dataclasses whose fields are its settings, besides those of training.
    train : dict
        Settings of training, or its own, that differ from their defaults; for pipelines of other people those of `large`, too.
    """

    name: str
    summary: str
    paper: str
    settings: tuple[type, ...]
    train: dict[str, Any]
    large: dict[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, Any]:
        """Names and types of its settings."""
        return {name: kind for each in self.settings for name, kind in types_of(each).items()}


USUAL: dict[str, Any] = {"steps": 400, "batch": 8, "lr": 1e-3, "warmup": 20, "decay": 0.5, "ema": 0.99}
RELATIVE = 0.03  # of a new word, in units of the table of words; 5e-4 in those of the towers of Stable Diffusion
LARGE: dict[str, Any] = {"steps": 500, "batch": 1, "lr": 1e-4}

HOWS: dict[str, How] = {
    row.name: row
    for row in (
        How(
            "lora",
            "low-rank changes beside the weights of attention learn a new kind of image",
            "Hu et al. 2021, arXiv:2106.09685",
            (Lora, Telling),
            USUAL,
            LARGE,
        ),
        How(
            "textual_inversion",
            "one vector, a new word, learns to stand for what the images show; nothing else changes",
            "Gal et al. 2022, arXiv:2208.01618",
            (Word, Telling),
            USUAL | {"lr": RELATIVE},
            LARGE | {"lr": RELATIVE},
        ),
        How(
            "dreambooth",
            "as lora, with images of the kind as the base draws it beside the new ones, so that it is not forgotten",
            "Ruiz et al. 2022, arXiv:2208.12242",
            (Lora, Telling, Prior),
            USUAL,
            LARGE | {"batch": 2},
        ),
        How(
            "reward",
            "as lora, towards those of its own images that the audit, a property or your ratings prefer",
            "Wallace et al. 2023, arXiv:2311.12908",
            (Lora, Telling, Reward),
            USUAL | {"decay": 0.0, "lr": 5e-4},
            LARGE | {"batch": 2, "decay": 0.0, "beta": 2000.0},
        ),
    )
}


def find(name: str) -> How:
    """The row called `name`; an `InputError` lists all."""
    check_known("how", name, HOWS)
    return HOWS[name]


def sorted_out(row: How, given: Mapping[str, Any], large: bool) -> tuple[TrainConfig, dict[str, Any]]:
    """Settings of training, and all of the way's own, from those that a user gave; text is converted.

    Raises
    ------
    InputError
        For what is no setting, or no value of one.
    """
    types = {name: kind for name, kind in types_of(TrainConfig).items() if name not in FIXED}
    usual = row.train | (row.large if large else {})
    config = {name: value for name, value in usual.items() if name not in row.own}
    own: dict[str, Any] = {name: value for name, value in usual.items() if name in row.own}
    for name, value in given.items():
        if name not in types and name not in row.own:
            raise InputError(f"{row.name} has no setting {name!r}: it has {', '.join((*row.own, *types))}.")
        kind = row.own.get(name) or types[name]
        (own if name in row.own else config)[name] = value_of(name, value, kind)
    if given.get("minutes") is not None and given.get("steps") is None:
        config["steps"] = None
    names = [{f.name for f in dataclasses.fields(each)} for each in row.settings]
    made = [each(**{k: v for k, v in own.items() if k in mine}) for each, mine in zip(row.settings, names, strict=True)]
    return TrainConfig(**{"validation": 0.0} | config), {
        name: value for each in made for name, value in dataclasses.asdict(each).items()
    }
