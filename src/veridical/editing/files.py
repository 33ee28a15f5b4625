"""An image file in, an edited one out, in its own counts and bit depth, with a record of what in it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.files import check_output, write_json
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.version import __version__
from veridical.data.images import channels_first, suffix_of, write_counts
from veridical.data.inside import inside_of
from veridical.data.masks import foreground, open_labels
from veridical.data.readers.open import open_slices
from veridical.editing.checks import magnification_remarks
from veridical.editing.edit import NEEDS, Given
from veridical.editing.grey import applied, coding_errors, remarks
from veridical.editing.table import find
from veridical.runs.run import Run, load


def edit_file(
    run: str | Path,
    image: str | Path,
    out: str | Path,
    how: str,
    *,
    needs: Mapping[str, str | Path] | None = None,
    settings: Mapping[str, Any] | None = None,
    samples: int = 1,
    spread: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Edit one image with a trained run; a JSON file of its name beside it says which run drew it and how.

    With a mask, what stands outside it stays as it is, to the count, NaN and infinity too. NaN and infinity are no measurement:
    they stay outside a mask whatever the edit, and nothing is drawn after them.

    Parameters
    ----------
    run : str or Path
        Run folder of a diffusion system without conditions; for restoration, in pixels.
    image : str or Path
        One image of any size, at the resolution of the tiles that the run was trained on.
    out : str or Path
        New file: ``.png`` for 8-bit images, else ``.tif``.
    how : str
        A row of `veridical.editing.table.EDITS`.
    needs : mapping, optional
        What the row needs: files of a ``mask`` (not 0 where the image may change) or a ``second`` image, both of the same
        size.
    settings : mapping, optional
        Names and values of the row's settings; text is converted.
    samples : int
        Draws; the mean of several is closer to the truth and smoother than it.
    spread : str or Path, optional
        Write the standard deviation of the draws, in counts, to this TIFF file.
    seed : int
    device : str
    quiet : bool
        Show no progress.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If files cannot be used, something is missing, or settings do not fit.
    """
    edit, files = find(how), dict(needs or {})
    for name in (*edit.needs, *files):
        if name not in files or name not in NEEDS:
            raise InputError(
                f"{how} needs {', '.join(edit.needs) or 'an image alone'}: {name!r} is missing or unknown."
            )
    chosen = edit.parse(dict(settings or {}))
    if samples < 1 or seed < 0 or (spread is not None and samples < 2):
        raise InputError(f"samples={samples}, seed={seed}: give at least 1 (2 for --spread) and a seed of at least 0.")
    for path in (out, spread):
        if path is not None:
            check_output(Path(path))
    loaded = load(run, device)
    use_threads()
    loaded = loaded.seeing(open_slices(image), image)
    counts, pixel_size = _one_image(image, loaded)
    for note in magnification_remarks(pixel_size, loaded):
        tell(image, note)
    target = _new_file(out, suffix_of(counts.dtype), counts.dtype.name)
    spread_target = None if spread is None else _new_file(spread, ".tif", "float32")
    if target == spread_target:
        raise InputError(f"{target} is given for the image and for its spread: choose another name for one.")
    unit, lost = loaded.window.to_unit(counts), _lost(counts)
    given, lost_there = _given(files, loaded, samples)
    if lost.all():
        raise InputError(f"{image} holds no finite value, only NaN or infinity: check how it was exported.")
    check_cost(f"samples={samples} of {image}", nbytes=unit.nbytes * samples)
    known = unit if given.mask is None else np.where(lost, np.float32(np.nan), unit)
    found = applied(loaded, edit, np.repeat(known[None], samples, 0), given, chosen, seed, range(samples), quiet)
    drawn = found.images
    if drawn.shape[2:] != unit.shape[1:]:
        raise InputError(f"{how} makes images larger: use veridical edit.")
    contrast = loaded.window.high - loaded.window.low
    if given.mask is not None:
        made = np.where(given.mask[0], loaded.window.from_unit(drawn.mean(0)), counts)
    elif edit.replaces:
        made = loaded.window.from_unit(drawn.mean(0))
        if counts.dtype.kind == "f":
            made[lost | lost_there] = np.nan
    else:
        made = _as_type(counts + (drawn.mean(0) - unit) * contrast, counts.dtype)
    errors = coding_errors(loaded, counts[None])
    record = {
        "version": __version__,
        "recipe": loaded.info.recipe,
        "checkpoint": {name: value for name, value in loaded.checkpoint().items() if name != "steps"},
        "image": str(image),
        "edit": how,
        **{name: str(value) for name, value in files.items()},
        "samples": samples,
        "settings": asdict(chosen),
        "seed": seed,
        **({} if errors is None else {"coding_error": float(errors[0])}),
        **({} if found.chroma is None else {"chroma": float(found.chroma.mean())}),
        "synthetic": edit.synthetic,
    }
    write_counts(target, made, pixel_size, inside_of(record, edited=True))
    if spread_target is not None:
        write_counts(spread_target, (drawn.std(0) * contrast).astype(np.float32), pixel_size)
    for text in remarks([] if errors is None else list(errors), [] if found.chroma is None else list(found.chroma)):
        tell(target, text)
    write_json(target.with_suffix(".json"), record)
    return target


def _lost(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """True where NaN or infinity stands: nothing was measured there."""
    return ~np.isfinite(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, bool)


def _given(files: Mapping[str, str | Path], loaded: Run, samples: int) -> tuple[Given, NDArray[np.bool_]]:
    """What an edit needs, read from files; and where the second image has no measurement."""
    mask = np.repeat(_read_mask(files["mask"])[None], samples, 0) if "mask" in files else None
    second, lost = None, np.zeros((), bool)
    if "second" in files:
        counts, _ = _one_image(files["second"], loaded)
        second, lost = np.repeat(loaded.window.to_unit(counts)[None], samples, 0), _lost(counts)
    return Given(mask, second), lost


def _one_image(spec: str | Path, loaded: Run) -> tuple[NDArray[Any], float | None]:
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


def _read_mask(path: str | Path) -> NDArray[np.bool_]:
    labels = open_labels(path)
    if len(labels) != 1:
        raise InputError(f"{path} holds {len(labels)} images: give one mask.")
    return foreground(labels[0])


def _new_file(path: str | Path, suffix: str, dtype: str) -> Path:
    path = Path(path)
    if path.suffix.lower() not in ((suffix, ".tiff") if suffix == ".tif" else (suffix,)):
        raise InputError(f"{path} would hold {dtype} values: let its name end with {suffix}.")
    path = path.with_suffix(suffix)
    for file in (path, path.with_suffix(".json")):
        if file.exists():
            raise InputError(f"{file} exists: choose another name.")
    return path


def _as_type(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    if dtype == np.bool_:
        return values >= 0.5
    if dtype.kind in "iu":
        values = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values.astype(dtype)
