"""Prompts that are completed before a model hears them (the "upsampling" of Betker et al. 2023, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from veridical.wording.completing import Completer


def complete_all(known: Sequence[str], prompts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The complete caption of each prompt, that of image k by a chance that depends on k alone, and what a user should know.

    Parameters
    ----------
    known : sequence of str
        Complete captions of the training images.
    prompts : sequence of str
        One an image.
    """
    completer = Completer(known)
    found = [completer.complete(prompt, np.random.default_rng([k])) for k, prompt in enumerate(prompts)]
    notes: dict[str, None] = {}
    for prompt, one in zip(prompts, found, strict=True):
        if one.text == prompt:
            notes[f"prompt {prompt!r} states nothing that the training captions state: it is drawn as it is"] = None
            continue
        if one.unread:
            said = ", ".join(map(repr, one.unread))
            notes[f"prompt {prompt!r}: the training captions do not state {said}, which is kept as it is"] = None
        if one.broken:
            said = ", ".join(map(repr, one.broken))
            notes[f"prompt {prompt!r}: {said} cannot be true together with the rest of it"] = None
    return [one.text for one in found], list(notes)
