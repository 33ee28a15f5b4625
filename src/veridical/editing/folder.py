"""Edit images of any size, and write them in their own counts with what changed beside them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.interrupt import on_stop
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.images import channels_first
from veridical.data.readers.open import open_slices
from veridical.editing.checks import check_given, check_images, magnification_remarks
from veridical.editing.edit import Edit, Edited, Given
from veridical.editing.grey import applied
from veridical.editing.hints import steering
from veridical.editing.jobs import Job, jobs_of
from veridical.editing.results import Results
from veridical.editing.table import find
from veridical.editing.words import TextWords, signed, words_of
from veridical.runs.run import Run, load, settable


def edit(
    run: str | Path,
    images: str | Path,
    out: str | Path,
    how: str,
    *,
    prompt: str | Sequence[str] | None = None,
    source_prompt: str = "",
    negative_prompt: str = "",
    mask: str | Path | Sequence[str | Path] | None = None,
    second: str | Path | None = None,
    table: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    extrapolate: bool = False,
    seed: int = 0,
    batch: int = 8,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Edit images with a trained run, and write them in their own counts and bit depth.

    Where an edit is given a mask, or finds one, what stands outside it stays as it is, to the count, NaN and infinity too.
    Beside the images ``masks/`` holds where each was to change, ``changed/`` where it did, ``maps/`` what else an edit shows,
    ``grid.png`` the first of them (before, after, changed), and ``provenance.json`` what made each. What was stopped goes on
    with the same call.

    Parameters
    ----------
    run : str or Path
        Run folder of a diffusion system, or ``hub:FOLDER``, a pipeline of other people.
    images : str or Path
        Images of any size from the tiles of the run on, at the resolution of those.
    out : str or Path
        A new folder, or one that the same call was stopped in.
    how : str
        A row of `veridical.editing.table.EDITS`.
    prompt : str or sequence of str, optional
        What images shall show; several are several changes, at once or one after another as the edit has it.
    source_prompt, negative_prompt : str
        What images show, and what guidance leads away from.
    mask : str, Path or sequence of these, optional
        Label images, not 0 where an image may change: one for all, or those with the names of the images. With several of
        these and as many prompts each change has its own.
    second : str or Path, optional
        Another image for each: one for all, or those with the names of the images.
    table : str or Path, optional
        CSV file with the column ``image`` (a name) and any of ``prompt``, ``source_prompt``, ``negative_prompt``, ``mask``
        (a file): one row an edit, several rows an image are several changes. Images that it does not name are left out.
    settings : mapping, optional
        Names and values of the edit's settings, or of the run's sampling, such as ``guidance_scale``.
    extrapolate : bool
        Numbers of prompts outside the range of the training images are meant; else refused.
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
        If files cannot be used, something is missing, or model, edit and settings do not fit.
    KeyboardInterrupt
        At Ctrl-C and SIGTERM, once ``provenance.json`` says which images there are.
    """
    row = find(how)
    if batch < 1 or seed < 0:
        raise InputError(f"batch={batch}, seed={seed}: give a batch of at least 1 and a seed of at least 0.")
    slices = open_slices(images)
    one = [mask] if isinstance(mask, str | Path) else list(mask or ())
    jobs = jobs_of(
        slices, row, prompt=[prompt] if isinstance(prompt, str) else list(prompt or ()), source_prompt=source_prompt,
        negative_prompt=negative_prompt, mask=one, second=second, table=table,
    )  # fmt: skip
    known = {field.name for field in dataclasses.fields(row.settings)}
    chosen = row.parse({name: value for name, value in (settings or {}).items() if name in known})
    sampling = {name: value for name, value in (settings or {}).items() if name not in known}
    of_run = settable(run)
    for name in sampling:
        if name not in of_run:
            raise InputError(
                f"{how} has no setting {name!r}: it has {', '.join(sorted(known))}, and the run {', '.join(of_run) or 'none'}."
            )
    loaded = load(run, device, sampling)
    use_threads()
    loaded = loaded.seeing(slices, images)
    batch = loaded.together(batch)
    check_images(images, slices, loaded)
    words, jobs, notes = _words(loaded, jobs, extrapolate)
    for note in (notes := [*notes, *magnification_remarks(slices.pixel_size, loaded)]):
        tell(run, note)
    about = {
        "version": __version__,
        "recipe": loaded.info.recipe,
        "checkpoint": loaded.checkpoint(),
        "edit": how,
        "made_up": row.synthetic,
        "source": str(images),
        "settings": asdict(chosen) | {name: loaded.info.args.get(name, value) for name, value in sampling.items()},
        "seed": seed,
        **({"notes": notes} if notes else {}),
    }
    folder = Results(Path(out), about, jobs, slices, loaded.window, loaded)
    with on_stop(_stop), folder.kept(), Progress("edit", quiet) as progress:
        done = 0
        for some in _batches(jobs, batch):
            if not all(folder.has(job) for job in some):
                began = time.monotonic()
                counts = np.stack([channels_first(slices[job.number][None])[0] for job in some])
                hint = steering(loaded, slices, [job.number for job in some], counts)
                made, edited = _made(
                    loaded, row, some, counts, words, chosen, seed, quiet or len(jobs) > len(some), hint
                )
                folder.add(some, counts, made, edited, time.monotonic() - began)
            done += len(some)
            progress.update(done / len(jobs))
    for text in folder.notes:
        tell(out, text)
    return Path(out)


def edited(
    run: Run,
    images: Images,
    how: str,
    *,
    given: Given | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    quiet: bool = True,
) -> Edited:
    """`edit` for arrays in memory: images (N, C, H, W) in [0, 1] in and out, of one size.

    Parameters
    ----------
    run : Run
    images : ndarray of float32, shape (N, C, H, W), values in [0, 1]
    how : str
    given : Given, optional
        Masks, texts and second images, a row an image; `words` are the run's, unless it has others.
    settings : mapping, optional
        Of the edit.
    seed : int
    numbers : sequence of int, optional
        Of the images; image k depends on `seed` and ``numbers[k]``, by default k, not on N.
    quiet : bool

    Returns
    -------
    Edited
        Outside of masks, given or found, images are those that came; they may be larger than these, see `Edited.origin`.
    """
    row, given = find(how), given or Given()
    check_given(row, images, given, run)
    if given.words is None and run.hears:
        given = replace(given, words=words_of(run))
    chosen = row.parse(dict(settings or {}))
    found = applied(run, row, images, given, chosen, seed, range(len(images)) if numbers is None else numbers, quiet)
    if not np.isfinite(found.images).all():
        why = f"{run.folder}: {how} gave values that are no numbers"
        raise InputError(
            f"{why}; undo what --set changed, or train again.", f"{why}; ask for other settings, or leave them out."
        )
    mask = given.mask if found.mask is None else found.mask
    if given.mask is not None and found.mask is not None:  # places of latents reach beyond
        mask = found.mask & found.placed(given.mask)
    kept = found.images if mask is None else np.where(mask[:, None], found.images, found.placed(images))
    return replace(found, images=kept, mask=mask)


def _made(
    run: Run, row: Edit, jobs: Sequence[Job], counts: NDArray[Any], words: TextWords | None, settings: Any, seed: int,
    quiet: bool, hint: Images | None,
) -> tuple[NDArray[Any], Edited]:  # fmt: skip
    """Counts after all changes, one after another where the edit does not make them at once, and what edits said of it."""
    lost = ~np.isfinite(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, bool)
    second = None
    if all(job.second for job in jobs):
        pictures = [channels_first(p.slices[p.index][None])[0] for job in jobs if (p := job.second)]
        second = run.window.to_unit(np.stack(pictures))
    turns = 1 if row.several else jobs[0].turns
    made, masks, last = counts, np.zeros((len(jobs), *counts.shape[2:]), bool), Edited(np.empty(0, np.float32))
    top, left = 0, 0
    for turn in range(turns):
        mask = np.stack([job.masks[turn % len(job.masks)].region() for job in jobs]) if jobs[0].masks else None
        # What was not measured says nothing of what stands beside it: it is drawn, and not written.
        mask = None if mask is None else mask | lost.any(1)
        texts = [job.prompts if row.several else job.prompts[turn : turn + 1] or job.prompts[-1:] for job in jobs]
        given = Given(
            mask, second,
            texts if all(texts) else None,
            _sources(jobs, turn) if any(job.source_prompt for job in jobs) else None,
            [job.negative_prompt for job in jobs] if any(job.negative_prompt for job in jobs) else None,
            words, hint,
        )  # fmt: skip
        unit = np.where(lost, np.float32(0.5), run.window.to_unit(made))
        last = edited(
            run, unit, row.name, given=given, settings=asdict(settings), seed=seed + turn,
            numbers=[job.number for job in jobs], quiet=quiet,
        )  # fmt: skip
        made, masks, lost = last.placed(made), last.placed(masks), last.placed(lost)
        top, left = top + last.origin[0], left + last.origin[1]
        inside = np.ones_like(masks) if last.mask is None else last.mask
        masks |= inside & ~lost.all(1)
        made = np.where(inside[:, None] & ~lost, run.window.from_unit(last.images), made)
    return made, replace(last, mask=masks, origin=(top, left))


def _sources(jobs: Sequence[Job], turn: int) -> list[str]:
    """What images show before a turn: what the turn before made of them."""
    return [job.prompts[turn - 1] if turn and len(job.prompts) > turn else job.source_prompt for job in jobs]


def _words(run: Run, jobs: list[Job], extrapolate: bool) -> tuple[TextWords | None, list[Job], list[str]]:
    """Words of the run, jobs with prompts as it needs them, and what the user should know of those that were given.

    A run that completes prompts does so here too, but for an image of which it is said what it shows: its two texts differ by
    what is to change alone.
    """
    texts = {
        "prompt": [signed(text)[1] for job in jobs for text in job.prompts],
        "source prompt": [job.source_prompt for job in jobs if job.source_prompt],
        "negative prompt": [job.negative_prompt for job in jobs if job.negative_prompt],
    }
    if not run.hears:
        for what, said in texts.items():
            if said:
                raise InputError(
                    f"{run.folder} is a run of {run.info.recipe}, which hears no words: leave out the {what}, or give a run of "
                    "text_to_image."
                )
        return None, jobs, []
    words = words_of(run)
    notes = [
        note for what, said in texts.items() for note in words.remarks(what, list(dict.fromkeys(said)), extrapolate)
    ]
    short = [signed(text)[1] for job in jobs if not job.source_prompt for text in job.prompts]
    completed, told = words.completed(list(dict.fromkeys(short)))
    become = dict(zip(dict.fromkeys(short), completed, strict=True))
    full = [
        job
        if job.source_prompt
        else replace(job, prompts=tuple(sign + become[text] for sign, text in map(signed, job.prompts)))
        for job in jobs
    ]
    return words, full, list(dict.fromkeys([*notes, *told]))


def _batches(jobs: Sequence[Job], batch: int) -> Iterator[list[Job]]:
    """Neighbours that can be edited together."""
    for _, group in groupby(jobs, key=lambda job: (job.shape, len(job.prompts), len(job.masks))):
        alike = list(group)
        for start in range(0, len(alike), batch):
            yield alike[start : start + batch]


def _stop() -> None:
    raise KeyboardInterrupt
