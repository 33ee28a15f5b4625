"""Load a run and draw images from it: image k depends on the seed and k alone, to rounding."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from veridical.conditions.delivery import Arrays, as_tensors
from veridical.conditions.request import ask
from veridical.core.batch import ImageNoise
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import file_hash, write_json
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.images import save_png, to_grid, write_images
from veridical.recipes import table
from veridical.runs.run import Run, load


def draw(
    run: Run, n: int, *, seed: int = 0, batch: int = 32, cond: Arrays | None = None, quiet: bool = True
) -> NDArray:
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
        `veridical.conditions.request.ask`.
    quiet : bool
        Show no progress.

    Returns
    -------
    ndarray of float32, shape (n, C, H, W), values in [0, 1]
    """
    if cond is None:
        cond = ask(run.info, run.needs, n).cond
    for name in run.needs:
        if name not in cond or len(cond[name]) != n:
            raise ValueError(f"{run.info.recipe} needs {n} rows of the condition {name!r}")
    parts = []
    with torch.no_grad(), Progress("sample", quiet) as progress:
        for start in range(0, n, batch):
            numbers = range(start, min(start + batch, n))
            mine = as_tensors({name: cond[name][start : numbers.stop] for name in run.needs}, run.device)
            sampled = run.model.sample(len(numbers), mine, ImageNoise(seed, numbers, run.device))
            if not torch.isfinite(sampled).all():
                raise InputError(
                    f"{run.folder}: sampling gave values that are no numbers; undo what --set changed, or train again with a "
                    "smaller --set lr."
                )
            parts.append(((sampled.clamp(-1, 1) + 1) / 2).float().cpu().numpy())
            progress.update((numbers[-1] + 1) / n)
    return np.concatenate(parts)


def sample(
    run: str | Path,
    n: int,
    out: str | Path,
    *,
    label: Sequence[str] | str = (),
    masks: str | Path | None = None,
    source: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch: int = 32,
    device: str = "auto",
    quiet: bool = False,
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
    label : sequence of str, or str with commas
        For label-conditional runs: classes, or numbers in the units of the data, in turn.
    masks, source : str or Path, optional
        For runs conditional on masks or translating images: what to begin with (see `veridical.conditions.request.ask` for
        these and for the defaults).
    settings : mapping, optional
        Of sampling, see `load`.
    seed : int
    batch : int
        Images at a time; changes them by no more than rounding.
    device : str
    quiet : bool

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
    wanted = [part.strip() for part in ([label] if isinstance(label, str) else label) for part in part.split(",")]
    asked = ask(loaded.info, loaded.needs, n, [part for part in wanted if part], masks, source)
    began = time.monotonic()
    drawn = draw(loaded, n, seed=seed, batch=batch, cond=asked.cond, quiet=quiet)
    seconds = time.monotonic() - began
    stems = [f"{loaded.info.recipe}_{k:05d}" for k in range(n)]
    files = write_images(folder, drawn, loaded.window, stems=stems, pixel_size=loaded.info.dataset.get("pixel_size"))
    if asked.masks is not None:
        (folder / "masks").mkdir()
        for stem, mask in zip(stems, asked.masks, strict=True):
            save_png(folder / "masks" / f"{stem}.png", mask)
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
            "condition": {"needs": loaded.needs, "masks": _text(masks), "source": _text(source)}
            if loaded.needs
            else None,
            "seconds_per_image": seconds / n,
            "images": [
                {"file": path.name, "number": k, "synthetic": True} | ({"condition": said} if said else {})
                for k, (path, said) in enumerate(zip(files, asked.said, strict=True))
            ],
        },
    )
    save_png(folder / "grid.png", to_grid(drawn[:64], scale=1 if drawn.shape[-1] > 64 else 2))
    return folder


def _text(spec: str | Path | None) -> str | None:
    return None if spec is None else str(spec)
