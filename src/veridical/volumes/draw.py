"""Volumes of a run that was trained on sections of an isotropic material, or on a volume."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from veridical.core.batch import ImageNoise
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import check_output, write_json
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.stack import write_stack
from veridical.core.version import __version__
from veridical.data.inside import inside_of
from veridical.models.contract import Solid
from veridical.runs.run import load
from veridical.volumes import diffused, sections

FIELDS = 14  # arrays in single precision, as large as the box, that are in memory while a denoiser draws
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
    isotropic: bool = False,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Draw a volume whose sections look like the images that a run was trained on, and write it in their units and bit depth.

    Of a diffusion run for an isotropic material: its third dimension follows from the first two (`veridical.volumes.synthesis`).
    ``slicegan`` draws volumes itself, ``slicegan_directed`` those of materials with a direction, ``edm_3d`` those of a material
    of which it saw a volume. The file is a multi-page
    OME-TIFF, a page a slice; ``OUT.json`` beside it says what made it. Of a diffusion run a draw that was stopped leaves
    ``OUT.part.npz``, and the same call goes on there, with the same voxels to the bit.

    Parameters
    ----------
    run : str or Path
        Folder of a run of grey images: ``edm_3d``, ``slicegan``, ``slicegan_directed``, or diffusion in pixels: ``edm``,
        ``ddpm``, ``dit``, ...
    shape : int or (int, int, int)
        Side, or slices, height and width, in pixels of the run.
    out : str or Path
        A file that ends with .tif.
    settings : mapping, optional
        Of sampling, see `veridical.load`; the solver is that of `veridical.volumes.synthesis.synthesise`.
    seed : int
        Same seed, same volume, but for rounding on another machine.
    batch : int
        Tiles at a time; changes the volume by no more than rounding. Runs that draw volumes themselves do not hear it.
    periodic : bool
        Whether the volume goes on at the opposite face where it ends; no side may then be less than a tile or block, those of
        ``slicegan`` are multiples of half a tile. Others of a diffusion run are cut out of a larger periodic one, which takes
        longer.
    isotropic : bool
        The material is known to have no direction: the training images are not read again to test that.
    device : str
    quiet : bool

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        If the run is none of these; if its images have a direction, or are not there to be tested for one; if `out` cannot be
        written.
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
    check_cost(f"shape {words}", nbytes=4 * math.prod(sides))
    check_output(target)
    loaded = load(run, device, settings)
    info, solid = loaded.info, loaded.model if isinstance(loaded.model, Solid) else None
    if solid is None:
        diffused.check(loaded, settings or {})
    if info.channels != 1:
        raise InputError(f"{loaded.folder} was trained on images in colour: volumes are grey; train on grey sections.")
    box = diffused.box_of(sides, info.size, periodic) if solid is None else sides
    check_cost(f"shape {words}", nbytes=4 * (FIELDS if solid is None else solid.arrays) * math.prod(box))
    use_threads()
    directed = solid is not None and solid.directed
    found = None if isotropic or directed else sections.look(loaded)
    notes = [] if directed else [NOTE, *sections.remarks(found)]
    about = {
        "version": __version__,
        "recipe": info.recipe,
        "checkpoint": loaded.checkpoint(),
        "dataset": {name: info.dataset.get(name) for name in ("spec", "fingerprint")},
        "seed": seed,
        "shape": sides,
        "periodic": periodic,
        "batch": batch,
        "direction": sections.as_record(found),
    }
    if solid is None:
        law = diffused.law_of(loaded)
        notes += diffused.remarks(law)
        about |= {"settings": {name: info.args[name] for name in diffused.HEARD}, "misfit": law.misfit}
    elif loaded.row.sampling:
        about |= {"settings": {name: info.args[name] for name in loaded.row.sampling}}
    about |= {"notes": notes}
    for text in notes:
        tell(run, text)
    part = target.with_suffix(".part.npz")
    began, whole = time.monotonic(), True
    with torch.no_grad():
        if solid is not None:
            with Progress("volume", quiet) as progress:
                drawn = solid.solid(sides, ImageNoise(seed, [0], loaded.device), periodic, progress.update)
        else:
            encoded, whole = diffused.drawn(loaded, law, box, about, part, quiet)
            drawn = loaded.model.decode(encoded[: sides[0], : sides[1], : sides[2]][:, None])[:, 0]  # type: ignore[attr-defined]
    if not torch.isfinite(drawn).all():
        raise InputError(f"{loaded.folder}: sampling gave values that are no numbers; undo what --set changed.")
    unit = ((drawn.clamp(-1, 1) + 1) / 2).cpu().numpy()
    size = info.dataset.get("pixel_size")
    inside = inside_of(about)
    write_stack(target, loaded.window.from_unit(unit), size, inside.text, inside.xmp)
    spent = {"seconds": time.monotonic() - began} if whole else {}
    write_json(target.with_suffix(".json"), about | {"voxel_size": size, "synthetic": True} | spent)
    part.unlink(missing_ok=True)
    return target
