"""Load a run and draw images from it: image k depends on the seed and k alone, to rounding."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import as_tensors
from veridical.conditions.request import Asked, ask
from veridical.conditions.table import CONDITIONS, arrays_of
from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import file_hash, write_json
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.images import save_png, to_grid, write_images
from veridical.data.masks import paint
from veridical.recipes import table
from veridical.runs.run import Run, load


def draw(run: Run, n: int, *, seed: int = 0, batch: int = 32, cond: Arrays | None = None, quiet: bool = True) -> Images:
    """Draw `n` images.

    Parameters
    ----------
    run : Run
    n : int
    seed : int
        Image k depends on `seed` and k, not on `n`; on `batch` to rounding, because batches of other sizes are summed in
        another order.
    batch : int
        Images at a time.
    cond : dict of arrays, optional
        Conditions, a row an image, for recipes that take them (see `veridical.conditions.delivery.Data`); by default those of
        `conditions_of`.
    quiet : bool
        Show no progress.

    Returns
    -------
    ndarray of float32, shape (n, C, H, W), values in [0, 1]
    """
    if cond is None:
        cond = conditions_of(run, n).cond
    names = arrays_of(run.needs)
    for name in names:
        if name not in cond or len(cond[name]) != n:
            raise ValueError(f"{run.info.recipe} needs {n} rows of the condition {name!r}")
    parts = []
    with torch.no_grad(), Progress("sample", quiet) as progress:
        for start in range(0, n, batch):
            numbers = range(start, min(start + batch, n))
            mine = as_tensors({name: cond[name][start : numbers.stop] for name in names}, run.device)
            sampled = run.model.sample(len(numbers), mine, ImageNoise(seed, numbers, run.device))
            if not torch.isfinite(sampled).all():
                raise InputError(
                    f"{run.folder}: sampling gave values that are no numbers; undo what --set changed, or train again with a "
                    "smaller --set lr."
                )
            parts.append(((sampled.clamp(-1, 1) + 1) / 2).float().cpu().numpy())
            progress.update((numbers[-1] + 1) / n)
    return np.concatenate(parts)


def conditions_of(run: Run, n: int, **asked: Any) -> Asked:
    """Conditions of `n` images that a run can draw, see `veridical.conditions.request.ask`.

    Parameters
    ----------
    run : Run
    n : int
    **asked
        What they are to be: ``label``, ``masks``, ``source``, ``prompt``, ``extrapolate`` (see `sample`).
    """
    row = table.find(run.info.recipe)
    shrink = run.info.args[row.enlarges] if row.enlarges else 1
    return ask(run.info.to_json(), run.folder, row.needs, n, asked, shrink)


def sample(
    run: str | Path,
    n: int,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch: int = 32,
    device: str = "auto",
    quiet: bool = False,
    **asked: Any,
) -> Path:
    """Draw `n` images from a run and write them in the units and bit depth of its data.

    Beside the images stand ``provenance.json`` (checkpoint hash, recipe, seed, version; number and condition of each
    image) and ``grid.png``. Where the condition of an image is a label image, or a source that has one, it is written to
    ``masks/`` under the name of the image: the folder is a labelled set.

    Parameters
    ----------
    run, out : str or Path
        A run folder; a new folder.
    n : int
    settings : mapping, optional
        Of sampling, see `load`.
    seed : int
    batch : int
        Images at a time; changes them by no more than rounding.
    device : str
    quiet : bool
    **asked
        What the images are to be, in turn; by default what held-out tiles have, or all classes:

        - ``label``, sequence of str, or str with commas: classes, or numbers in the units of the data;
        - ``masks``, str or Path: label images in the values and the resolution of the training data; larger ones are cut;
        - ``source``, str or Path: images to translate, or to enlarge: then tiles are as much smaller than samples;
        - ``prompt``, str or sequence of str;
        - ``extrapolate``, bool: numbers of ``label`` outside the range of the training images are meant; else refused.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        If `run` cannot be loaded or `out` holds something.
    """
    if batch < 1 or seed < 0:
        raise InputError(f"batch={batch}, seed={seed}: give a batch of at least 1 and a seed of at least 0.")
    if n < 1:
        raise InputError(f"-n {n} asks for no image: give a positive number.")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: choose another --out.")
    loaded = load(run, device, settings)
    use_threads()
    row = table.find(loaded.info.recipe)
    found = conditions_of(loaded, n, **asked)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    places = [row.option.name for row in CONDITIONS.values() if not row.option.several]
    began = time.monotonic()
    drawn = draw(loaded, n, seed=seed, batch=batch, cond=found.cond, quiet=quiet)
    seconds = time.monotonic() - began
    stems = [f"{loaded.info.recipe}_{k:05d}" for k in range(n)]
    files = write_images(folder, drawn, loaded.window, stems=stems, pixel_size=loaded.info.dataset.get("pixel_size"))
    if found.masks is not None:
        (folder / "masks").mkdir()
        for stem, mask in zip(stems, found.masks, strict=True):
            save_png(folder / "masks" / f"{stem}.png", paint(mask))
    write_json(
        folder / "provenance.json",
        {
            "version": __version__,
            "recipe": loaded.info.recipe,
            "checkpoint": {
                "sha256": file_hash(loaded.folder / "model.safetensors"),
                "steps": loaded.info.cost.steps,
            },
            "dataset": {k: loaded.info.dataset.get(k) for k in ("spec", "fingerprint")},
            "seed": seed,
            "settings": {k: loaded.info.args[k] for k in row.sampling},
            "condition": {"needs": loaded.needs, **{name: _text(asked.get(name)) for name in places}}
            if loaded.needs
            else None,
            **({"notes": found.notes} if found.notes else {}),
            "seconds_per_image": seconds / n,
            "images": [
                {"file": path.name, "number": k, "synthetic": True} | ({"condition": said} if said else {})
                for k, (path, said) in enumerate(zip(files, found.said, strict=True))
            ],
        },
    )
    save_png(folder / "grid.png", to_grid(drawn[:64], scale=1 if drawn.shape[-1] > 64 else 2))
    return folder


def _text(spec: str | Path | None) -> str | None:
    return None if spec is None else str(spec)
