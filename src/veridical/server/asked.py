"""From the fields of a request to what the worker does, and back to files: `Drawing` and `Changing`, then PNG."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.conditions.text import UPSAMPLED
from veridical.core.errors import InputError
from veridical.data.inside import Inside
from veridical.data.window import IntensityWindow
from veridical.editing.table import EDITS
from veridical.runs.draw import conditions_of
from veridical.server.errors import ApiError, shortened
from veridical.server.fields import MOST, Edit, Generation, Variation
from veridical.server.pictures import encode, read_image, read_mask, scale, scale_for
from veridical.server.served import Changed, Changing, Drawing, Made, Served
from veridical.server.service import Service

BITS = {"png": 8, "png16": 16}


@dataclass(frozen=True)
class Prepared:
    """A task, and what its answer says.

    Attributes
    ----------
    served : Served
    task : Drawing or Changing
    window : IntensityWindow
        From [0, 1] to the counts of the files.
    size, form : str
        WIDTHxHEIGHT, and the output format.
    said : dict
        What the answer and the files say of all images.
    each : list of dict
        And of each.
    revised : list of str or None
        Prompts that are drawn in place of those that came.
    before : ndarray, optional
        Counts (N, C, H, W) of images that came.
    """

    served: Served
    task: Drawing | Changing
    window: IntensityWindow
    size: str
    form: str
    said: dict[str, Any]
    each: list[dict[str, Any]]
    revised: list[str | None]
    before: NDArray[Any] | None = None

    def answers(self, made: Any) -> list[dict[str, Any]]:
        """The entries of ``data``, from what the worker made."""
        return self._edited(made) if isinstance(made, Changed) else self._drawn(made)

    def _drawn(self, made: Made) -> list[dict[str, Any]]:
        return [self._entry(k, self.window.from_unit(image), _colour(made, k)) for k, image in enumerate(made.images)]

    def _edited(self, made: Changed) -> list[dict[str, Any]]:
        assert self.before is not None
        entries = []
        for k, before in enumerate(self.before):
            counts = self.window.from_unit(made.images[k])
            if made.mask is not None:
                counts = np.where(made.mask[k][None], counts, before)
            share = float((counts != before).any(0).mean())
            notes = {"notes": list(made.notes)} if made.notes else {}
            more = {"changed_share": share} | notes | _colour(made, k)
            entries.append(self._entry(k, counts, more, made.mask is not None))
        return entries

    def _entry(self, k: int, counts: NDArray[Any], more: dict[str, Any], part: bool = False) -> dict[str, Any]:
        one = self.each[k] | more
        content = encode(counts, Inside(self.served.about | self.said | one | {"synthetic": True}, part))
        revised = {} if self.revised[k] is None else {"revised_prompt": self.revised[k]}
        return {"b64_json": base64.b64encode(content).decode()} | revised | {"veridical": one}


def _colour(made: Made, k: int) -> dict[str, float]:
    return {} if made.chroma is None else {"chroma": float(made.chroma[k])}


def generation(service: Service, asked: Generation) -> Prepared:
    """What ``/v1/images/generations`` asks for.

    Raises
    ------
    ApiError, InputError
        For what cannot be.
    """
    served = _able(service, asked.model, "generations")
    info, n = served.run.info, asked.n or 1
    size, prompt = f"{info.size}x{info.size}", asked.prompt or ""
    _check_size(asked.size, size, "draws")
    if served.run.hears and not prompt.strip():
        raise ApiError(
            400, f"{served.name} draws what it is told: give a prompt.", param="prompt", code="invalid_value"
        )
    _check_words(served, prompt, asked.negative_prompt)
    if any(part.strip().startswith("@") for part in (asked.label or "").split(",")):  # a file, on the command line
        raise ApiError(400, "A label cannot begin with '@'.", param="label", code="invalid_value")
    if asked.label is not None and not served.run.takes_labels:
        raise ApiError(400, f"{served.name} takes no labels: leave it out.", param="label", code="invalid_value")
    if prompt.startswith("@") or (asked.negative_prompt or "").startswith("@"):  # a file, on the command line
        raise ApiError(400, "A prompt cannot begin with '@'.", param="prompt", code="invalid_value")
    form = asked.output_format or "png"
    window = scale(served.run.window, BITS[form])
    told: dict[str, Any] = {}
    if prompt:
        told["prompt"] = [prompt]
    if asked.negative_prompt:
        told["negative_prompt"] = [asked.negative_prompt]
    if asked.label:
        told["label"] = [asked.label]
    if asked.extrapolate:
        told["extrapolate"] = True
    found = conditions_of(served.run, n, **told)
    seed, numbers = service.numbers(asked.seed, asked.number, n)
    conditions = [found.words(k) for k in range(n)]
    each = [
        {"seed": seed, "number": number} | ({"condition": json.loads(json.dumps(words))} if words else {})
        for number, words in zip(numbers, conditions, strict=True)
    ]
    revised = [words.get(UPSAMPLED) for words in conditions]
    said = _counts(window, served) | ({"notes": found.notes} if found.notes else {})
    return Prepared(served, Drawing(served, found.cond, seed, numbers), window, size, form, said, each, revised)


def edit(service: Service, asked: Edit, contents: list[bytes], mask: bytes | None) -> Prepared:
    """What ``/v1/images/edits`` asks for, with the content of its files.

    Raises
    ------
    ApiError, InputError
        For what cannot be.
    """
    served = _able(service, asked.model, "edits")
    how = asked.how or served.usual(mask is not None)
    if how not in served.hows:
        raise ApiError(
            400, f"{served.name} cannot do '{shortened(how)}': use one of {', '.join(served.hows)}.", param="how",
            code="invalid_value",
        )  # fmt: skip
    row = EDITS[how]
    given = {
        "mask": mask, "prompt": asked.prompt.strip(), "source_prompt": asked.source_prompt,
        "negative_prompt": asked.negative_prompt,
    }  # fmt: skip
    for name, value in given.items():
        if value and name not in (*row.needs, *row.offers):
            raise ApiError(400, f"{how} takes no {name}: leave it out.", param=name, code="invalid_value")
        if not value and name in row.needs:
            raise ApiError(400, f"{how} needs a {name}.", param=name, code="missing_required_parameter")
    _check_words(served, asked.prompt, asked.negative_prompt or asked.source_prompt)
    return _changing(service, served, how, asked, contents, mask)


def variation(service: Service, asked: Variation, content: bytes) -> Prepared:
    """What ``/v1/images/variations`` asks for."""
    served = _able(service, asked.model, "variations")
    return _changing(service, served, "variation", asked, [content], None)


def _changing(
    service: Service, served: Served, how: str, asked: Edit | Variation, contents: list[bytes], mask: bytes | None
) -> Prepared:
    n, most, info = asked.n or 1, service.limits.pixels, served.run.info
    if n * len(contents) > MOST:
        raise ApiError(
            400, f"{len(contents)} images and n={n} make {n * len(contents)}: at most {MOST} are drawn for a request.",
            param="n", code="invalid_value",
        )  # fmt: skip
    either = served.run.pipeline is not None and not served.run.pipeline.grey
    channels = None if either else info.channels
    read = [read_image(content, channels, f"image {k + 1}", most) for k, content in enumerate(contents)]
    first = read[0][1]
    if any((png.size, png.bits, len(counts)) != (first.size, first.bits, len(read[0][0])) for counts, png in read):
        raise ApiError(
            400, "The images differ in size, bits or channels: send one a request.", param="image", code="invalid_value"
        )
    if min(first.width, first.height) < info.size:
        raise ApiError(
            400, f"The image has {first.size} pixels but the model works on tiles of {info.size}: send a larger part.",
            param="image", code="invalid_value",
        )  # fmt: skip
    _check_size(asked.size, first.size, "edits images of")
    form = asked.output_format or ("png16" if first.bits == 16 else "png")
    if BITS[form] != first.bits:
        raise ApiError(
            400, f"The image has {first.bits} bits: leave output_format out, so that what is kept keeps them.",
            param="output_format", code="invalid_value",
        )  # fmt: skip
    region = None if mask is None else read_mask(mask, first.size, most)
    if region is not None and region.all() and "mask" in EDITS[how].needs:
        raise ApiError(
            400, f"The mask marks all pixels: {how} goes by those that stay.", param="mask", code="invalid_value"
        )
    if served.run.pipeline is None:
        window = scale(served.run.window, first.bits)
    else:
        window = scale_for(served.run.window, np.stack([counts for counts, _ in read]))
    chosen = EDITS[how].parse(_settings(asked.settings))
    before = np.repeat(np.stack([counts for counts, _ in read]), n, 0)
    seed, numbers = service.numbers(asked.seed, asked.number, n)
    numbers *= len(contents)
    words = {"prompt": "", "source_prompt": "", "negative_prompt": ""}
    notes: list[str] = []
    revised: str | None = None
    if isinstance(asked, Edit):
        words = {name: (getattr(asked, name) or "").strip() for name in words}
        revised, notes = _heard(served, words, bool(asked.extrapolate))
    task = Changing(
        served, how, tuple((name, getattr(chosen, name)) for name in chosen.__dataclass_fields__), window.to_unit(before),
        region, words["prompt"] if revised is None else revised, words["source_prompt"], words["negative_prompt"], seed,
        numbers,
    )  # fmt: skip
    said = {
        "how": how, "made_up": EDITS[how].synthetic, "settings": dict(task.settings), "mask": region is not None,
        **{name: text for name, text in words.items() if text}, **_counts(window, served),
        **({"notes": notes} if notes else {}),
    }  # fmt: skip
    each = [{"image": k // n, "seed": seed, "number": number} for k, number in enumerate(numbers)]
    return Prepared(served, task, window, first.size, form, said, each, [revised] * len(each), before)


def _heard(served: Served, words: dict[str, str], extrapolate: bool) -> tuple[str | None, list[str]]:
    """The prompt as the run completes it, where it does, and what the client should know of its texts."""
    if not any(words.values()):
        return None, []
    notes = [
        note for name, text in words.items() if text
        for note in served.words.remarks(name.replace("_", " "), [text], extrapolate)
    ]  # fmt: skip
    if not words["prompt"] or words["source_prompt"]:
        return None, notes
    (completed,), told = served.words.completed([words["prompt"]])
    return (completed if completed != words["prompt"] else None), [*notes, *told]


def _able(service: Service, model: str | None, route: str) -> Served:
    served = service.find(model)
    if route not in served.routes:
        raise ApiError(
            400, f"{served.name} is a run of {served.run.info.recipe}, which has {' and '.join(served.routes)}, no {route}.",
            param="model", code="unsupported_route",
        )  # fmt: skip
    return served


def _check_words(served: Served, prompt: str, other: str | None) -> None:
    if not served.run.hears and (prompt.strip() or other):
        raise ApiError(
            400, f"{served.name} is a run of {served.run.info.recipe}, which hears no words: send an empty prompt.",
            param="prompt" if prompt.strip() else "negative_prompt", code="invalid_value",
        )  # fmt: skip


def _check_size(asked: str | None, size: str, does: str) -> None:
    if asked not in (None, "auto", size):
        raise ApiError(400, f"It {does} {size} pixels, not {asked}: send auto.", param="size", code="invalid_value")


def _settings(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(type(value) in (int, float, str, bool) for value in found.values()):
        raise InputError('settings is no JSON object of names and values: send one such as {"strength": 0.4}.')
    return {name: str(value) for name, value in found.items()}


def _counts(window: IntensityWindow, served: Served) -> dict[str, Any]:
    """How to read the counts of files: `low` and `high` are those of the file that are `of_low` and `of_high` in the data."""
    own = served.run.window
    return {"counts": window.to_json() | {"of_low": own.low, "of_high": own.high, "of_dtype": own.dtype}}
