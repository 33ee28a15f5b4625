"""Settings as frozen dataclasses whose fields declare help, limits and choices: flags, checks, tables and tests read them."""

from __future__ import annotations

import dataclasses
import numbers
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from veridical.core.errors import InputError
from veridical.core.text import short

LARGEST = sys.float_info.max
KINDS: dict[type, tuple[type, str, str]] = {
    bool: (bool, "true or false", "true or false"),
    int: (numbers.Integral, "a whole number", "whole numbers"),
    float: (numbers.Real, "a number", "numbers"),
    str: (str, "text", "texts"),
}


def setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Iterable[str] | None = None,
) -> Any:
    """Return a dataclass field with what users are told of it and where its value may lie.

    Parameters
    ----------
    default : object
    text : str
        Help, one sentence.
    low, high : float, optional
        Smallest and largest value; of a tuple, of each entry.
    above, below : float, optional
        The same where the limit itself cannot be.
    choices : iterable of str, optional
        What a text may be.
    """
    limits = {"low": low, "high": high, "above": above, "below": below}
    metadata = {"help": text, "choices": None if choices is None else tuple(choices), **limits}
    return dataclasses.field(default=default, metadata=metadata)


def types_of(settings: type) -> dict[str, Any]:
    """Type of each field of a dataclass of settings."""
    return typing.get_type_hints(settings)


def check(settings: Any) -> None:
    """Refuse values of a dataclass of settings that are of another type than declared, or outside its limits.

    Raises
    ------
    InputError
        Names the field, and says what it may be. NaN lies outside all limits, and infinity is no value of a setting.
    """
    hints = types_of(type(settings))
    for field in dataclasses.fields(settings):
        _check_one(field.name, hints[field.name], getattr(settings, field.name), field.metadata)


def check_value(settings: type, name: str, value: Any) -> None:
    """Refuse a value that one field of a dataclass of settings cannot have, as `check` does."""
    field = next(f for f in dataclasses.fields(settings) if f.name == name)
    _check_one(name, types_of(settings)[name], value, field.metadata)


def made_of(settings: type, values: Mapping[str, Any]) -> Any:
    """Return a dataclass of settings from those of many named values that it has, lists (of JSON) as tuples."""
    names = {f.name for f in dataclasses.fields(settings)} & values.keys()
    return settings(**{k: tuple(v) if isinstance(v := values[k], list) else v for k in names})


def taken_apart(hint: Any) -> tuple[type, bool, bool]:
    """Type of a value or of each of several, whether they are several, and whether None is one, too."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kind = next(k for k in kinds if k is not type(None))
    several = typing.get_origin(kind) is tuple
    return (typing.get_args(kind)[0] if several else kind), several, type(None) in kinds


def _check_one(name: str, hint: Any, value: Any, limits: Any) -> None:
    kind, several, optional = taken_apart(hint)
    if value is None and optional:
        return
    wanted, one, many = KINDS[kind]
    words = many if several else one
    values = tuple(value) if several and isinstance(value, tuple | list) else (value,)
    if (several and not isinstance(value, tuple | list)) or any(
        not isinstance(v, wanted) or (isinstance(v, bool) and kind is not bool) for v in values
    ):
        raise InputError(f"{name}={short(value if isinstance(value, int) else repr(value))} cannot be: give {words}.")
    if limits["choices"] is not None and any(v not in limits["choices"] for v in values):
        raise InputError(f"{name}={short(value)} is not known: use one of {', '.join(limits['choices'])}.")
    if kind in (int, float) and not all(_inside(v, limits) for v in values):
        raise InputError(f"{name}={short(value)} cannot be: give {words}{_described(limits)}.")


def _inside(value: float, limits: Any) -> bool:
    return (
        -LARGEST <= value <= LARGEST  # not NaN, not infinite, and a float
        and (limits["low"] is None or value >= limits["low"])
        and (limits["high"] is None or value <= limits["high"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["below"] is None or value < limits["below"])
    )


def _described(limits: Any) -> str:
    low, high, above, below = (
        None if limits[name] is None else f"{limits[name]:,.12g}" for name in ("low", "high", "above", "below")
    )
    words = []
    if low is not None:
        words.append(f"from {low} to {high}" if high is not None else f"from {low} on")
    elif high is not None:
        words.append(f"up to {high}")
    words += [f"above {above}"] if above is not None else []
    words += [f"below {below}"] if below is not None else []
    return "".join(f" {word}" for word in words[:1]) + "".join(f", {word}" for word in words[1:]) or " that is finite"
