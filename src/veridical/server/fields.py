"""The fields of requests: what the images API names them, and ours. What is not here is refused, as is every value not named."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

MOST = 10  # images of a request
SIZE = r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"
LONGEST = 32_000  # characters of a prompt, as the API has it


class Common(BaseModel):
    """What all three routes take."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="A name of /v1/models; may be left out where there is one.")
    n: int | None = Field(None, ge=1, le=MOST, description="Images; 1 by default.")
    size: str | None = Field(None, pattern=SIZE, description="WIDTHxHEIGHT that the model draws, or auto.")
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png", "png16"] | None = Field(
        None, description="png has 8 bits, png16 has 16; by default 8, of an edit those of the image."
    )
    seed: int | None = Field(
        None, ge=0, lt=2**63, description="Same seed and number, same image; by default the server's."
    )
    number: int | None = Field(None, ge=0, lt=2**31, description="Of the first image with that seed; 0 by default.")


class Drawn(Common):
    """What routes with words take besides."""

    background: Literal["auto", "opaque"] | None = None
    quality: Literal["auto"] | None = None
    stream: bool | None = Field(None, description="Send each image as an event (SSE).")
    partial_images: int | None = Field(None, ge=0, le=0, description="There are no images before the last.")
    negative_prompt: str | None = Field(None, max_length=LONGEST, description="What guidance leads away from.")
    extrapolate: bool | None = Field(None, description="Numbers outside the range of the training images are meant.")


class Generation(Drawn):
    """``POST /v1/images/generations``, JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str | None = Field(
        None, max_length=LONGEST, description="What to draw; empty for a run that hears no words."
    )
    moderation: Literal["auto"] | None = None
    label: str | None = Field(None, max_length=200, description="A class or a number, for runs that take labels.")


class Edit(Drawn):
    """``POST /v1/images/edits``, multipart."""

    image: list[UploadFile] = Field([], description="PNG; several of one size are edited one by one.")
    images: list[UploadFile] = Field([], alias="image[]", description="The same, as clients name several.")
    mask: UploadFile | None = Field(None, description="PNG with alpha, of the same size: alpha 0 is edited.")
    prompt: str = Field(
        "", max_length=LONGEST, description="What images shall show; empty for a run that hears no words."
    )
    source_prompt: str | None = Field(None, max_length=LONGEST, description="What images show now.")
    how: str | None = Field(None, max_length=40, description="A row of the table of edits; see /v1/models.")
    settings: str | None = Field(None, max_length=2000, description='Of the edit, a JSON object: {"strength": 0.4}.')


class Variation(Common):
    """``POST /v1/images/variations``, multipart."""

    image: UploadFile = Field(description="PNG.")
    settings: str | None = Field(None, max_length=2000, description='A JSON object: {"alike": 0.5}.')


class Image(BaseModel):
    """One image of an answer."""

    b64_json: str
    revised_prompt: str | None = None
    veridical: dict[str, Any]


class Images(BaseModel):
    """An answer."""

    created: int
    data: list[Image]
    background: str
    output_format: str
    size: str
    veridical: dict[str, Any]


class Fault(BaseModel):
    """What stands under ``error``."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """The answer where there are no images."""

    error: Fault
