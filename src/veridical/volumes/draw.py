"""Volumes of a run that was trained on sections of an isotropic material."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from veridical.core.batch import mix
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import check_output, write_json
from veridical.core.interrupt import on_stop
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.stack import write_stack
from veridical.core.version import __version__
from veridical.data.inside import inside_of
from veridical.diffusion.guidance import clipped
from veridical.diffusion.tiles import mosaic, shifted
from veridical.models.contract import Spectral
from veridical.models.diffusion.settings import Sampling
from veridical.runs.run import Run, load
from veridical.volumes.body import Body
from veridical.volumes.isotropic import Isotropic, anisotropy, of_sections
from veridical.volumes.stopped import Kept
from veridical.volumes.synthesis import Section, State, synthesise

HEARD = ("sampling_steps", "sigma_min", "sigma_max", "clamp", "autoguidance")  # of the settings of sampling
FIELDS = 14  # arrays in single precision, as large as the box, that are in memory
DIRECTED = 3.0  # times more power in some directions than in others: no section of an isotropic body
MISFIT = 0.06  # of the spectra of isotropic materials and 100 tiles or more 0.01 to 0.05 were seen
NOTE = (
    "the sections that it was trained on are taken for sections of an isotropic body, in any direction; those of fibres, roots, "
    "layers and cut surfaces are not, which sections of one direction cannot tell"
)


def volume(
    run: str | Path,
    shape: int | tuple[int, int, int],
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    batch: int = 32,
    periodic: bool = False,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Draw a volume whose sections look like the images that a run was trained on, and write it in their units and bit depth.

    For an isotropic material: its third dimension follows from the first two (`veridical.volumes.synthesis`).
    The file is a multi-page OME-TIFF, a page a slice; ``OUT.json`` beside it says what made it. A draw that was stopped leaves
    ``OUT.part.npz``, and the same call goes on there, with the same voxels to the bit.

    Parameters
    ----------
    run : str or Path
        Folder of a diffusion run in pixels, of grey images, without conditions: ``edm``, ``ddpm``, ``dit``, ...
    shape : int or (int, int, int)
        Side, or slices, height and width, in pixels of the run.
    out : str or Path
        A file that ends with .tif.
    settings : mapping, optional
        Of sampling, see `veridical.load`; the solver is that of `veridical.volumes.synthesis.synthesise`.
    seed : int
        Same seed, same volume, but for rounding on another machine.
    batch : int
        Tiles at a time; changes the volume by no more than rounding.
    periodic : bool
        Whether the volume goes on at the opposite face where it ends; no side may then be less than a tile. Others are cut out of
        a larger periodic one, which takes longer.
    device : str
    quiet : bool

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If the run is none of these, or its images have a direction; if `out` cannot be written.
    KeyboardInterrupt
        At Ctrl-C and SIGTERM, once the state is written.
    """
    target, sides = Path(out), (shape,) * 3 if isinstance(shape, int) else tuple(shape)
    words = "x".join(map(str, sides))
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{target} would be a TIFF of many pages: give a name that ends with .tif.")
    if batch < 1 or seed < 0 or len(sides) != 3 or min(sides) < 1:
        raise InputError(
            f"shape={words}, batch={batch}, seed={seed}: give three sides and a batch of at least 1, and a seed of at least 0."
        )
    if deaf := [name for name in settings or {} if name not in HEARD]:
        raise InputError(
            f"{deaf[0]} is not heard by volumes, which have a solver of their own: set {', '.join(HEARD)}."
        )
    check_cost(f"shape {words}", nbytes=4 * FIELDS * math.prod(sides))
    check_output(target)
    loaded = load(run, device, settings)
    model, law = _checked(loaded), _law(loaded)
    box = box_of(sides, loaded.info.size, periodic)
    check_cost(f"shape {words}", nbytes=4 * FIELDS * math.prod(box))
    use_threads()
    how = replace(model.sampling, solver="sde_dpm_solver_pp_2m", eta=0.0, churn=0.0)
    info, grid = loaded.info, model.grid(how)
    notes = [NOTE, *_remarks(law)]
    for text in notes:
        tell(run, text)
    about = {
        "version": __version__,
        "recipe": info.recipe,
        "checkpoint": loaded.checkpoint(),
        "dataset": {name: info.dataset.get(name) for name in ("spec", "fingerprint")},
        "seed": seed,
        "shape": sides,
        "periodic": periodic,
        "batch": batch,
        "settings": {name: info.args[name] for name in HEARD},
        "misfit": law.misfit,
        "notes": notes,
    }
    kept = Kept(target.with_suffix(".part.npz"), about)
    before = kept.read(loaded.device)
    began, levels = time.monotonic(), len(grid) - 1
    first = 0 if before is None else before.done
    with on_stop(_stop), Progress("volume", quiet, done=first / levels) as progress:

        def noise(k: int) -> Tensor:
            return torch.randn(box, generator=torch.Generator().manual_seed(mix(seed, k))).to(loaded.device)

        def after(state: State) -> None:
            kept.keep(state)
            progress.update(state.done / levels)

        try:
            section = _section(model, how, info.size, box, seed, batch, first)
            with torch.no_grad():
                drawn = synthesise(section, Body(box, law, loaded.device), grid, noise, before, after)
        except KeyboardInterrupt:
            kept.write()
            raise
    drawn = model.decode(drawn[: sides[0], : sides[1], : sides[2]][:, None])[:, 0]
    if not torch.isfinite(drawn).all():
        raise InputError(f"{loaded.folder}: sampling gave values that are no numbers; undo what --set changed.")
    unit = ((drawn.clamp(-1, 1) + 1) / 2).cpu().numpy()
    size = info.dataset.get("pixel_size")
    inside = inside_of(about)
    write_stack(target, loaded.window.from_unit(unit), size, inside.text, inside.xmp)
    spent = {} if first else {"seconds": time.monotonic() - began}
    write_json(target.with_suffix(".json"), about | {"voxel_size": size, "synthetic": True} | spent)
    kept.remove()
    return target


def box_of(sides: tuple[int, ...], tile: int, periodic: bool) -> tuple[int, int, int]:
    """Sides of the periodic volume that one of these sides is drawn in.

    Unless it is periodic itself, opposite faces are apart by half a tile at least.

    Raises
    ------
    InputError
        If a periodic volume is smaller than a tile.
    """
    if periodic and min(sides) < tile:
        raise InputError(
            f"a periodic volume of {'x'.join(map(str, sides))} is smaller than the tiles of {tile} pixels that the run was "
            "trained on: give sides of at least that, or leave out periodic."
        )
    depth, height, width = (
        side if periodic else max(tile, next_fast_len(side + tile // 2, real=True)) for side in sides
    )
    return depth, height, width


def _section(
    model: Spectral, how: Sampling, tile: int, box: tuple[int, int, int], seed: int, batch: int, first: int
) -> Section:
    """What a model expects of planes beyond what their spectrum says, in tiles that lie elsewhere at each call from the first."""
    denoise = model.guided(how)
    if how.clamp:
        denoise = clipped(denoise, model.encode, model.decode)
    calls = iter(range(first, how.sampling_steps))

    def beyond(tiles: Tensor, level: float) -> Tensor:
        sigma = tiles.new_full((len(tiles),), level)
        return denoise(tiles, sigma, {}) - model.spectrum.wiener(tiles, sigma.reshape(-1, 1, 1, 1))[0]

    def section(planes: Tensor, level: float) -> Tensor:
        rng = np.random.default_rng([seed, next(calls)])
        # Side by side: what a border spoils, tiles of another direction mend at the next level.
        grid = [shifted(side, tile, rng.random(), periodic=True, overlap=0.0) for side in planes.shape[1:]]
        made = [
            mosaic(lambda tiles, *_: beyond(tiles, level), part[:, None], tile, batch=batch, grid=(grid[0], grid[1]))
            for part in planes.split(max(1, batch))
        ]
        return torch.cat(made)[:, 0]

    return section


def _checked(run: Run) -> Spectral:
    """The model of a run that draws volumes; an `InputError` for others."""
    name, model = run.info.recipe, run.model
    if run.pipeline is not None or not isinstance(model, Spectral):
        raise InputError(f"{name} denoises no images of a known spectrum, as volumes need: train edm, ddpm or dit.")
    if run.needs:
        raise InputError(f"{name} is told {' and '.join(run.needs)}, which volumes have none of: train edm.")
    if run.info.channels != 1:
        raise InputError(f"{run.folder} was trained on images in colour: volumes are grey; train on grey sections.")
    return model


def _law(run: Run) -> Isotropic:
    """The isotropic body whose sections have the spectrum that a run measured; an `InputError` where they have a direction."""
    power = run.model.spectrum.deviation[0, 0].double().cpu().numpy() ** 2  # type: ignore[attr-defined]
    if (found := anisotropy(power)) > DIRECTED:
        raise InputError(
            f"{run.folder}: the images that it was trained on vary {found:.1f} times more along some directions than along "
            "others, so that they are no sections of an isotropic body, or too few to say: train on more of an isotropic one."
        )
    return of_sections(power)


def _remarks(law: Isotropic) -> list[str]:
    if law.misfit <= MISFIT:
        return []
    return [
        f"no isotropic body has sections with the spectrum of these images, which is missed by {100 * law.misfit:.0f} % "
        f"(usual: up to {100 * MISFIT:.0f} %): they are few, or sections of something else, such as fibres"
    ]


def _stop() -> None:
    raise KeyboardInterrupt
