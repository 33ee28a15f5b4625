"""Load a run and draw images from it: image k depends on the seed and k alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import checkpoint, images, recipes
from .batch import ImageNoise
from .device import memory_format, pick_device, use_threads
from .errors import InputError
from .progress import Progress
from .version import __version__


@dataclass(frozen=True)
class Run:
    """A trained model and what ``run.json`` says of it."""

    folder: Path
    run: dict[str, Any]
    model: Any  # an nn.Module with the members that docs/design.md lists
    device: torch.device

    @property
    def window(self) -> images.IntensityWindow:
        """The map between [0, 1] and the counts of the data."""
        return images.IntensityWindow.from_json(self.run["window"])


def load(folder: str | Path, device: str = "auto") -> Run:
    """Load the averaged weights of a run; no code of the checkpoint is executed.

    Raises
    ------
    InputError
        If `folder` is no run, is damaged, is a pickle or comes from another version.
    """
    folder = Path(folder)
    run = checkpoint.read_run(folder)
    where = pick_device(device)
    use_threads()
    stage = None
    if "first" in run:
        stage = recipes.build(run["first"]["recipe"], run["channels"], run["size"], run["first"]["args"])
    model: Any = recipes.build(run["recipe"], run["channels"], run["size"], run["args"], stage)
    tensors, _ = checkpoint.read_tensors(folder / "model.safetensors")
    checkpoint.load_weights(model, tensors, folder / "model.safetensors")
    model = model.to(where, memory_format=memory_format(where)).eval().requires_grad_(False)
    return Run(folder, run, model, where)


def draw(
    run: Run, n: int, *, seed: int = 0, batch: int = 32, cond: dict[str, Any] | None = None, quiet: bool = True
) -> NDArray:
    """Draw `n` images.

    Parameters
    ----------
    run : Run
    n : int
    seed : int
        Image k depends on `seed` and k, not on `n` or `batch`.
    batch : int
        Images at a time.
    cond : dict, optional
        Conditions, for recipes that take them.
    quiet : bool
        Show no progress.

    Returns
    -------
    ndarray of float32, shape (n, C, H, W), values in [0, 1]
    """
    parts = []
    with torch.no_grad(), Progress("sample", quiet) as progress:
        for start in range(0, n, batch):
            numbers = range(start, min(start + batch, n))
            sampled = run.model.sample(len(numbers), cond or {}, ImageNoise(seed, numbers, run.device))
            parts.append(((sampled.clamp(-1, 1) + 1) / 2).float().cpu().numpy())
            progress.update((numbers[-1] + 1) / n)
    return np.concatenate(parts)


def sample(
    run: str | Path,
    n: int,
    out: str | Path,
    *,
    seed: int = 0,
    batch: int = 32,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Draw `n` images from a run and write them in the units and bit depth of its data.

    Beside the images stand ``provenance.json`` (checkpoint hash, recipe, seed, condition, version; a row an image) and
    ``grid.png``.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        If `run` cannot be loaded or `out` holds something.
    """
    if n < 1:
        raise InputError(f"-n {n} asks for no image: give a positive number.")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: choose another --out.")
    loaded = load(run, device)
    began = time.monotonic()
    drawn = draw(loaded, n, seed=seed, batch=batch, quiet=quiet)
    seconds = time.monotonic() - began
    stems = [f"{loaded.run['recipe']}_{k:05d}" for k in range(n)]
    files = images.write_images(
        folder, drawn, loaded.window, stems=stems, pixel_size=loaded.run["dataset"].get("pixel_size")
    )
    checkpoint.write_json(
        folder / "provenance.json",
        {
            "version": __version__,
            "recipe": loaded.run["recipe"],
            "checkpoint": {
                "sha256": checkpoint.file_hash(loaded.folder / "model.safetensors"),
                "steps": loaded.run["cost"]["steps"],
            },
            "dataset": {k: loaded.run["dataset"].get(k) for k in ("spec", "fingerprint")},
            "seed": seed,
            "condition": None,
            "seconds_per_image": seconds / n,
            "images": [{"file": path.name, "number": k, "synthetic": True} for k, path in enumerate(files)],
        },
    )
    images.save_png(folder / "grid.png", images.to_grid(drawn[:64], scale=1 if drawn.shape[-1] > 64 else 2))
    return folder
