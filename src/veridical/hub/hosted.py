"""Generators behind the images API of OpenAI: ``hosted:MODEL@BASE_URL``, through the real client. There is no default model.

Each answer is kept on the disk under the hash of what was asked: a draw that was stopped goes on without paying twice.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.core.files import parse_json, read_kept, write_json, write_kept
from veridical.data.colour import chroma, luminance

if TYPE_CHECKING:
    import openai

PREFIX = "hosted:"
KEY = "OPENAI_API_KEY"
TRIES = 8  # of one request, with longer and longer pauses or those that the server asks for
COST = "cost.json"
# What a request may say besides: of one's own choice, and none is a default.
FIELDS = (
    "size",
    "quality",
    "background",
    "input_fidelity",
    "moderation",
    "how",
    "settings",
    "negative_prompt",
    "label",
    "extrapolate",
)


def is_hosted(run: str | Path) -> bool:
    """Whether what stands for a run is a hosted generator."""
    return str(run).startswith(PREFIX)


def named(spec: str) -> tuple[str, str]:
    """Model and address that ``hosted:MODEL@BASE_URL`` names; an `InputError` where it names none."""
    model, _, url = spec.removeprefix(PREFIX).partition("@")
    if not model or not url.startswith(("http://", "https://")):
        raise InputError(f"{spec} names no model and address: write hosted:MODEL@https://SERVER/v1.")
    return model, url


@dataclass(frozen=True)
class Answer:
    """One picture, and what the answer says of it.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3) or (H, W)
    usage : dict
        Tokens, as the server counts them; empty where it does not.
    seconds : float
        That the answer took when it was paid for.
    more : dict
        What a server of ours says of itself: recipe, checkpoint, edit, seed.
    paid : bool
        Asked for now, not kept from before.
    """

    pixels: NDArray[np.uint8]
    usage: dict[str, Any]
    seconds: float
    more: dict[str, Any]
    paid: bool


class Hosted:
    """A model of a server.

    Parameters
    ----------
    spec : str
        ``hosted:MODEL@BASE_URL``, such as ``hosted:edm@http://127.0.0.1:8000/v1``.
    kept : Path
        Folder for answers.

    Raises
    ------
    InputError
        For a spec without a model or an address, without a key in the environment, a server that cannot be reached or does
        not have the model.
    """

    def __init__(self, spec: str, kept: Path) -> None:
        try:
            import openai
        except ImportError:
            raise InputError("hosted: needs the package openai: install veridical[hosted].") from None
        self.model, self.url = named(spec)
        if not os.environ.get(KEY):
            raise InputError(
                f"{KEY} is not in the environment: set it to the server's key (any word where it asks for none)."
            )
        self.spec, self._kept = spec, kept
        self._openai = openai
        self._client = openai.OpenAI(api_key=os.environ[KEY], base_url=self.url, max_retries=TRIES)
        self.about = self._found()

    def _found(self) -> dict[str, Any]:
        """What the server's list of models says of this one, beyond its name: ours says much, others nothing."""
        try:
            models = {model.id: model for model in self._client.models.list()}
        except self._openai.NotFoundError:  # a server without a list: it will say when it is asked
            return {}
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error
        if self.model not in models:
            known = ", ".join(sorted(models)[:20])
            raise InputError(f"{self.url} has no model {self.model!r}: it has {known or 'none'}.")
        return dict((models[self.model].model_extra or {}).get("veridical", {}))

    def has(self, route: str) -> bool:
        """Whether the server has a route: generations, edits, variations. One that does not say is asked with nothing."""
        if "routes" in self.about:
            return route in self.about["routes"]
        try:
            self._client.with_options(max_retries=0).post(f"/images/{route}", body={}, cast_to=object)
        except self._openai.AuthenticationError as error:
            raise self._explained(error) from error
        except self._openai.APIStatusError as error:
            said = str(error).lower()
            return error.status_code not in (404, 405, 410, 501) and not any(
                w in said for w in ("retired", "no longer")
            )
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error
        return True

    def generate(self, prompt: str, number: int, seed: int, given: Mapping[str, Any]) -> Answer:
        """Picture `number` of a prompt."""
        return self._kept_or_asked("generations", {"prompt": prompt}, {}, number, seed, given)

    def edit(
        self, image: bytes, mask: bytes | None, prompt: str, number: int, seed: int, given: Mapping[str, Any]
    ) -> Answer:
        """Picture `number`: a PNG file after an edit where the alpha of `mask` is 0."""
        files = {"image": image} | ({} if mask is None else {"mask": mask})
        return self._kept_or_asked("edits", {"prompt": prompt}, files, number, seed, given)

    def vary(self, image: bytes, number: int, seed: int, given: Mapping[str, Any]) -> Answer:
        """Picture `number`: a variation of a PNG file."""
        return self._kept_or_asked("variations", {}, {"image": image}, number, seed, given)

    def write_cost(self, out: Path) -> None:
        """Sum up in ``cost.json`` what all kept answers took, see `spent`."""
        write_json(out / COST, spent(self._kept))

    def _kept_or_asked(
        self,
        route: str,
        words: dict[str, Any],
        files: dict[str, bytes],
        number: int,
        seed: int,
        given: Mapping[str, Any],
    ) -> Answer:
        body = {"model": self.model, **words, "n": 1, **given}
        ours = {"seed": seed, "number": number} if "seed" in self.about.get("fields", ()) else {}
        said = {
            "url": self.url, "route": route, **body, "seed": seed, "number": number,
            "checkpoint": self.about.get("checkpoint"),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }  # fmt: skip
        path = self._kept / f"{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}.json"
        answer, paid = _kept_answer(path), False
        if answer is None:
            began = time.monotonic()
            picture, found = self._asked(route, body | ours, files)
            answer, paid = {
                "asked": said, "picture": picture, "seconds": round(time.monotonic() - began, 3),
                "usage": {} if found.usage is None else found.usage.model_dump(mode="json"),
                "more": (found.model_extra or {}).get("veridical", {}),
            }, True  # fmt: skip
            write_kept(path, json.dumps(answer).encode())
        return Answer(_pixels(answer["picture"], self.url), answer["usage"], answer["seconds"], answer["more"], paid)

    def _asked(
        self, route: str, body: dict[str, Any], files: dict[str, bytes]
    ) -> tuple[str, openai.types.ImagesResponse]:
        """The first picture of an answer, and the answer."""
        from openai.types import ImagesResponse

        sent = [(name, (f"{name}.png", content, "image/png")) for name, content in files.items()]
        headers = {"Content-Type": "multipart/form-data"} if files else {}
        try:
            found = self._client.post(
                f"/images/{route}", body=body, files=sent or None, cast_to=ImagesResponse, options={"headers": headers}
            )
        except self._openai.OpenAIError as error:
            raise self._explained(error) from error
        if not found.data or not found.data[0].b64_json:
            raise InputError(f"{self.url} answered without a picture (b64_json): this server cannot be used.")
        return found.data[0].b64_json, found

    def _explained(self, error: Exception) -> InputError:
        status = getattr(error, "status_code", None)
        body = getattr(error, "body", None)
        said = body.get("message") if isinstance(body, dict) else None
        what = " ".join(str(said or error).split())[:300].rstrip(".")
        kind = f"answered {status}" if status else "cannot be reached"
        return InputError(f"{self.url} {kind} ({what}): mend that and give the same command again; answers are kept.")


def spent(kept: Path) -> dict[str, Any]:
    """What all answers in a folder took: requests, seconds, and tokens as the server counts them, None where it does not."""
    found = [_kept_answer(path) for path in sorted(kept.glob("*.json"))]
    answers = [answer for answer in found if answer is not None]
    usage: dict[str, int] = {}
    for answer in answers:
        for name, value in answer["usage"].items():
            if isinstance(value, int):
                usage[name] = usage.get(name, 0) + value
    seconds = round(sum(answer["seconds"] for answer in answers), 3)
    return {"requests": len(answers), "seconds": seconds, "usage": usage or None}


def _kept_answer(path: Path) -> dict[str, Any] | None:
    content = read_kept(path)
    return None if content is None else parse_json(content, dict[str, Any], path)


def _pixels(picture: str, url: str) -> NDArray[np.uint8]:
    """RGB or grey of a file that a server sent."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(base64.b64decode(picture, validate=True)), formats=("PNG", "JPEG", "WEBP"))
        if image.mode in ("L", "RGB"):
            return np.asarray(image)
        if image.mode in ("LA", "RGBA", "P", "1"):
            opaque = np.asarray(image.convert("RGBA"))
            if (opaque[..., 3] == 255).all():
                return opaque[..., :3]
        raise ValueError(f"mode {image.mode}")
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{url} sent what is no opaque picture of 8 bits ({error}): ask it for another format."
        ) from error


def grey_of(pixels: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.uint8], float]:
    """The luminance (H, W) of a picture, and the chroma that it had, `where` (H, W) if said, see `veridical.data.colour`."""
    if pixels.ndim == 2:
        return pixels, 0.0
    image = pixels.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    colour = chroma(image, None if where is None else where[None])
    return np.rint(255 * luminance(image)[0, 0]).astype(np.uint8), float(colour[0])


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request that the user sets; an `InputError` for others."""
    for name in given:
        if name not in FIELDS:
            raise InputError(f"hosted: has no setting {name!r}: it has {', '.join(FIELDS)}.")
    return dict(given)
