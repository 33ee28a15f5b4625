"""Edit images with a hosted generator, and find out what it did where it was to do nothing."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from veridical.core.errors import InputError
from veridical.core.interrupt import on_stop
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.images import channels_first
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow, window_of
from veridical.editing.edit import Edited
from veridical.editing.jobs import jobs_of
from veridical.editing.results import Results
from veridical.editing.table import find
from veridical.hub.hosted import Answer, Hosted, grey_of, settings_of
from veridical.runs.samples import RESPONSES

HOWS = ("inpaint", "instruct_pix2pix", "variation")  # with a mask, with words, with the image alone


def edit_hosted(
    spec: str,
    images: str | Path,
    out: str | Path,
    how: str,
    *,
    prompt: str | Sequence[str] | None = None,
    mask: str | Path | Sequence[str | Path] | None = None,
    table: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Edit images with a hosted generator; what is written is as `veridical.editing.folder.edit` has it.

    Images travel as PNG of 8 bits, grey ones as RGB of equal channels; what comes back is grey by its luminance, of the same
    size by resampling, and each of these is said. Outside the mask the original counts are put back. ``provenance.json`` says
    of each image which share of the pixels outside its mask the server had changed (`outside_changed_share`), the colour
    that a grey image came back with where it was to change (`chroma`), and what the answer took.

    Parameters
    ----------
    spec : str
        ``hosted:MODEL@BASE_URL``.
    images, out, prompt, mask, table
        See `veridical.editing.folder.edit`; one prompt and one mask an image.
    how : str
        "inpaint" with a mask, "instruct_pix2pix" with words and, if given, a mask, "variation" with neither.
    settings : mapping, optional
        Fields of the request, see `veridical.hub.hosted.FIELDS`.
    seed : int
    quiet : bool

    Raises
    ------
    InputError
        If files cannot be used, or the server lacks the model or the route, or refuses.
    """
    if how not in HOWS:
        raise InputError(
            f"a hosted generator has {', '.join(HOWS)}, not {how!r}: the others need a model that is here."
        )
    row, given = find(how), settings_of(settings or {})
    slices = open_slices(images)
    one = [mask] if isinstance(mask, str | Path) else list(mask or ())
    said = [prompt] if isinstance(prompt, str) else list(prompt or ())
    jobs = jobs_of(slices, row, prompt=said, mask=one, table=table)
    if any(job.turns > 1 for job in jobs):
        raise InputError("a hosted generator makes one change of an image: give one --prompt and one --mask.")
    hosted = Hosted(spec, Path(out) / RESPONSES)
    route = "variations" if how == "variation" else "edits"
    if not hosted.has(route):
        raise InputError(f"{hosted.url} has no {route}: give another server, or another --how.")
    if "how" in hosted.about and route == "edits":
        given = {"how": how} | given
    window = window_of(slices)
    about = {
        "version": __version__, "recipe": "hosted", "model": hosted.model, "url": hosted.url,
        "server": hosted.about.get("checkpoint"), "edit": how, "made_up": row.synthetic, "source": str(images),
        "settings": given, "seed": seed, "sent": window.to_json(),
    }  # fmt: skip
    folder = Results(Path(out), about, jobs, slices, window)
    with on_stop(_stop), folder.kept(), Progress("edit", quiet) as progress:
        for k, job in enumerate(jobs):
            if not folder.has(job):
                began = time.monotonic()
                counts = channels_first(slices[job.number][None])[0]
                region = job.masks[0].region() if job.masks else None
                prompt = job.prompts[0] if job.prompts else ""
                made, edited, more = made_by(hosted, job.number, counts, region, prompt, window, how, seed, given)
                folder.add([job], counts[None], made[None], edited, time.monotonic() - began, [more])
            progress.update((k + 1) / len(jobs))
    hosted.write_cost(Path(out))
    for text in folder.notes:
        tell(out, text)
    return Path(out)


def made_by(
    hosted: Hosted,
    number: int,
    counts: NDArray[Any],
    region: NDArray[np.bool_] | None,
    prompt: str,
    window: IntensityWindow,
    how: str,
    seed: int,
    given: Mapping[str, Any],
) -> tuple[NDArray[Any], Edited, dict[str, Any]]:
    """Counts (C, H, W) after an edit of image `number`, where it was to change them with what is to be known, and what the server
    did; see `edit_hosted`. `region` is where it may change them, None everywhere."""
    sent = np.rint(255 * window.to_unit(counts)).astype(np.uint8)
    file, holes = _png(sent), None if region is None else _png(np.where(region, 0, 255)[None].astype(np.uint8), True)
    if how == "variation":
        answer = hosted.vary(file, number, seed, given)
    else:
        answer = hosted.edit(file, holes, prompt, number, seed, given)
    inside = np.ones(counts.shape[1:], bool) if region is None else region
    came, colour, more, notes = _received(answer, sent, inside)
    same = came == sent
    if region is not None:
        share = float((~same).any(0)[~region].mean()) if not region.all() else 0.0
        more["outside_changed_share"] = share
        if share:
            notes.append("the server changed pixels outside masks (outside_changed_share): the originals were put back")
    if np.dtype(window.dtype) != np.uint8:
        step = (window.high - window.low) / 255
        notes.append(
            f"sent and received with 8 bits: a step is {step:.3g} counts, and what did not change keeps its own"
        )
    lost = ~np.isfinite(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, bool)
    made = np.where(inside[None] & ~same & ~lost, window.from_unit(came / 255), counts)
    unit = came[None].astype(np.float32) / np.float32(255)
    return made, Edited(unit, mask=inside[None], notes=tuple(notes), chroma=colour), more


def _received(
    answer: Answer, sent: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None, dict[str, Any], list[str]]:
    """The picture (C, H, W) as the image has channels and pixels, and of a grey image the chroma that it had `inside`; what the
    record says of it, and what the user should know.
    """
    pixels, colour, notes = answer.pixels, None, []
    more: dict[str, Any] = {"request_seconds": answer.seconds}
    if answer.usage:
        more["usage"] = answer.usage
    if answer.more:
        more["server"] = {name: answer.more[name] for name in ("recipe", "how", "settings") if name in answer.more}
    height, width = sent.shape[1:]
    if pixels.shape[:2] != (height, width):
        notes.append(f"came back with {pixels.shape[1]} x {pixels.shape[0]} pixels and was resampled (Lanczos)")
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    if len(sent) == 1:
        pixels, mean = grey_of(pixels, inside)
        colour = np.array([mean])
    elif pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, 2)
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), colour, more, notes


def _png(counts: NDArray[np.uint8], alpha: bool = False) -> bytes:
    """A file of (C, H, W): RGB, or black with an alpha of these values, as servers take them."""
    rgb = np.repeat(counts, 3, 0) if len(counts) == 1 else counts
    whole = np.concatenate([np.zeros_like(rgb), counts]) if alpha else rgb
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(whole.transpose(1, 2, 0))).save(file, format="png")
    return file.getvalue()


def _stop() -> None:
    raise KeyboardInterrupt
