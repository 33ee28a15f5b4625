"""Every setting refuses what it cannot be, in a sentence that names it."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest

from veridical.conditions.table import DataSettings
from veridical.core.errors import InputError
from veridical.core.settings import check, setting, taken_apart, types_of
from veridical.editing.table import EDITS
from veridical.recipes.config import TrainConfig
from veridical.recipes.table import RECIPES

SETTINGS = (
    DataSettings,
    TrainConfig,
    *dict.fromkeys(kind for row in RECIPES.values() for kind in row.kinds.values()),
    *dict.fromkeys(edit.settings for edit in EDITS.values()),
)


@dataclasses.dataclass(frozen=True)
class Example:
    share: float = setting(0.5, "A share.", low=0, high=1)
    decay: float = setting(0.9, "A decay.", low=0, below=1)
    widths: tuple[int, ...] = setting((64, 128), "Channels.", low=1)
    law: str = setting("normal", "A law.", choices=("normal", "uniform"))
    limit: int | None = setting(None, "A limit.", above=0)
    clamp: bool = setting(False, "A switch.")

    def __post_init__(self) -> None:
        check(self)


def invalid_values(settings: type) -> Iterator[tuple[str, Any]]:
    """Yield, for each field of a dataclass of settings, values that `check` has to refuse: what tests try."""
    hints = types_of(settings)
    for field in dataclasses.fields(settings):
        kind, several, _ = taken_apart(hints[field.name])
        limits = field.metadata
        wrong: list[Any] = ["text" if kind is not str else 3, None if field.default is not None else object()]
        if kind is bool:
            wrong = ["text", 3]
        if kind in (int, float):
            wrong += [math.nan, math.inf, 10**400]
            wrong += [limits["low"] - 1] if limits["low"] is not None else []
            wrong += [limits["high"] + 1] if limits["high"] is not None else []
            wrong += [limits[k] for k in ("above", "below") if limits[k] is not None]
        if limits["choices"] is not None:
            wrong.append("no such choice")
        for value in wrong:
            yield field.name, (value,) if several and value is not None else value


@pytest.mark.parametrize("settings", SETTINGS)
def test_defaults_are_valid_and_explained(settings):
    settings()
    assert all(len(f.metadata["help"]) > 3 for f in dataclasses.fields(settings))


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [(kind, *each) for kind in (*SETTINGS, Example) for each in invalid_values(kind)],
)
def test_invalid_values_are_one_sentence_that_names_the_setting(settings, name, value):
    with pytest.raises(InputError, match=rf"^{name}=.*: (give|use) [^\n]*\.$"):
        settings(**{name: value})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"share": 1.5}, "share=1.5 cannot be: give a number from 0 to 1."),
        ({"decay": 1.0}, "decay=1.0 cannot be: give a number from 0 on, below 1."),
        ({"widths": (64, 0)}, r"widths=(64, 0) cannot be: give whole numbers from 1 on."),
        ({"widths": 64}, "widths=64 cannot be: give whole numbers."),
        ({"limit": 0}, "limit=0 cannot be: give a whole number above 0."),
        ({"law": "flat"}, "law=flat is not known: use one of normal, uniform."),
        ({"clamp": 1}, "clamp=1 cannot be: give true or false."),
        ({"share": float("inf")}, "share=inf cannot be: give a number from 0 to 1."),
    ],
)
def test_the_sentence_says_what_may_be_given(given, words):
    with pytest.raises(InputError) as caught:
        Example(**given)
    assert str(caught.value) == words


def test_values_within_the_limits_are_taken():
    assert Example(share=1, decay=0, widths=[32], law="uniform", limit=None, clamp=True).widths == [32]


@pytest.mark.parametrize(
    "given",
    [
        {"ema": math.nan}, {"ema": 2.0}, {"ema": -1.0}, {"decay": -3.0}, {"decay": 1.5}, {"warmup": -5}, {"clip": math.nan},
        {"clip": math.inf}, {"threads": 1000000}, {"batch": 99999999}, {"minutes": 1e-12}, {"lr": math.nan}, {"lr": 10**5000},
        {"beta1": 2.0}, {"beta2": 1.0}, {"weight_decay": -1.0}, {"minutes": 0.0}, {"steps": 0}, {"lr": -1.0},
        {"batch": 0}, {"size": 4}, {"scale": 0.0}, {"bins": -1}, {"save_every": -1.0}, {"optimiser": "sgd"},
    ],
)  # fmt: skip
def test_settings_without_sense_are_refused_in_training(given):
    """By name: a limit that is no longer declared is missed here."""
    with pytest.raises(InputError, match=f"^{next(iter(given))}="):
        TrainConfig(**given)
