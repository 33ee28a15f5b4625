"""Load a run and draw images from it: image k depends on the seed and k alone, to rounding."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import as_tensors
from veridical.conditions.request import Asked, ask
from veridical.conditions.table import arrays_of, needed, options
from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.interrupt import on_stop
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.colour import tinted
from veridical.diffusion.canvas import Canvas
from veridical.models.contract import Generating, Growing, Labelling
from veridical.runs.larger import at_a_time, batches, canvas_of
from veridical.runs.run import Run, load
from veridical.runs.samples import Samples, check_folder, few_of
from veridical.runs.sharing import begin, end, mine, world_of


def draw(
    run: Run,
    n: int,
    *,
    seed: int = 0,
    batch: int = 32,
    size: int | tuple[int, int] | None = None,
    periodic: bool = False,
    cond: Arrays | None = None,
    quiet: bool = True,
    **asked: Any,
) -> Images:
    """Draw `n` images.

    Parameters
    ----------
    run : Run
    n : int
    seed : int
        Image k depends on `seed` and k, not on `n`; on `batch` to rounding, because batches of other sizes are summed in
        another order.
    batch : int
        Images at a time; of larger images their tiles.
    size : int or (int, int), optional
        Side, or height and width, of the images in pixels: at least that of the tiles that the run was trained on, which is what
        is drawn by default. Larger ones are drawn in overlapping tiles (`veridical.diffusion.canvas.Canvas`).
    periodic : bool
        Whether images go on at the opposite side where they end.
    cond : dict of arrays, optional
        Conditions, a row an image, for recipes that take them (see `veridical.conditions.delivery.Data`); by default those of
        `conditions_of`. Of larger images, conditions that are maps have their size, and a continuous ``label`` may be a map
        (n, H, W).
    quiet : bool
        Show no progress.
    **asked
        What the images are to be, in place of `cond`: ``label``, ``masks``, ``source``, ``prompt``, ``negative_prompt``,
        ``extrapolate``, see `sample`.

    Returns
    -------
    ndarray of float32, shape (n, C, H, W), values in [0, 1]
    """
    row = run.drawing()
    canvas = canvas_of(run, size, periodic, seed, batch)
    if cond is None:
        cond = conditions_of(run, n, None if canvas is None else canvas.shape, **asked).cond
    elif asked:
        raise ValueError(f"cond says already what {', '.join(asked)} is to say: leave one out")
    other = arrays_of(row.instead)
    if run.pipeline is not None:
        needs = list(cond)
    elif any(name in cond for name in other):
        needs = [name for name in (*arrays_of(run.needs), *other) if name in cond]
    else:
        needs = arrays_of(run.needs)
    names = [*needs, *(name for of in needed(run.needs) for name in of.asked if name in cond)]
    batch = run.together(batch)
    for name in names:
        if name not in cond or len(cond[name]) != n:
            raise ValueError(f"{run.info.recipe} needs {n} rows of the condition {name!r}")
    parts = []
    with Progress("sample", quiet) as progress:
        for numbers in batches(n, at_a_time(batch, canvas)):
            rows = {name: cond[name][numbers.start : numbers.stop] for name in names}
            parts.append(run.in_grey(drawn(run, numbers, rows, seed, canvas)[0])[0])
            progress.update(numbers.stop / n)
    return np.concatenate(parts)


def draw_labelled(run: Run, n: int, *, seed: int = 0, batch: int = 32, quiet: bool = True) -> tuple[Images, np.ndarray]:
    """Draw `n` images with their label images from a run whose model draws both, see `draw`.

    Returns
    -------
    images : ndarray of float32, shape (n, C, H, W), values in [0, 1]
    masks : ndarray of uint8, shape (n, H, W)
        Class numbers.

    Raises
    ------
    InputError
        If the model draws no labels.
    """
    if not isinstance(run.model, Labelling):
        raise InputError(f"{run.info.recipe} draws no label images: use labelled, or pix2pix, which draws from masks.")
    parts = []
    with Progress("sample", quiet) as progress:
        for numbers in batches(n, batch):
            parts.append(drawn(run, numbers, {}, seed))
            progress.update(numbers.stop / n)
    images, masks = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(masks)


def drawn(
    run: Run, numbers: Sequence[int], cond: Arrays, seed: int, canvas: Canvas | None = None
) -> tuple[Images, Any]:
    """Images with these numbers, of conditions with a row each, and the class numbers that are drawn with them, or None."""
    given = len(numbers), as_tensors(cond, run.device), ImageNoise(seed, numbers, run.device)
    masks = None
    growing = nullcontext() if canvas is None else cast(Growing, run.model).on_canvas(canvas)
    with torch.no_grad(), growing:
        if isinstance(run.model, Labelling):
            sampled, classes = run.model.sample_labelled(*given)
            masks = classes.cpu().numpy()
        else:
            sampled = cast(Generating, run.model).sample(*given)
    if not torch.isfinite(sampled).all():
        why = f"{run.folder}: sampling gave values that are no numbers"
        mend = "undo what --set changed, or train again with a smaller --set lr"
        raise InputError(f"{why}; {mend}.", f"{why}; have another run served.")
    images = ((sampled.clamp(-1, 1) + 1) / 2).float().cpu().numpy()
    return images, masks


def conditions_of(run: Run, n: int, shape: tuple[int, int] | None = None, **asked: Any) -> Asked:
    """Conditions of `n` images that a run can draw, see `veridical.conditions.request.ask`.

    Parameters
    ----------
    run : Run
    n : int
    shape : (int, int), optional
        Height and width of images that are larger than tiles.
    **asked
        What they are to be: ``label``, ``masks``, ``source``, ``prompt``, ``negative_prompt``, ``extrapolate`` (see `sample`).
    """
    if run.pipeline is not None:
        return run.pipeline.words.ask(str(run.folder), n, asked)
    row = run.row
    shrink = run.info.args[row.enlarges] if row.enlarges else 1
    return ask(run.info.to_json(), run.folder, row.needs, n, asked, shrink, row.instead, shape)


def sample(
    run: str | Path,
    n: int,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch: int = 32,
    size: int | tuple[int, int] | None = None,
    periodic: bool = False,
    device: str = "auto",
    threads: int = 0,
    quiet: bool = False,
    **asked: Any,
) -> Path:
    """Draw `n` images from a run and write them in the units and bit depth of its data.

    Each image is written as soon as it is drawn, so that memory does not depend on `n`. What was stopped goes on with the same
    call, with the same images to the bit. Processes that torchrun started draw every so many batches each, into one folder:
    with as many threads each as one process had, the same bytes.

    Beside the images stand ``provenance.json`` (checkpoint hash, recipe, seed, version; number and condition of each
    image) and ``grid.png`` of the first. Where the condition of an image is a label image, or a source that has one, or where
    a label image is drawn with it, that is written to ``masks/`` under the name of the image: the folder is a labelled set.

    Parameters
    ----------
    run, out : str or Path
        A run folder, or ``hub:FOLDER``; a new folder, or one that the same call was stopped in.
    n : int
    settings : mapping, optional
        Of sampling, see `load`.
    seed : int
    batch : int
        Images at a time, of larger images their tiles; changes them by no more than rounding.
    size, periodic
        Of images that are larger than tiles, see `draw`.
    device, threads : str, int
        0 threads are all that this process may use.
    quiet : bool
    **asked
        What the images are to be, in turn; by default what held-out tiles have, or all classes:

        - ``label``, sequence of str, or str with commas: classes, or numbers in the units of the data; of larger images also
          ``@FILE`` for a grey image whose values run over the range of the training images;
        - ``masks``, str or Path: label images in the values and the resolution of the training data; larger ones are cut;
        - ``source``, str or Path: images to translate, or to enlarge: then tiles are as much smaller than samples;
        - ``prompt``, str or sequence of str: sentences, or ``@FILE`` for those of a file, one a line;
        - ``negative_prompt``, likewise: what guidance leads away from, with a ``guidance_scale`` other than 1;
        - ``extrapolate``, bool: numbers of ``label`` and ``prompt`` outside the range of the training images are meant; else
          refused.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        If `run` cannot be loaded, or `out` holds something else.
    KeyboardInterrupt
        At Ctrl-C and SIGTERM, once ``provenance.json`` says which images there are.
    """
    if n < 1 or batch < 1 or seed < 0 or threads < 0:
        raise InputError(f"-n {n}, batch={batch}, seed={seed}, threads={threads}: one of these is too small.")
    check_cost(f"-n {n}", images=n)
    check_folder(Path(out))
    loaded = load(run, device, settings)
    use_threads(threads)
    row, info = loaded.drawing(), loaded.info
    batch = loaded.together(batch)
    check_cost(f"batch={batch}", nbytes=4 * min(batch, n) * info.channels * info.size**2)
    canvas = canvas_of(loaded, size, periodic, seed, batch)
    shape = (info.size, info.size) if canvas is None else canvas.shape
    found = conditions_of(loaded, n, None if canvas is None else shape, **asked)
    for text in found.notes:
        tell(run, text)
    world = world_of(loaded.device)
    places = [option.name for option in options().values() if not option.several]
    samples = Samples(
        Path(out),
        {
            "version": __version__,
            "recipe": info.recipe,
            "checkpoint": loaded.checkpoint(),
            "dataset": {k: info.dataset.get(k) for k in ("spec", "fingerprint")} | few_of(info),
            "seed": seed,
            "n": n,
            "batch": batch,
            "size": shape,
            "periodic": periodic,
            "settings": {k: info.args[k] for k in row.sampling},
            "condition": {
                "needs": loaded.needs,
                **{name: None if asked.get(name) is None else str(asked[name]) for name in places},
            }
            if loaded.needs
            else None,
            **({"notes": found.notes} if found.notes else {}),
        },
        loaded.window,
        found,
        info.dataset.get("pixel_size"),
        mask_values=info.dataset["mask_values"] if isinstance(loaded.model, Labelling) else None,
        rank=world.rank,
    )
    begin(Path(out), samples, world)
    colour: dict[int, float] = {}
    with on_stop(_stop), samples.kept(), Progress("sample", quiet or world.rank > 0) as progress:
        for numbers in mine(batches(n, at_a_time(batch, canvas)), world):
            if samples.lacks(numbers):
                began = time.monotonic()
                images, masks = drawn(loaded, numbers, found.rows(numbers), seed, canvas)
                images, chroma = loaded.in_grey(images)
                if chroma:
                    colour.update(zip(numbers, chroma, strict=True))
                    samples.measured["chroma"] = float(np.mean(list(colour.values())))
                samples.add(numbers, images, time.monotonic() - began, masks)
            progress.update(numbers.stop / n)
        if tint := end(samples, world, colour):
            samples.measured["chroma"] = float(np.mean(tint))
    world.largest(0)  # nobody goes on before all is written
    for text in tinted(tint):
        tell(out, text)
    return Path(out)


def _stop() -> None:
    raise KeyboardInterrupt
