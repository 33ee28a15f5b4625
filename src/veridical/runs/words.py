"""How near images are to words, in the CLIP that a run trained: captions of real images and prompts of samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from veridical.conditions.delivery import as_tensors
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.core.tokens import PAD
from veridical.data.captions import read_captions
from veridical.data.images import channels_first
from veridical.data.names import group_of
from veridical.data.readers.open import open_slices
from veridical.runs.draw import conditions_of
from veridical.runs.run import Run, load
from veridical.scoring.sets import Words


def load_clip(folder: str | Path, device: str = "auto") -> Run:
    """A run whose model compares images with words.

    Raises
    ------
    InputError
        If it is another one.
    """
    run = load(folder, device)
    if not hasattr(run.model, "embed_image") or not hasattr(run.model, "embed_text"):
        raise InputError(
            f"{folder} is a run of {run.info.recipe}, which compares no words with images: train the recipe clip."
        )
    return run


def words_of(real: str | Path, synth: str | Path, clip: str | Path, *, device: str = "auto") -> Words:
    """Cosines of the images of two sets and their captions, for the metric ``clipscore_domain``.

    Parameters
    ----------
    real, synth : str or Path
        Sets of images with captions (`veridical.data.captions.read_captions`), of the size, values and bit depth of the
        tiles that `clip` was trained on; samples of prompts have theirs beside them.
    clip : str or Path
        Run folder of the recipe ``clip``.
    device : str

    Raises
    ------
    InputError
        If `clip` is no such run, a set has no captions, or its images are of another size or kind.
    """
    run = load_clip(clip, device)
    seen, said, texts, groups = _captioned(synth, run)
    cosines = (seen * said).sum(1)
    # Every image beside the prompt of each that has another one: the mean over all of them, without drawing lots.
    same = texts[:, None] == texts[None]
    near = np.where(same, np.nan, seen @ said.T)
    others = np.nanmean(near, 1) if not same.all() else np.zeros(0)
    real_seen, real_said, *_ = _captioned(real, run)
    return Words(cosines, others, (real_seen * real_said).sum(1), groups)


def _captioned(data: str | Path, run: Run) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Embeddings of images and of the first caption of each, that caption, and the slice of each."""
    slices = open_slices(data)
    captions, notes = read_captions(str(data), slices)
    for note in notes:
        tell(data, note)
    size = run.info.size
    kept = [k for k, of_image in enumerate(captions) if of_image]
    if len(kept) < len(captions):
        tell(data, f"{len(captions) - len(kept)} images have no caption and are not compared with words")
    if any(slices.shapes[k] != (size, size) for k in kept):
        raise InputError(
            f"{data}: its images are not of the {size} x {size} pixels that {run.folder} was trained on: cut them first "
            f"(veridical caption --tiles {size})."
        )
    if slices.channels != run.info.channels or slices.dtype.name != run.window.dtype:
        raise InputError(
            f"{data}: holds {slices.dtype.name} images of {slices.channels} channels, but {run.folder} was trained on "
            f"{run.window.dtype} ones of {run.info.channels}: save them alike."
        )
    images = channels_first(run.window.to_unit(np.stack([slices[k] for k in kept])))
    texts = [captions[k][0] for k in kept]
    groups = np.array([group_of(slices.names[k]) for k in kept])
    return embed_images(run, images), embed_texts(run, texts), np.array(texts), groups


def embed_images(run: Run, images: Images, batch: int = 64) -> NDArray[np.float32]:
    """Vectors of length 1 (N, dim) of images (N, C, H, W) in [0, 1]."""
    model: Any = run.model
    with torch.no_grad():
        parts = [model.embed_image(part.to(run.device) * 2 - 1) for part in torch.from_numpy(images).split(batch)]
    return cast("NDArray[np.float32]", torch.cat(parts).cpu().numpy())


def embed_texts(run: Run, texts: Sequence[str], batch: int = 128) -> NDArray[np.float32]:
    """Vectors of length 1 (N, dim) of sentences."""
    model: Any = run.model
    cond = as_tensors(conditions_of(run, len(texts), prompt=list(texts), extrapolate=True).cond, run.device)
    # A batch is as long as its longest text: those of like length are read together.
    order = (cond["spelled"] != PAD).sum(1).argsort()
    with torch.no_grad():
        parts = [model.embed_text({"spelled": cond["spelled"][rows]}) for rows in order.split(batch)]
    return cast("NDArray[np.float32]", torch.cat(parts)[order.argsort()].cpu().numpy())
