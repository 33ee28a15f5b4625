"""What models of colour and of latents cost: grey images in and out, how much colour there was, what encoding alone changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.data.colour import chroma, coloured, luminance, tinted
from veridical.editing.edit import Edit, Edited, Given
from veridical.editing.space import Space
from veridical.models.contract import Coloured, Denoising, Diffusive, Steering
from veridical.runs.run import Run


def applied(
    run: Run, row: Edit, images: Images, given: Given, settings: Any, seed: int, numbers: Sequence[int], quiet: bool
) -> Edited:
    """What an edit makes of images (N, C, H, W) with the model of a run, see `veridical.editing.edit.Apply`.

    Grey images of a model of colour come back grey, with the `Edited.chroma` that they had.
    """
    model = cast(Denoising, run.model)  # edits refuse what is not
    if given.hint is not None and isinstance(run.model, Steering):
        model = run.model.steered(torch.from_numpy(given.hint))
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


def coding_errors(run: Run, counts: NDArray[Any]) -> NDArray[np.float64] | None:
    """Mean absolute error (N,) of encoding and decoding counts (N, C, H, W) alone, as shares of the window; None in pixels."""
    model: Any = run.model
    if not isinstance(model, Diffusive):
        return None
    unit = np.nan_to_num(run.window.to_unit(counts))
    grey = unit.shape[1] == 1 and isinstance(model, Coloured)
    unit = coloured(unit) if grey else unit
    space = Space(model, unit.shape, run.info.size)
    if not space.latent:
        return None
    error = space.decode(space.encode(unit)) - unit
    return np.asarray(np.abs(luminance(error) if grey else error).mean((1, 2, 3)), np.float64)


def remarks(errors: Sequence[float], colour: Sequence[float]) -> list[str]:
    """What the user should know of `coding_errors`, and of the colour that was drawn on grey images."""
    found: list[str] = []
    if len(errors):
        found.append(
            f"encoding and decoding alone changes these images by {np.mean(errors):.3g} of their range on average "
            "(coding_error): detail finer than that is not the model's to keep"
        )
    return found + tinted(colour)
