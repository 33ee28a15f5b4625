"""Words of pipelines: their own tokenizers, and what a user may ask samples of them to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from veridical.conditions.condition import Answer
from veridical.conditions.prompts import prompts_of
from veridical.conditions.request import Asked
from veridical.core.errors import InputError
from veridical.core.tokens import NEGATIVE
from veridical.pretrained.hints import LABELS, read_hints

ELSEWHERE = "its words were learned elsewhere: whether it knows those of a prompt, and heeds numbers, cannot be told"
SPELLED = "spelled"


class PipelineWords:
    """Texts as token ids of a pipeline.

    Parameters
    ----------
    tokenizers : sequence
        One, or two that know the same words: their ids (N, L) stand side by side.
    device : torch.device
    hinted : int
        Side in pixels of the hints of its ControlNet; 0: it has none.
    hint, colours : str
        What those are made of, see `veridical.pretrained.settings.Loading`.
    lengths : sequence of int, optional
        How many ids of a text each tokenizer gives; by default as many as it says itself.
    """

    def __init__(
        self,
        tokenizers: Sequence[Any],
        device: torch.device,
        hinted: int = 0,
        hint: str = "",
        colours: str = "",
        lengths: Sequence[int] = (),
    ) -> None:
        self._tokenizers, self._device, self._hinted = list(tokenizers), device, hinted
        self._hint, self._colours = hint, colours
        self._lengths = list(lengths) or [each.model_max_length for each in self._tokenizers]

    def ids(self, texts: Sequence[str]) -> Tensor:
        """Token ids (N, L) of all tokenizers, begun, ended, cut and filled up."""
        found = [
            each(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
            for each, length in zip(self._tokenizers, self._lengths, strict=True)
        ]
        return torch.cat([each.input_ids for each in found], 1)

    def learn(self, word: str) -> int:
        """Take in a new word, and return its id.

        Raises
        ------
        InputError
            If it is a word already.
        """
        if not word.strip() or word != "".join(word.split()):
            raise InputError(f"word={word!r} is no word: give one without spaces, such as sandrock.")
        (each,) = self._tokenizers
        number = len(each)
        if not each.add_tokens([word]):
            raise InputError(f"word={word} is a word of this pipeline already: give letters that are none.")
        return number

    def cond(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """See `veridical.editing.words.Words`."""
        return {SPELLED: self.ids(texts).to(self._device)}

    def places(self, text: str) -> list[tuple[str, tuple[int, ...]]]:
        """See `veridical.editing.words.Words`: a token begins the text; what does not fit in has no place."""
        found, first, last = [], 1, self._lengths[0] - 1
        for word in text.split():
            count = len(self._tokenizers[0](word, add_special_tokens=False).input_ids)
            found.append((word, tuple(k for k in range(first, first + count) if k < last)))
            first += count
        return found

    def completed(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """Prompts stay as they are."""
        return list(texts), []

    def remarks(self, what: str, texts: Sequence[str], extrapolate: bool = False) -> list[str]:
        """What the user should know of prompts; `extrapolate` is about data that nobody here has."""
        notes = [ELSEWHERE] if any(texts) else []
        for text in texts:
            most = max(self._lengths)
            if len(self._tokenizers[self._lengths.index(most)](text).input_ids) > most:
                notes.append(f"{what} {text!r}: it is longer than {most} tokens and loses its end")
        return notes

    def ask(self, name: str, n: int, given: Mapping[str, Any]) -> Asked:
        """Conditions of `n` images that a user asked for: prompts, negative ones and hints, in turn.

        Raises
        ------
        InputError
            For what such a pipeline is not told, or where no prompt is given.
        """
        told = said(given)
        where = "masks" if self._hint == LABELS else "source"
        takes = ("prompt", "negative_prompt", *([where] if self._hinted else []))
        for key in told:
            if key not in takes:
                raise InputError(f"{name} takes no {key.replace('_', ' ')}: leave out --{key.replace('_', '-')}.")
        prompts, against = (prompts_of(told.get(key)) for key in ("prompt", "negative_prompt"))
        if not prompts:
            raise InputError(f"{name} draws what a prompt says: give --prompt TEXT.")
        notes = self.remarks("prompt", list(dict.fromkeys(prompts)))
        arrays = {SPELLED: self.ids(prompts).numpy()}
        beside: dict[str, Sequence[Any]] = {}
        if len(prompts) > n:
            notes.append(f"{n} images have the first of {len(prompts)} prompts: ask for -n {len(prompts)} to have all")
        if against:
            arrays[NEGATIVE + SPELLED] = self.ids(against).numpy()
            beside["negative_text"] = against
        answers = [Answer(arrays, "text", prompts, notes=tuple(notes), beside=beside)]
        if self._hinted:
            if where not in told:
                raise InputError(f"{name} is told by pictures where things lie: give them with --{where} DATA.")
            hints, names = told[where], [""]
            if not isinstance(hints, np.ndarray):
                hints, names = read_hints(self._hint, self._colours, hints, self._hinted)
            answers.append(Answer({"hint": hints}, "hint", names))
        return Asked(n, tuple(answers))


def said(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a user said of samples; `extrapolate` is about data that nobody here has."""
    return {
        key: value for key, value in given.items() if key != "extrapolate" and (isinstance(value, np.ndarray) or value)
    }
