"""An image file in, a restored one out, in its own counts and bit depth, with a record of what in it is measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import file_hash, write_json
from veridical.core.version import __version__
from veridical.data.images import channels_first, write_images
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow
from veridical.editing.restore import Operator, Settings, inpaint, restore, rings, streaks, wedge
from veridical.models.contract import Denoising
from veridical.runs.run import Run, load


def restore_file(
    run: str | Path,
    image: str | Path,
    out: str | Path,
    *,
    mask: str | Path | None = None,
    ring_centre: tuple[float, float] | None = None,
    streak_axis: str | None = None,
    wedge_degrees: float | None = None,
    width: int = 16,
    deviation: float = 0.0,
    samples: int = 1,
    spread: str | Path | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Restore one image with a trained run; say exactly one of `mask`, `ring_centre`, `streak_axis` and `wedge_degrees`.

    Beside the image a JSON file of its name says which run drew it and how.

    Parameters
    ----------
    run : str or Path
        Run folder of a diffusion system in pixels without conditions.
    image : str or Path
        One image of any size, at the resolution of the tiles that the run was trained on.
    out : str or Path
        New file: ``.png`` for 8-bit images, else ``.tif``.
    mask : str or Path, optional
        Image of the same size; not 0 where to fill. All other pixels stay as they are.
    ring_centre, streak_axis, wedge_degrees, width
        Arguments of `rings`, `streaks` and `wedge`.
    deviation : float
        Standard deviation of the noise of measured parts, as a share of the run's intensity window. Not with `mask`.
    samples : int
        Draws; the mean of several is closer to the truth and smoother than it.
    spread : str or Path, optional
        Write the standard deviation of the draws, in counts, to this TIFF file.
    settings, seed, quiet
        As for `restore`.
    device : str

    Raises
    ------
    InputError
        If files cannot be used or options do not fit.
    """
    tasks = {"--mask": mask, "--rings": ring_centre, "--streaks": streak_axis, "--wedge": wedge_degrees}
    asked = [name for name, value in tasks.items() if value is not None]
    if len(asked) != 1:
        raise InputError(f"{' and '.join(asked) or 'nothing'} was asked for: give one of {', '.join(tasks)}.")
    if samples < 1 or seed < 0 or (spread is not None and samples < 2):
        raise InputError(f"samples={samples}, seed={seed}: give at least 1 (2 for --spread) and a seed of at least 0.")
    if mask is not None and deviation:
        raise InputError("--deviation does not go with --mask, whose measured pixels stay as they are: leave it out.")
    loaded = load(run, device)
    use_threads()
    model = cast(Denoising, loaded.model)  # `restore` refuses what is not
    counts, pixel_size = _one_image(image, loaded)
    target = _new_file(out, ".png" if counts.dtype in (np.uint8, np.bool_) else ".tif", counts.dtype.name)
    spread_target = None if spread is None else _new_file(spread, ".tif", "float32")
    unit = loaded.window.to_unit(counts)
    shape, size = counts.shape[1:], loaded.info.size
    repeated = np.repeat(unit[None], samples, 0)
    contrast = loaded.window.high - loaded.window.low
    if mask is not None:
        hole = _read_mask(mask)
        drawn = inpaint(model, repeated, hole, size=size, settings=settings, seed=seed, quiet=quiet)
        made = np.where(hole, loaded.window.from_unit(drawn.mean(0)), counts)
    else:
        operator = _operator(shape, ring_centre, streak_axis, wedge_degrees, width)
        drawn = restore(
            model, repeated, operator, size=size, deviation=deviation, settings=settings, seed=seed, quiet=quiet
        )
        # The change alone, so that counts beyond the window stay what they are.
        made = _as_type(counts + (drawn.mean(0) - unit) * contrast, counts.dtype)
    _write(target, made, pixel_size)
    if spread_target is not None:
        _write(spread_target, (drawn.std(0) * contrast).astype(np.float32), pixel_size)
    record = {
        "version": __version__,
        "recipe": loaded.info.recipe,
        "checkpoint": {"sha256": file_hash(loaded.folder / "model.safetensors")},
        "image": str(image),
        asked[0].lstrip("-"): str(tasks[asked[0]]),
        "width": width if asked[0] in ("--rings", "--streaks") else None,
        "deviation": deviation,
        "samples": samples,
        "settings": asdict(settings or Settings()),
        "seed": seed,
        "synthetic": "pixels under the mask" if mask is not None else "what the artefact hid",
    }
    write_json(target.with_suffix(".json"), record)
    return target


def _operator(
    shape: tuple[int, int],
    ring_centre: tuple[float, float] | None,
    streak_axis: str | None,
    wedge_degrees: float | None,
    width: int,
) -> Operator:
    if ring_centre is not None:
        return rings(shape, ring_centre, width)
    if streak_axis is not None:
        return streaks(shape, streak_axis, width)
    assert wedge_degrees is not None
    return wedge(shape, wedge_degrees)


def _one_image(spec: str | Path, loaded: Run) -> tuple[NDArray, float | None]:
    """Stored counts (C, H, W) and micrometres a pixel."""
    if loaded.needs:
        raise InputError(f"{loaded.folder} needs {', '.join(loaded.needs)}: give an unconditional run.")
    slices = open_slices(spec)
    if len(slices) != 1:
        raise InputError(f"{spec} holds {len(slices)} images: give one image.")
    if slices.channels != loaded.info.channels or slices.dtype.name != loaded.window.dtype:
        raise InputError(
            f"{spec} has {slices.channels} channels of {slices.dtype.name} but the run {loaded.info.channels} of "
            f"{loaded.window.dtype}: save the image as the run's data."
        )
    return channels_first(slices[0][None])[0], slices.pixel_size


def _read_mask(path: str | Path) -> NDArray:
    slices = open_slices(path)
    if len(slices) != 1:
        raise InputError(f"{path} holds {len(slices)} images: give one mask.")
    mask = slices[0] != 0
    return mask.any(-1) if mask.ndim == 3 else mask


def _new_file(path: str | Path, suffix: str, dtype: str) -> Path:
    path = Path(path)
    if path.suffix.lower() not in ((suffix, ".tiff") if suffix == ".tif" else (suffix,)):
        raise InputError(f"{path} would hold {dtype} values: let its name end with {suffix}.")
    if path.exists():
        raise InputError(f"{path} exists: choose another name.")
    return path.with_suffix(suffix)


def _as_type(values: NDArray, dtype: np.dtype) -> NDArray:
    if dtype == np.bool_:
        return values >= 0.5
    if dtype.kind in "iu":
        values = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values.astype(dtype)


def _write(path: Path, counts: NDArray, pixel_size: float | None) -> None:
    """Write counts (C, H, W) as they are: through a window of their own range."""
    low, high = float(np.nanmin(counts)), float(np.nanmax(counts))
    window = IntensityWindow(low, max(high, low + 1), counts.dtype.name)
    if counts.dtype == np.bool_:
        window = IntensityWindow(0.0, 1.0, "bool")
    unit = (counts.astype(np.float64) - window.low) / (window.high - window.low)
    write_images(path.parent, unit[None], window, stems=[path.stem], pixel_size=pixel_size)
