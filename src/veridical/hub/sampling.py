"""Draw from a hosted generator into a folder such as `veridical sample` writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer
from veridical.conditions.prompts import prompts_of
from veridical.conditions.request import Asked
from veridical.core.errors import InputError
from veridical.core.files import check_folder as check_place
from veridical.core.notes import tell
from veridical.core.progress import Progress
from veridical.core.version import __version__
from veridical.data.colour import tinted
from veridical.data.window import EIGHT_BITS
from veridical.hub.hosted import Hosted, grey_of, settings_of
from veridical.runs.samples import RESPONSES, Samples, check_folder

GREY = "colour"  # of --set: grey, or as it comes


def sample_hosted(
    spec: str,
    n: int,
    out: str | Path,
    *,
    prompt: str | Sequence[str] | None = None,
    negative_prompt: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Draw `n` images from a hosted generator, one a request, and write them as PNG with their provenance.

    Beside the images stand ``responses/``, the answers as they came, by the hash of what was asked: what was stopped, or failed,
    goes on with the same call and asks for nothing twice. ``cost.json`` sums up requests, seconds and, where the server counts
    them, tokens.

    Parameters
    ----------
    spec : str
        ``hosted:MODEL@BASE_URL``.
    n : int
    out : str or Path
        A new folder, or one that the same call was stopped in.
    prompt, negative_prompt : str or sequence of str, optional
        In turn; ``@FILE`` for those of a file. The API has no negative prompts, servers of ours have.
    settings : mapping, optional
        Fields of the request, see `veridical.hub.hosted.FIELDS`; and ``colour``, "grey" for the luminance of what comes.
    seed : int
        Servers of ours draw by it; of others it tells one draw from another.
    quiet : bool

    Raises
    ------
    InputError
        If the server cannot be reached, lacks the model or the route, or refuses.
    """
    if n < 1 or seed < 0:
        raise InputError(f"-n {n}, seed={seed}: give a positive number of images and a seed of at least 0.")
    out, given = Path(out), dict(settings or {})
    colour = given.pop(GREY, "")
    if colour not in ("", "grey"):
        raise InputError(f"{GREY}={colour} cannot be: give {GREY}=grey, or leave it out for images as they come.")
    given, prompts, against = settings_of(given), prompts_of(prompt) or [""], prompts_of(negative_prompt)
    check_place(out)
    check_folder(out)
    hosted = Hosted(spec, out / RESPONSES)
    if not hosted.has("generations"):
        raise InputError(f"{spec} draws no images from nothing: veridical edit is for what changes images.")
    answers = (Answer({}, "text", prompts), *((Answer({}, "negative_text", against),) if against else ()))
    about = {
        "version": __version__, "recipe": "hosted", "model": hosted.model, "url": hosted.url, "seed": seed, "n": n,
        "settings": given | ({GREY: colour} if colour else {}), "server": hosted.about.get("checkpoint"),
    }  # fmt: skip
    samples = Samples(out, about, EIGHT_BITS, Asked(n, answers if any(prompts) or against else ()), None)
    tint: list[float] = []
    with samples.kept(), Progress("sample", quiet) as progress:
        for k in range(n):
            if samples.lacks(range(k, k + 1)):
                began = time.monotonic()
                more = {"negative_prompt": against[k % len(against)]} if against else {}
                answer = hosted.generate(prompts[k % len(prompts)], k, seed, given | more)
                pixels = answer.pixels
                if colour:
                    pixels, one = grey_of(pixels)
                    tint.append(one)
                    samples.measured["chroma"] = float(np.mean(tint))
                channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
                seconds = time.monotonic() - began if answer.paid else answer.seconds
                samples.add(range(k, k + 1), channels[None].astype(np.float32) / np.float32(255), seconds)
            progress.update((k + 1) / n)
    hosted.write_cost(out)
    for text in tinted(tint):
        tell(spec, text)
    if hosted.about.get("dtype", "uint8") != "uint8":
        tell(
            spec,
            f"the run has images of {hosted.about['dtype']}, what comes has 8 bits: black and white are its intensity window",
        )
    return out
