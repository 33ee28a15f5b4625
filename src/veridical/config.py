"""How a model is trained: one frozen table of settings, in and out of JSON; the command line takes its flags from here."""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Every field is a flag of ``veridical train`` and can be given as ``--set NAME=VALUE``; a recipe overrides some of the
    defaults, the user overrides both.
    """

    size: int = _setting(64, "Side of the square training tiles, in pixels.")
    steps: int | None = _setting(None, "Stop after this many optimiser steps.")
    minutes: float | None = _setting(None, "Stop after this many minutes of wall-clock time.")
    batch: int = _setting(32, "Tiles in a step, over all processes.")
    optimiser: str = _setting("adamw", "adamw, or muon for matrices of at least 64 rows and columns.")
    lr: float = _setting(2e-4, "Learning rate.")
    beta1: float = _setting(0.9, "Adam's decay of the first moment.")
    beta2: float = _setting(0.99, "Adam's decay of the second moment.")
    weight_decay: float = _setting(0.0, "Decoupled weight decay (AdamW).")
    warmup: int = _setting(100, "Steps over which the learning rate rises linearly.")
    decay: float = _setting(0.0, "Last part of the run (0 to 1) over which the learning rate falls linearly to zero.")
    clip: float = _setting(0.0, "Largest gradient norm of a part; 0 leaves gradients as they are.")
    ema: float = _setting(0.999, "Decay of the running average of the weights, reached gradually.")
    seed: int = _setting(0, "Seed of weights, tiles and noise.")
    augment: str = _setting(
        "auto", "Turns and flips: dihedral, flip (left-right), none; auto: dihedral for grey, flip for RGB."
    )
    scale: float = _setting(1.0, "Resize images by this factor before cutting tiles.")
    split: str = _setting(
        "", "CSV file with the columns name, split (train or test); empty: what the data bring, else blocks."
    )
    label: str = _setting(
        "",
        "Label of the images, for recipes that need one: a column of labels.csv or properties.csv, a property of a "
        "phantom, or folder (the name of an image's folder).",
    )
    bins: int = _setting(0, "Turn a numeric label into so many classes of equal share; 0 leaves it continuous.")
    source: str = _setting("", "Images to translate from, for recipes that need them; no pairs.")
    source_scale: float = _setting(1.0, "Resize images of the source by this factor before cutting tiles.")
    limit: int = _setting(0, "Train on so many tiles only, spread evenly over the training images; 0: all.")
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1, mps.")
    threads: int = _setting(0, "CPU threads; 0: all that this process may use.")
    save_every: float = _setting(60.0, "Seconds between checkpoints.")
    preview_every: float = _setting(
        60.0, "Seconds between grids of samples (they never take more than 5 % of the time)."
    )

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _check_kind(f.name, str(f.type), getattr(self, f.name))
        for name, low in (
            ("size", 8),
            ("batch", 1),
            ("lr", 0.0),
            ("scale", 1e-3),
            ("source_scale", 1e-3),
            ("limit", 0),
            ("bins", 0),
            ("seed", 0),
            ("threads", 0),
        ):
            if not getattr(self, name) >= low:  # nor a NaN
                raise InputError(f"{name}={getattr(self, name)} is too small: give at least {low}.")
        for name in ("steps", "minutes"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name}={getattr(self, name)} would train nothing: give a positive number.")
        if self.optimiser not in ("adamw", "muon"):
            raise InputError(f"optimiser={self.optimiser} is not known: use adamw or muon.")
        if self.augment not in ("auto", "dihedral", "flip", "none"):
            raise InputError(f"augment={self.augment} is not known: use auto, dihedral, flip or none.")

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
        return cls(**values)


def _check_kind(name: str, kind: str, value: Any) -> None:
    """Refuse what is not of the type of a setting: a list in a specification, say."""
    kinds: dict[str, tuple[type, str]] = {
        "int": (numbers.Integral, "a whole number"),
        "float": (numbers.Real, "a number"),
        "str": (str, "text"),
    }
    wanted, words = kinds[kind.removesuffix(" | None")]
    if value is None and kind.endswith("None"):
        return
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise InputError(f"{name}={value!r} cannot be: give {words}.")


def listed(value: Any) -> Any:
    """`value` as it comes back from JSON, for comparing: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value


def parse_value(text: str, like: Any) -> Any:
    """Turn the text of ``KEY=VALUE`` into the type of the default value `like`.

    Parameters
    ----------
    text : str
        What the user typed.
    like : object
        A default value (int, float, bool, str, tuple of them or None) or a type annotation.

    Raises
    ------
    InputError
        If the text does not read as that type.
    """
    kind = like if isinstance(like, type | types.UnionType) else type(like)
    kinds = [k for k in typing.get_args(kind) or (kind,) if k is not type(None)]
    try:
        if text.lower() in ("none", "null") and (like is None or type(None) in typing.get_args(kind)):
            return None
        if not kinds:
            return text
        if kinds[0] is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if kinds[0] is tuple:
            return tuple(parse_value(t, like[0]) for t in text.strip("()[] ").split(",") if t)
        value = kinds[0](text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        return value
    except (ValueError, KeyError) as error:
        raise InputError(f"{text!r} is not a {kinds[0].__name__}: give a value such as {like!r}.") from error
