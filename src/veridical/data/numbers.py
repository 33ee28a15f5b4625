"""Numbers as people write them in tables: one decimal mark a column, and nothing that only looks like a number."""

from __future__ import annotations

import re
from collections.abc import Sequence

from veridical.core.errors import InputError

LARGEST = 1e30  # a larger one, squared or standardised, may be no number any more
_POINT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
MISSING = {
    "",
    "na",
    "n/a",
    "#n/a",
    "nan",
    "null",
    "none",
    "-",
    "--",
    "?",
    "missing",
    "inf",
    "-inf",
    "#value!",
    "#div/0!",
}


def number(value: str | float) -> float | None:
    """The number that a value with a decimal point is, or None.

    Raises
    ------
    InputError
        If it is one beyond 1e30.
    """
    if isinstance(value, str) and not _POINT.fullmatch(value.strip()):
        return None
    found = float(value)
    if found != found:
        return None
    if abs(found) > LARGEST:
        raise InputError(f"{shown(value)} is too large a number to learn from or to ask for; use another unit")
    return found


def numbers(values: Sequence[str | float]) -> list[float | None]:
    """The number that each value of a column is, or None; with decimal commas throughout, or points.

    Raises
    ------
    InputError
        If commas may as well separate thousands, or a number is beyond 1e30.
    """
    texts = [value.strip() for value in values if isinstance(value, str)]
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    if not commas or any("." in text and _POINT.fullmatch(text) for text in texts):
        return [number(value) for value in values]
    if all(_THOUSANDS.fullmatch(text) for text in commas):
        raise InputError(
            f"{commas[0]!r} may be {commas[0].replace(',', '.')} or {commas[0].replace(',', '')}; write it without thousands "
            "separators, with a decimal point"
        )
    return [number(value.replace(",", ".") if isinstance(value, str) else value) for value in values]


def shown(value: object) -> str:
    """A value in quotes, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:30]}...{text[-1]}"
