"""Edits of grey images by a model that knows colour alone: equal channels in, luminance out, and how much colour there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from veridical.core.arrays import Images
from veridical.data.colour import chroma, coloured, luminance
from veridical.editing.edit import Edit, Edited, Given
from veridical.models.contract import Coloured, Denoising
from veridical.runs.run import Run


def applied(
    run: Run, row: Edit, images: Images, given: Given, settings: Any, seed: int, numbers: Sequence[int], quiet: bool
) -> Edited:
    """What an edit makes of images (N, C, H, W) with the model of a run, see `veridical.editing.edit.Apply`.

    Grey images of a model of colour come back grey, with the `Edited.chroma` that they had.
    """
    model = cast(Denoising, run.model)  # edits refuse what is not
    grey = images.shape[1] == 1 and isinstance(run.model, Coloured)
    if grey:
        second = None if given.second is None else coloured(given.second)
        images, given = coloured(images), replace(given, second=second)
    found = row.apply(model, images, given, settings, size=run.info.size, seed=seed, numbers=numbers, quiet=quiet)
    if not grey:
        return found
    mask = given.mask if found.mask is None else found.mask
    new = np.ones((len(found.images), *found.images.shape[2:]), bool) if mask is None else mask
    return replace(found, images=luminance(found.images), chroma=chroma(found.images, new))
