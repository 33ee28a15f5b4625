"""Settings of edits: how carefully to sample, and what each edit adds to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from veridical.core.errors import InputError
from veridical.core.settings import check, setting


@dataclass(frozen=True)
class Settings:
    """How carefully to sample.

    Resampling is that of Lugmayr et al. 2022. With `iterations`, the flow of the exact conditional moments is integrated
    instead (`veridical.diffusion.posterior.measured_denoiser`): exact for Gaussian images, fragile with networks that were
    trained for minutes.
    """

    steps: int = setting(20, "Noise levels.", low=2)
    resamplings: int = setting(
        5, "Turns at each level, an evaluation of the network each; a run of inpainting takes one.", low=1
    )
    iterations: int = setting(0, "If not 0, conjugate gradient steps an evaluation, in place of resampling.", low=0)
    batch: int = setting(32, "Tiles at a time.", low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Told:
    """How carefully to sample an edit by words."""

    steps: int = setting(25, "Noise levels from noise to image, of which an edit may take a part.", low=2)
    batch: int = setting(32, "Tiles at a time.", low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Strength(Told):
    """How far back to noise an image goes."""

    strength: float = setting(
        0.5,
        "How far an image goes back to noise: near 0 it stays, with 0.5 noise is as strong, with 1 nothing of it is left.",
        above=0,
        high=1,
    )


@dataclass(frozen=True)
class Alike(Told):
    """How much of its noise an image keeps."""

    alike: float = setting(
        0.0,
        "Share of the noise that an image comes from that is kept: 0 another instance, 1 about the image again.",
        low=0,
        high=1,
    )


def _margin(side: str) -> Any:
    return setting(0, f"Pixels to add {side}.", low=0)


@dataclass(frozen=True)
class Margins(Settings):
    """How far beyond the borders of an image; with more levels than holes have, as fewer cost contrast at every margin."""

    steps: int = setting(40, "Noise levels.", low=2)
    left: int = _margin("on the left")
    right: int = _margin("on the right")
    top: int = _margin("above")
    bottom: int = _margin("below")


@dataclass(frozen=True)
class Attended(Told):
    """What of the attention to words a new text takes over."""

    cross_share: float = setting(
        0.8, "Share of the steps in which words are looked for where they were.", low=0, high=1
    )
    self_share: float = setting(
        0.4, "Share of the steps in which places look at the places they looked at.", low=0, high=1
    )
    weights: str = setting("", "How loud words of the prompt are: WORD=FACTOR, several with commas between.")
    blend: float = setting(
        0.0,
        "Change only places where the attention to exchanged words exceeds this share of its range, 0.3 as published; 0: all.",
        low=0,
        below=1,
    )
    blend_words: str = setting(
        "", "Words whose attention counts for that, with commas between; else all that are exchanged."
    )
    maps: bool = setting(False, "Write the attention to each word as pictures.")

    def __post_init__(self) -> None:
        check(self)
        weights_of(self.weights)


def weights_of(text: str) -> dict[str, float]:
    """Words and factors of ``WORD=FACTOR,...``."""
    found = {}
    for item in text.split(",") if text.strip() else ():
        word, _, factor = item.rpartition("=")
        try:
            found[word.strip()] = float(factor)
        except ValueError:
            found[word.strip()] = float("nan")
        if not word.strip() or not abs(found[word.strip()]) <= 100:
            raise InputError(
                f"weights={text} cannot be: give words and factors from -100 to 100, such as cracks=2,binder=0.5."
            )
    return found


def _deviation() -> Any:
    return setting(0.0, "Noise of the measured parts, as a share of the intensity window.", low=0)


def _width() -> Any:
    return setting(16, "Of rings or streaks, in pixels at most.", low=2)


@dataclass(frozen=True)
class Rings(Settings):
    """About an axis of rotation."""

    centre: tuple[float, ...] | None = setting(
        None, "Column and row of the axis of rotation in pixels; it may lie outside the image. None: its middle."
    )
    width: int = _width()
    deviation: float = _deviation()

    def __post_init__(self) -> None:
        check(self)
        if self.centre is not None and len(self.centre) != 2:
            raise InputError(f"centre={self.centre} is no point: give its column and row, such as 512,498.5.")


@dataclass(frozen=True)
class Streaks(Settings):
    """Along rows or columns."""

    axis: str = setting("rows", "What they run along.", choices=("rows", "columns"))
    width: int = _width()
    deviation: float = _deviation()


@dataclass(frozen=True)
class Wedge(Settings):
    """About the columns."""

    degrees: float = setting(
        60.0, "Full opening of the wedge; a tilt series from -60 to 60 degrees misses 60.", above=0, below=180
    )
    deviation: float = _deviation()


@dataclass(frozen=True)
class Between(Settings):
    """Between two slices."""

    fraction: float = setting(0.5, "Where the slice lies, from 0 (this image) to 1 (the second).", low=0, high=1)


def _corrections() -> Any:
    return setting(
        0,
        "Fixed-point iterations a step of the inversion, an evaluation each, after which it leads back exactly.",
        low=0,
    )


@dataclass(frozen=True)
class Inversion(Strength):
    """To noise and back."""

    steps: int = setting(50, "Noise levels from noise to image, of which an edit may take a part.", low=2)
    strength: float = setting(0.8, "How far an image goes back to noise: see sdedit.", above=0, high=1)
    corrections: int = _corrections()
    null_text: int = setting(
        0, "If not 0, iterations a step that learn what guidance leads away from, so that the image comes back; 10 in the paper.",
        low=0,
    )  # fmt: skip


@dataclass(frozen=True)
class DiffEdit(Strength):
    """To noise and back under a mask that the words find."""

    steps: int = setting(50, "Noise levels from noise to image, of which an edit may take a part.", low=2)
    strength: float = setting(0.9, "How far an image goes back to noise: see sdedit.", above=0, high=1)
    corrections: int = _corrections()
    draws: int = setting(10, "Noisy versions of an image in which the two texts are compared.", low=1)
    level: float = setting(
        0.9,
        "How noisy these are: see strength. Of a Stable Diffusion the published half of all steps is 0.65; small images show "
        "coarse changes in more noise.",
        above=0,
        high=1,
    )
    smoothing: float = setting(
        4.0,
        "Standard deviation, in pixels, of the Gaussian that smooths their difference; a place of a latent is 8 pixels wide.",
        low=0,
    )
    threshold: float = setting(
        0.33,
        "Share of the largest difference, which is three times the mean, from which on the mask begins; 0.5 as published.",
        low=0,
        below=1,
    )


@dataclass(frozen=True)
class Ledits(Strength):
    """Several changes on an exact way back."""

    steps: int = setting(50, "Noise levels from noise to image, of which an edit may take a part.", low=2)
    strength: float = setting(0.8, "How far an image goes back to noise: see sdedit.", above=0, high=1)
    scale: tuple[float, ...] = setting((5.0,), "Guidance towards a change: one for all, or one each.", low=0)
    masks: str = setting(
        "difference",
        "Where a change finds its place: by difference alone, or by attention to its words, too, as published, for a run whose "
        "attention follows them.",
        choices=("both", "difference"),
    )
    smoothing: float = setting(
        4.0, "Standard deviation, in pixels, of the Gaussian that smooths the difference; 0 as published.", low=0
    )
    average: bool = setting(
        True,
        "Go by the difference in all steps so far; no: in each step alone, as published, where it is mostly chance.",
    )
    threshold: tuple[float, ...] = setting(
        (0.9,), "Share of an image that a change leaves alone, by attention and by difference each: one for all, or one each.",
        low=0, below=1,
    )  # fmt: skip
