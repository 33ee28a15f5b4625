"""New images of a bench from a generator behind an API, made such as the tiles that they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.data.colour import chroma, coloured, luminance
from veridical.data.tiles import resize
from veridical.data.window import IntensityWindow
from veridical.hub.hosted import Hosted


class Sent(NamedTuple):
    """Images that a server drew.

    Attributes
    ----------
    images : ndarray of float32, shape (N, C, size, size), values in [0, 1]
        In the window of the tiles.
    chroma : ndarray, shape (N,)
        The colour that images had before they became grey, see `veridical.data.colour`; 0 of tiles in colour.
    seconds : float
        Of all answers, when they were paid for.
    remarks : tuple of str
    """

    images: Images
    chroma: NDArray[np.float64]
    seconds: float
    remarks: tuple[str, ...]


def drawn_away(
    hosted: Hosted,
    prompts: Sequence[str],
    seed: int,
    given: Mapping[str, Any],
    window: IntensityWindow,
    channels: int,
    size: int,
) -> Sent:
    """Ask a server for an image of each prompt.

    Pictures have 8 bits: see `counts_as` for what they stand for. Of larger ones the pixels are averaged down to tiles
    (bicubic, antialiased), of grey tiles their luminance is taken, and both are said.

    Parameters
    ----------
    hosted : Hosted
    prompts : sequence of N str
    seed : int
    given : mapping
        Fields of the request.
    window : IntensityWindow
        Of the tiles.
    channels, size : int
        Of the tiles.

    Raises
    ------
    InputError
        If the server draws no images, refuses, or sends pictures that are not square.
    """
    if not hosted.has("generations"):
        raise InputError(f"{hosted.spec} draws no images from nothing: write it in [edits], with how.")
    if "extrapolate" in hosted.about.get("fields", ()):  # captions of held-out tiles are meant as they are
        given = {"extrapolate": True} | dict(given)
    images, colour, seconds, resized = [], [], 0.0, set[str]()
    with Progress("sample", quiet=False) as progress:
        for k, prompt in enumerate(prompts):
            answer = hosted.generate(prompt, k, seed, given)
            pixels = answer.pixels
            height, width = pixels.shape[:2]
            if height != width:
                raise InputError(
                    f"{hosted.url} sends pictures of {width} x {height} pixels, and tiles are square: give the row a size that "
                    'it has, such as size = "1024x1024".'
                )
            picture = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            unit = coloured(picture[None].astype(np.float32) / np.float32(255))
            colour.append(float(chroma(unit)[0]) if channels == 1 else 0.0)
            unit = luminance(unit) if channels == 1 else unit
            if height != size:
                resized.add(f"resampled from {width} x {height} pixels")
                unit = resize(unit, size)
            images.append(counts_as(unit, hosted.about, window))
            seconds += answer.seconds
            progress.update((k + 1) / len(prompts))
    remarks = ("sent with 8 bits", *sorted(resized))
    return Sent(np.concatenate(images).astype(np.float32), np.array(colour), seconds, remarks)


def counts_as(unit: Images, about: Mapping[str, Any], window: IntensityWindow) -> Images:
    """Pictures of 8 bits, as [0, 1] from black to white, in the window of the tiles.

    A server of ours says which counts black and white stand for; where these are of the type of the data, they are that. Else
    pictures stand for images of 8 bits as they are, and for those of other types from black to white of the window.
    """
    low, high = about.get("low"), about.get("high")
    if about.get("dtype") == window.dtype != "uint8" and isinstance(low, float) and isinstance(high, float):
        return window.to_unit(IntensityWindow(low, high, window.dtype).from_unit(unit))
    return window.to_unit(np.float32(255) * unit) if window.dtype == "uint8" else unit
