"""Text from users into values, and values compared as JSON keeps them."""

from __future__ import annotations

import math
import types
import typing
from typing import Any

from veridical.core.errors import InputError
from veridical.core.text import short

PATIENCE = 1.0  # seconds that a search may take in one text
EXAMPLES = {bool: True, int: 3, float: 0.5}


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
    annotated = isinstance(like, type | types.UnionType | types.GenericAlias)
    kind = like if annotated else type(like)
    kinds = [
        k for k in (typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)) if k is not type(None)
    ]
    try:
        if text.lower() in ("none", "null") and (like is None or type(None) in typing.get_args(kind)):
            return None
        if not kinds:
            return text
        if kinds[0] is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if typing.get_origin(kinds[0]) is tuple:
            return tuple(parse_value(t, typing.get_args(kinds[0])[0]) for t in text.strip("()[] ").split(",") if t)
        if kinds[0] is tuple:
            return tuple(parse_value(t, like[0]) for t in text.strip("()[] ").split(",") if t)
        value = kinds[0](text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        return value
    except InputError:
        raise
    except (ValueError, KeyError) as error:
        example = EXAMPLES.get(kinds[0]) if annotated else like
        raise InputError(
            f"{short(repr(text))} is not a {kinds[0].__name__}: give a value such as {example!r}."
        ) from error


def value_of(name: str, given: Any, like: Any) -> Any:
    """What a user gave for the setting `name`: text becomes the type of `like` (see `parse_value`), all else stays as it is.

    Raises
    ------
    InputError
        Names the setting: the text does not read as that type.
    """
    try:
        return parse_value(given, like) if isinstance(given, str) else given
    except InputError as error:
        raise InputError(f"{name}={short(given)} cannot be: {error}") from error


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of ``WIDTHxHEIGHT``, or of ``SIDE``.

    Raises
    ------
    InputError
        If the text is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < len(part) < 10 for part in parts):
        raise InputError(f"--size {short(text)} is no size: give width and height in pixels, such as 1024x768.")
    return int(parts[-1]), int(parts[0])


def parse_shape(text: str) -> tuple[int, int, int]:
    """Slices, height and width of ``SLICESxHEIGHTxWIDTH``, or of ``SIDE``.

    Raises
    ------
    InputError
        If the text is neither.
    """
    parts = text.lower().split("x")
    if len(parts) not in (1, 3) or not all(part.isdecimal() and 0 < len(part) < 10 for part in parts):
        raise InputError(
            f"--shape {short(text)} is no shape: give slices, height and width in pixels, such as 128x128x128."
        )
    return int(parts[0]), int(parts[-2 if len(parts) == 3 else 0]), int(parts[-1])


def found_by(option: str, pattern: str, text: str) -> str | None:
    """The part of a text that a user's regular expression finds; None where there is none.

    Raises
    ------
    InputError
        Names `option`: the pattern is none, or searches for longer than `PATIENCE`.
    """
    import regex  # as `re`, with a limit to its time

    try:
        match = regex.search(pattern, text, timeout=PATIENCE)
    except (regex.error, OverflowError, MemoryError) as error:
        raise InputError(f"{option} {pattern} is no regular expression ({error}); write for example 'f\\d+'.") from None
    except TimeoutError:
        raise InputError(f"{option} {pattern} takes too long on {text}: repeat nothing that repeats itself.") from None
    return None if match is None else str(match[0])


def listed(value: Any) -> Any:
    """`value` as it comes back from JSON, for comparing: tuples become lists."""
    return list(value) if isinstance(value, tuple) else value
