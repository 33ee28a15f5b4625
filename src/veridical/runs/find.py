"""Search by words: which images of a set a trained CLIP finds nearest to a sentence."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from veridical.conditions.delivery import as_tensors
from veridical.core.arrays import Images
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.data.images import channels_first
from veridical.data.readers.open import open_slices
from veridical.data.tiles import resize
from veridical.runs.draw import conditions_of
from veridical.runs.run import Run
from veridical.runs.words import load_clip

MOST = 4096  # images that are returned


class Found(NamedTuple):
    """One image: `score` of its best tile, which lies at `top` and `left` (stored pixels), and that tile, (C, S, S) in [0, 1]."""

    name: str
    score: float
    top: int
    left: int
    tile: Images


def find(
    data: str | Path,
    text: str,
    clip: str | Path,
    *,
    top: int = 16,
    batch: int = 64,
    device: str = "auto",
    quiet: bool = False,
) -> list[Found]:
    """Images of a set, those first that fit a sentence best.

    Parameters
    ----------
    data : str or Path
        What `veridical.open_dataset` opens, with values and resolution of the images that `clip` was trained on.
    text : str
        A sentence, in words of the captions that `clip` was trained on; others, and numbers beyond theirs, are named in a note.
    clip : str or Path
        Run folder of the recipe ``clip``.
    top : int
        How many images at most.
    batch : int
        Tiles at a time.
    device : str
    quiet : bool
        Show no progress.

    Returns
    -------
    list of Found
        By falling score: ``clipscore_domain``, 2.5 times the cosine of the embeddings of sentence and tile, and 0 where that is
        negative (Hessel et al. 2021, arXiv:2104.08718, eq. 1). An image larger than the tiles of the run has the score of the
        best of tiles that overlap by half.

    Raises
    ------
    InputError
        If `clip` is no such run, the images cannot be read or are of another kind, or `text` is empty.
    """
    if not 1 <= top <= MOST or batch < 1:
        raise InputError(f"top={top}, batch={batch}: give 1 to {MOST} images, and a batch of at least 1.")
    if not text.strip():
        raise InputError("the text to search for is empty: give some words, such as 'three cracks'.")
    run = load_clip(clip, device)
    model: Any = run.model
    asked = conditions_of(run, 1, prompt=[text], extrapolate=True)
    for note in asked.notes:
        tell(clip, note)
    use_threads()
    with torch.no_grad():
        words = model.embed_text(as_tensors(asked.cond, run.device))[0]
    slices, span = _opened(data, run)
    large = [k for k, shape in enumerate(slices.shapes) if min(shape) >= span]
    if not large:
        raise InputError(f"{data}: no image has the {span} x {span} pixels of a tile that {clip} was trained on.")
    if small := len(slices) - len(large):
        tell(data, f"{small} images are smaller than a tile of {span} x {span} pixels and are left out")
    with Progress("find", quiet) as progress:

        def scored() -> Iterator[Found]:
            for done, k in enumerate(large, 1):
                yield _best_tile(run, slices.names[k], slices[k], span, words, batch)
                progress.update(done / len(large))

        return heapq.nlargest(top, scored(), key=lambda found: found.score)  # of equal ones the first


def _opened(data: str | Path, run: Run) -> tuple[Any, int]:
    """The images, and the side of a tile in stored pixels."""
    slices = open_slices(data)
    if slices.channels != run.info.channels or slices.dtype.name != run.window.dtype:
        kinds = {1: "grey", 3: "RGB"}
        raise InputError(
            f"{data}: holds {kinds[slices.channels]} images of {slices.dtype.name}, but {run.folder} was trained on "
            f"{kinds[run.info.channels]} ones of {run.window.dtype}; save them alike."
        )
    span = max(1, round(run.info.size / (run.info.config.scale or 1)))
    check_cost(data, nbytes=max(slices.nbytes(i) for i in range(len(slices))))
    return slices, span


def _best_tile(run: Run, name: str, counts: np.ndarray, span: int, words: torch.Tensor, batch: int) -> Found:
    """The tile of an image that fits the words best."""
    model: Any = run.model
    best = Found(name, -1.0, 0, 0, np.empty(0, np.float32))
    for places in _batches(counts.shape[0], counts.shape[1], span, batch):
        stored = np.stack([counts[y : y + span, x : x + span] for y, x in places])
        tiles = channels_first(run.window.to_unit(stored))
        tiles = tiles if span == run.info.size else resize(tiles, run.info.size)
        with torch.no_grad():
            seen = model.embed_image(torch.from_numpy(tiles).to(run.device) * 2 - 1)
        scores = (2.5 * (seen @ words).clamp(min=0)).cpu().numpy()
        k = int(scores.argmax())
        if scores[k] > best.score:
            best = Found(name, float(scores[k]), *places[k], tiles[k])
    return best


def _batches(height: int, width: int, span: int, batch: int) -> Iterator[list[tuple[int, int]]]:
    """Upper left corners of tiles that overlap by half and reach all borders."""
    ys, xs = (sorted({*range(0, side - span, max(1, span // 2)), side - span}) for side in (height, width))
    places = [(y, x) for y in ys for x in xs]
    return (places[k : k + batch] for k in range(0, len(places), batch))
