"""Volumes of runs that denoise sections of an isotropic material."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from veridical.core.batch import mix
from veridical.core.errors import InputError
from veridical.core.interrupt import on_stop
from veridical.core.progress import Progress
from veridical.diffusion.guidance import clipped
from veridical.diffusion.tiles import mosaic, shifted
from veridical.models.contract import Spectral
from veridical.models.diffusion.settings import Sampling
from veridical.runs.run import Run
from veridical.volumes.body import Body
from veridical.volumes.isotropic import Isotropic, of_sections
from veridical.volumes.stopped import Kept
from veridical.volumes.synthesis import Section, State, synthesise

HEARD = ("sampling_steps", "sigma_min", "sigma_max", "clamp", "autoguidance")  # of the settings of sampling
MISFIT = 0.06  # of the spectra of isotropic materials and 100 tiles or more 0.01 to 0.05 were seen


def check(run: Run, settings: Mapping[str, Any]) -> None:
    """An `InputError` for runs that do not draw volumes so, and settings that volumes do not hear."""
    name = run.info.recipe
    if run.pipeline is not None or not isinstance(run.model, Spectral):
        raise InputError(
            f"{name} draws no volumes and denoises no images of a known spectrum, of which they are made: train edm, ddpm, "
            "dit, slicegan or edm_3d."
        )
    if run.needs:
        raise InputError(f"{name} is told {' and '.join(run.needs)}, which volumes have none of: train edm.")
    if deaf := [setting for setting in settings if setting not in (*HEARD, "weights")]:
        raise InputError(
            f"{deaf[0]} is not heard by volumes, which have a solver of their own: set {', '.join(HEARD)}."
        )


def law_of(run: Run) -> Isotropic:
    """The isotropic body whose sections have the spectrum that a run measured."""
    return of_sections(run.model.spectrum.deviation[0, 0].double().cpu().numpy() ** 2)  # type: ignore[attr-defined]


def remarks(law: Isotropic) -> list[str]:
    """What a user should know of how well it fits."""
    if law.misfit <= MISFIT:
        return []
    return [
        f"no isotropic body has sections with the spectrum of these images, which is missed by {100 * law.misfit:.0f} % "
        f"(usual: up to {100 * MISFIT:.0f} %): they are few, or sections of something else, such as fibres"
    ]


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


def drawn(
    run: Run, law: Isotropic, box: tuple[int, int, int], about: dict[str, Any], part: Path, quiet: bool
) -> tuple[Tensor, bool]:
    """A volume (D, H, W) in the model's space that fills a box, and whether it was drawn without a stop.

    `about` (``seed``, ``batch``) says what it is; a draw that is stopped leaves its state in `part`, and goes on from there.

    Raises
    ------
    KeyboardInterrupt
        At Ctrl-C and SIGTERM, once the state is written.
    """
    model: Any = run.model
    how = replace(model.sampling, solver="sde_dpm_solver_pp_2m", eta=0.0, churn=0.0)
    grid, seed = model.grid(how), about["seed"]
    kept = Kept(part, about)
    before = kept.read(run.device)
    levels = len(grid) - 1
    first = 0 if before is None else before.done
    with on_stop(_stop), Progress("volume", quiet, done=first / levels) as progress:

        def noise(k: int) -> Tensor:
            return torch.randn(box, generator=torch.Generator().manual_seed(mix(seed, k))).to(run.device)

        def after(state: State) -> None:
            kept.keep(state)
            progress.update(state.done / levels)

        try:
            section = _section(model, how, run.info.size, box, seed, about["batch"], first)
            made = synthesise(section, Body(box, law, run.device), grid, noise, before, after)
        except KeyboardInterrupt:
            kept.write()
            raise
    return made, first == 0


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


def _stop() -> None:
    raise KeyboardInterrupt
