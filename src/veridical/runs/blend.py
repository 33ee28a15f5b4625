"""Between two images: what lies between their embeddings, drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.models.text.noising import between
from veridical.runs.larger import batches
from veridical.runs.run import Run


def blend(run: Run, first: Images, second: Images, n: int = 8, *, seed: int = 0, batch: int = 32) -> Images:
    """Draw `n` images on the way from one image to another (Ramesh et al. 2022, arXiv:2204.06125, section 3.2).

    Their embeddings lie evenly on the great circle between those of the two images; all have the same noise, so that nothing else
    differs. The first and the last are variations of the two images, no copies.

    Parameters
    ----------
    run : Run
        Of ``unclip`` or ``stable_unclip``.
    first, second : ndarray of float32, shape (C, size, size), values in [0, 1]
    n : int
        At least 2.
    seed : int
    batch : int
        Images at a time.

    Returns
    -------
    ndarray of float32, shape (n, C, size, size), values in [0, 1]

    Raises
    ------
    InputError
        For another kind of run, or images of another shape than its tiles.
    """
    model: Any = run.model
    if not hasattr(model, "embed") or not hasattr(model, "imagine"):
        raise InputError(f"{run.folder} is a run of {run.info.recipe}, which draws nothing of embeddings: use unclip.")
    shape = (run.info.channels, run.info.size, run.info.size)
    if first.shape != shape or second.shape != shape:
        raise InputError(f"images of {first.shape} and {second.shape} cannot be blended: give two of {shape}.")
    if n < 2 or batch < 1:
        raise InputError(f"n={n}, batch={batch}: give at least 2 images, and a batch of at least 1.")
    drawn = []
    with torch.no_grad():
        ends = torch.from_numpy(np.stack([first, second]).astype(np.float32)).to(run.device) * 2 - 1
        a, b = model.embed(ends)[:, None]
        share = torch.linspace(0, 1, n, device=run.device)
        way = between(a.expand(n, -1), b.expand(n, -1), share)
        for k in batches(n, batch):
            noise = ImageNoise(seed, [0] * len(k), run.device)
            drawn.append(model.sample(len(k), {"embedding": way[k.start : k.stop]}, noise))
    return ((torch.cat(drawn).clamp(-1, 1) + 1) / 2).float().cpu().numpy()
