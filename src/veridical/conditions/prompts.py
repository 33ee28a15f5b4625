"""What users ask for in words: prompts, of files too, and what they should know of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from veridical.conditions.condition import Request
from veridical.core.errors import InputError
from veridical.core.files import read_text

if TYPE_CHECKING:
    from veridical.conditions.vocabulary import Vocabulary


def prompts_of(given: str | Sequence[str] | None) -> list[str]:
    """Prompts, those of a file in place of its name: one a line, empty lines left out."""
    prompts = []
    for text in [given] if isinstance(given, str) else list(given or ()):
        if not text.startswith("@"):
            prompts.append(text)
            continue
        path = Path(text[1:]).expanduser()
        lines = [" ".join(line.split()) for line in read_text(path).splitlines()]
        if not any(lines):
            raise InputError(f"{path} holds no prompt: write one a line.")
        prompts += filter(None, lines)
    return prompts


def remarks(
    vocabulary: Vocabulary, what: str, texts: Sequence[str], cut: Sequence[int], extrapolate: bool
) -> list[str]:
    """What the user should know of prompts; an `InputError` for numbers that no image is known for."""
    notes = [f"{what} {texts[k]!r}: it is longer than {vocabulary.length} tokens and loses its end" for k in cut]
    for text in dict.fromkeys(texts):
        beyond = vocabulary.beyond(text)
        if beyond and not extrapolate:
            raise unknown(f"{what} {text!r}: {beyond[0]}")
        notes += [f"{what} {text!r}: {note}" for note in (*vocabulary.notes(text), *beyond)]
    return notes


def unknown(what: str) -> InputError:
    """What is to be drawn lies outside the training images."""
    why = f"{what}: nothing is known of such images; ask for values in between, or"
    return InputError(f"{why} add --extrapolate.", f"{why} send extrapolate as true.")


def check_guided(request: Request) -> None:
    """Refuse a negative prompt that would change nothing."""
    scale = request.run["args"].get("guidance_scale")
    if scale is None:
        raise InputError(
            f"{request.run['recipe']} has no guidance, so nothing leads away from a negative prompt: leave it out."
        )
    if scale == 1:
        why = "guidance_scale=1 has no use for a negative prompt"
        raise InputError(
            f"{why}: add --set guidance_scale=3, or leave it out.",
            f"{why}: leave it out, or have the run served with another guidance_scale.",
        )
