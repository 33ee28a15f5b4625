"""Prompts of an edit: what a model is told, and where its words stand among what cross-attention sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from veridical.conditions.completed import complete_all
from veridical.conditions.condition import Request
from veridical.conditions.delivery import as_tensors
from veridical.conditions.prompts import remarks
from veridical.conditions.table import DATA_SETTINGS, DataSettings
from veridical.conditions.text import complete_captions, encoded, load_vocabulary
from veridical.core.errors import InputError
from veridical.pretrained.words import PipelineWords
from veridical.runs.run import Run


class Words(Protocol):
    """What makes of texts the conditions of a model."""

    def cond(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Conditions with a row a text; an empty one says nothing."""
        ...

    def places(self, text: str) -> list[tuple[str, tuple[int, ...]]]:
        """Words of a text, and which vectors of the sequence that is attended to each is."""
        ...


class TextWords(Words, Protocol):
    """`Words` that say what users should know of theirs."""

    def completed(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """What prompts become where they are completed, and what the user should know of it."""
        ...

    def remarks(self, what: str, texts: Sequence[str], extrapolate: bool = False) -> list[str]:
        """What the user should know of prompts."""
        ...


def words_of(run: Run) -> TextWords:
    """Those of a pipeline, or those that a run was trained with; an `InputError` if it hears none."""
    if run.pipeline is None:
        return RunWords(run)
    if not isinstance(run.pipeline.words, PipelineWords):
        raise InputError(f"{run.folder} draws classes and hears no words: leave the prompt out.")
    return run.pipeline.words


class RunWords:
    """Words that a run was trained with.

    Parameters
    ----------
    run : Run
        Of a system that hears text.

    Raises
    ------
    InputError
        If it hears none.
    """

    def __init__(self, run: Run) -> None:
        if "text" not in run.needs:
            raise InputError(f"{run.info.recipe} hears no words: leave the prompt out, or give a run of text_to_image.")
        about = run.info.to_json()
        settings = DataSettings(**{name: value for name, value in about["config"].items() if name in DATA_SETTINGS})
        self._request = Request(about, run.folder, settings, 1, 1, False)
        self._vocabulary = load_vocabulary(self._request)
        self._run, self._device = run, run.device
        model: Any = run.model
        reader = getattr(getattr(model, "denoiser", model), "text", None)
        self._spelled = getattr(reader, "key", "text") == "spelled"

    def cond(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """See `Words`."""
        return as_tensors(encoded(self._vocabulary, list(texts))[0], self._device)

    def completed(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """What prompts become in a run that completes them, and what the user should know of it."""
        if not self._run.info.args.get("upsample") or not texts:
            return list(texts), []
        return complete_all(complete_captions(self._request), list(texts))

    def places(self, text: str) -> list[tuple[str, tuple[int, ...]]]:
        """See `Words`; in front of the tokens of `TextOrNone` stands a vector that is no word."""
        found = self._vocabulary.places(text, self._spelled)
        return found if self._spelled else [(word, tuple(k + 1 for k in tokens)) for word, tokens in found]

    def remarks(self, what: str, texts: Sequence[str], extrapolate: bool = False) -> list[str]:
        """What the user should know of prompts; an `InputError` for numbers that no image is known for."""
        cut = encoded(self._vocabulary, list(texts))[1]
        return remarks(self._vocabulary, what, texts, cut, extrapolate)


def signed(text: str) -> tuple[str, str]:
    """The sign that a prompt of several changes begins with, "-", "+" or none, and its text."""
    return (text[0], text[1:].lstrip()) if text[:1] in ("-", "+") else ("", text)
