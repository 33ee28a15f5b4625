"""What the page may ask for: what is not a field is refused."""

from __future__ import annotations

from typing import Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from veridical.studio.reviewing import LONGEST

SPEC, NAME, TEXT = 1000, 100, 10_000  # characters of a path, a new folder, a prompt


class Asked(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OfRun(Asked):
    """A run."""

    run: str = Field(max_length=SPEC)


class OfImages(Asked):
    """A set of images."""

    images: str = Field(max_length=SPEC)


class OfImage(OfImages):
    """An image of it, in the window of a run."""

    image: str = Field(max_length=SPEC)
    run: str | None = Field(None, max_length=SPEC)


# --- commands --------------------------------------------------------------------------------------------------------


class OfWork(Asked):
    """A command that was begun."""

    work: str = Field(max_length=20)


class Look(Asked):
    """At data."""

    data: str = Field(max_length=SPEC)
    size: int = Field(64, ge=8, le=4096)
    scale: float = Field(1.0, gt=0, le=100)
    hold_out: int = Field(0, ge=0, le=1_000_000)
    pace: bool = False


class NewTraining(Asked):
    """A training, with what its recipe needs."""

    recipe: str = Field(max_length=NAME)
    data: str = Field(max_length=SPEC)
    name: str = Field(max_length=NAME)
    minutes: float = Field(gt=0, le=1e6)
    size: int = Field(64, ge=8, le=4096)
    scale: float = Field(1.0, gt=0, le=100)
    hold_out: int = Field(0, ge=0, le=1_000_000)
    seed: int = Field(0, ge=0, lt=2**31)
    label: str = Field("", max_length=NAME)
    bins: int = Field(0, ge=0, le=1000)
    source: str = Field("", max_length=SPEC)
    focus: float = Field(1.0, ge=1, le=100)


class GoOn(OfRun):
    """With a training, to so many minutes in all."""

    minutes: float | None = Field(None, gt=0, le=1e6)


class OfPreview(OfRun):
    """A picture of a training."""

    picture: str = Field(max_length=NAME)


class NewSamples(OfRun):
    """Images to draw."""

    name: str = Field(max_length=NAME)
    n: int = Field(16, ge=1, le=100_000)
    seed: int = Field(0, ge=0, lt=2**31)
    label: str = Field("", max_length=SPEC)
    prompt: str = Field("", max_length=TEXT)
    source: str = Field("", max_length=SPEC)
    masks: str = Field("", max_length=SPEC)
    width: int | None = Field(None, ge=8, le=65536)
    height: int | None = Field(None, ge=8, le=65536)
    best: bool = False


class NewScore(Asked):
    """Of images against a run, or against real ones."""

    real: str = Field(max_length=SPEC)
    synth: str = Field(max_length=SPEC)


class NewAudit(NewScore):
    """Of the same."""

    name: str = Field(max_length=NAME)


class OfPage(Asked):
    """A page of results that lies in the folder."""

    page: str = Field(max_length=SPEC)


# --- reviews and edits -----------------------------------------------------------------------------------------------


class NewReview(Asked):
    """Tiles of two sets."""

    name: str = Field(max_length=NAME)
    real: str = Field(max_length=SPEC)
    synth: str = Field(max_length=SPEC)
    tiles: int = Field(20, ge=1, le=1000)
    size: int | None = Field(None, ge=16, le=1024)
    seed: int = Field(0, ge=0, lt=2**31)


class ByReviewer(Asked):
    """Who, in which review."""

    review: str = Field(max_length=SPEC)
    reviewer: str = Field(max_length=LONGEST)


class ByPosition(ByReviewer):
    """And which tile."""

    position: int = Field(ge=0)


class Answered(ByPosition):
    """What was answered."""

    answer: Literal["real", "synthetic"]
    reasons: list[str] = Field([], max_length=50)
    seconds: float = Field(ge=0, le=1e6)


class Painted(BaseModel):
    """An edit with its mask, multipart."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(max_length=SPEC)
    images: str = Field(max_length=SPEC)
    image: str = Field(max_length=SPEC)
    how: str = Field(max_length=40)
    prompt: str = Field("", max_length=TEXT)
    strength: float | None = Field(None, gt=0, le=1)
    seed: int = Field(0, ge=0, lt=2**31)
    mask: UploadFile = Field(description="PNG: alpha is 0 where the image may change.")


class OfEdit(Asked):
    """An edit that was begun."""

    edit: str = Field(max_length=40)


class OfResult(OfEdit):
    """A picture of it."""

    which: Literal["before", "after", "masks", "changed"]
