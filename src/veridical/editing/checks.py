"""Whether a run, an edit and what it is given fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.pixel_size import pixel_size_remarks
from veridical.data.slices import Slices
from veridical.editing.edit import NEEDS, Edit, Given
from veridical.editing.table import EDITS
from veridical.models.contract import Steering
from veridical.runs.run import Run


def check_images(spec: str | Path, slices: Slices, run: Run) -> None:
    """Refuse files that are not such as a run was trained on, or smaller than its tiles."""
    if slices.channels != run.info.channels or slices.dtype.name != run.window.dtype:
        words = {1: "grey", 3: "RGB"}
        raise InputError(
            f"{spec} is {words.get(slices.channels, slices.channels)} of {slices.dtype.name} but the run was trained on "
            f"{words.get(run.info.channels, run.info.channels)} of {run.window.dtype}: save the images as the run's data."
        )
    for name, (height, width) in zip(slices.names, slices.shapes, strict=True):
        if min(height, width) < run.info.size:
            raise InputError(
                f"{spec}: {name} has {width} x {height} pixels but the model works on tiles of {run.info.size}: "
                "give a larger part of it."
            )
        check_cost(f"{spec}: {name}", nbytes=16 * slices.channels * height * width)


def magnification_remarks(pixel_size: float | None, run: Run) -> list[str]:
    """One sentence where images do not show what the run learned at its magnification, or do not say; otherwise none.

    `pixel_size` is what the images state, in micrometres.
    """
    learned, scale = run.info.dataset.get("pixel_size"), run.info.config.scale
    if pixel_size and learned:
        if not pixel_size_remarks({"images": pixel_size, "run": learned}):
            return []
        return [
            f"the images have {pixel_size:.4g} micrometres a pixel and what the run learned from has {learned:.4g}, so it draws "
            f"at another magnification: resize them by {pixel_size / learned:.3g} first"
        ]
    if scale == 1:
        return []
    return [f"the run learned from images that were resized by {scale:g}: give it images that were resized alike"]


def check_given(row: Edit, images: Images, given: Given, run: Run) -> None:
    """Refuse arrays that do not fit together, or that an edit lacks or has no use for."""
    channels = (1, 3) if run.pipeline is not None and not run.pipeline.grey else (run.info.channels,)
    if images.ndim != 4 or not len(images) or images.shape[1] not in channels or not np.isfinite(images).all():
        raise InputError(
            f"{row.name}: images of shape {images.shape} cannot be: give finite ones (N, {run.info.channels}, H, W) in [0, 1]."
        )
    for name in NEEDS:
        value = getattr(given, name)
        if value is None and name in row.needs:
            raise InputError(f"{row.name} needs a {name.replace('_', ' ')}: give one for each image.")
        if value is not None and name not in (*row.needs, *row.offers):
            raise InputError(f"{row.name} takes no {name.replace('_', ' ')}: leave it out.")
        if value is not None and len(value) != len(images):
            raise InputError(
                f"{row.name}: {len(value)} of {name} for {len(images)} images cannot be: give one for each."
            )
    if given.hint is not None:
        if not row.steered or not isinstance(run.model, Steering) or run.model.control is None:
            able = ", ".join(name for name, one in EDITS.items() if one.steered)
            raise InputError(
                f"{row.name} is not steered by hints here: leave out --set hint, or use {able} with a ControlNet."
            )
        if given.hint.shape != (len(images), 3, *images.shape[2:]):
            raise InputError(f"{row.name}: hints of {given.hint.shape} for images of {images.shape} cannot be.")
    if given.mask is not None and given.mask.shape[1:] != images.shape[2:]:
        raise InputError(f"{row.name}: masks of {given.mask.shape[1:]} for images of {images.shape[2:]} cannot be.")
    if given.words is None and not run.hears and (given.prompt or given.source_prompt or given.negative_prompt):
        raise InputError(f"{run.folder} is a run of {run.info.recipe}, which hears no words: leave the prompts out.")
