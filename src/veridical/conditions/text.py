"""The condition ``text``: captions of images, and prompts for samples.

Arrays: ``text``, int64 tokens (N, L), 0 after the end and throughout an empty caption; ``value``, float32 (N, L), the
standardised value where the token stands for the number of a property, else 0 (see `veridical.conditions.vocabulary`);
``spelled``, int64 (N, K): the same caption with all numbers as digits, for text towers that take tokens alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from veridical.conditions.condition import Answer, Arrays, Condition, Drawn, Option, Request, Supply, TileSettings
from veridical.conditions.prompts import check_guided, prompts_of, remarks
from veridical.conditions.reopen import reopened
from veridical.core.errors import InputError
from veridical.core.files import read_bytes, read_json
from veridical.core.notes import tell
from veridical.core.settings import setting
from veridical.core.tokens import NEGATIVE
from veridical.data.captions import AUTO, doubts, read_captions
from veridical.data.dataset import Dataset

if TYPE_CHECKING:
    from veridical.conditions.vocabulary import Vocabulary

FILE = "tokenizer.json"
COMPLETE = "captions.json"  # complete captions of the training images, of a run that completes prompts
KEPT = 20_000  # captions whose arrays are kept; of more, they are encoded again when their turn comes
KNOWN = 10_000  # complete captions that prompts are completed from, at most
ARRAYS = ("text", "value", "spelled")
UPSAMPLED = "completed_text"  # what a short prompt became


@dataclass(frozen=True)
class TextSettings(TileSettings):
    """What asks for captions."""

    text: str = setting(
        "",
        "Captions of the images, for recipes that need text: auto (captions.jsonl, metadata.jsonl or NAME.txt beside the "
        "images, or a phantom's own), or a file of JSON lines with file_name and text.",
    )
    tokenizer: str = setting(
        "",
        "Run whose words and numbers captions are read with, in place of those found in these captions; that of a stage of "
        "--first if that hears text.",
    )
    complete: float = setting(
        -1.0,
        "Share of training tiles that are told the first caption of their image, which says most; the others one of the "
        "rest; -1: every caption equally often.",
        low=-1,
        high=1,
    )


def _keywords(recipe: str, settings: TextSettings) -> dict[str, Any]:
    if not settings.text:
        raise InputError(
            f"{recipe} needs captions: give --text auto (captions.jsonl, metadata.jsonl or NAME.txt beside the images), or "
            "--text FILE.jsonl."
        )
    return {}


def _supply(spec: str, target: Dataset, settings: TextSettings) -> Supply:
    from veridical.conditions.vocabulary import MOST_TOKENS, Vocabulary, fit_vocabulary
    from veridical.wording import turned  # its tables are not read where nothing is said

    captions, notes = read_captions(spec, target.slices, settings.text)
    train = target.images_of("train")
    used = target.used()
    if not any(captions[index] for index in train):
        raise InputError(f"{spec}: no training image has a caption; write some, or give another --split.")
    told = [caption for index in train for caption in captions[index]]
    if settings.tokenizer:
        path = Path(settings.tokenizer, FILE)
        vocabulary, strange = Vocabulary.from_json(read_bytes(path), path).widened(told)
        notes = [*notes, *strange]
    else:
        vocabulary = fit_vocabulary(told)
    # Text 0 is the empty caption; those of a slice stand one after another.
    texts = ["", *(caption for of_slice in captions for caption in of_slice)]
    # training captions fit, unless they are too long for any network, or the words are others'
    asked = used if settings.tokenizer or vocabulary.length == MOST_TOKENS else sorted({*used} - {*train})
    cut = vocabulary.cut([caption for index in asked for caption in captions[index]])
    counts = np.array([len(of_slice) for of_slice in captions])
    first = np.where(counts > 0, 1 + np.cumsum(counts) - counts, 0)
    if without := sum(not captions[index] for index in used):
        notes = [*notes, f"{without} of {len(used)} images have no caption and are learned without one"]
    if cut:
        notes = [*notes, f"{cut} captions are longer than {vocabulary.length} tokens and lose their end"]
    larger = sum(max(target.slices.shapes[index]) > target.span for index in used)
    notes = [*notes, *doubts([text for index in used for text in captions[index]], larger, target.augment)]
    target.notes.extend(notes)
    for note in notes:
        tell(spec, note)

    @lru_cache(maxsize=KEPT)
    def row(text: str) -> Arrays:
        return {name: rows[0] for name, rows in encoded(vocabulary, [text])[0].items()}

    def arrays(rows: np.ndarray, turns: np.ndarray) -> Arrays:
        """Of the texts with these numbers; what says a place is turned with the tile."""
        found = [row(turned(texts[k], code)) for k, code in zip(rows.tolist(), turns.tolist(), strict=True)]
        return {name: np.stack([each[name] for each in found]) for name in ARRAYS}

    def batch(drawn: Drawn) -> Arrays:
        from veridical.core.batch import mix  # imports torch, which the help of the command line does without

        index = drawn.places[:, 0]
        chance = np.random.default_rng([mix(drawn.seed, 2), drawn.step]).random(drawn.n)[drawn.start : drawn.stop]
        rows = first[index] + _turn(chance, counts[index], settings.complete)
        return arrays(rows, drawn.turns)

    def tiles(which: str, n: int | None) -> Arrays:
        places, _, turns = target.chosen(which, n)
        return arrays(first[places[:, 0]], turns)  # the first caption of an image

    content = vocabulary.to_json()
    about = {
        "spec": spec if settings.text == AUTO else settings.text,
        "fingerprint": _hash(repr([captions[index] for index in used]) + content)[:16],
        "captions": sum(len(captions[index]) for index in used),
        "numbers": list(vocabulary.numbers),
        "tokenizer": {"file": FILE, "sha256": _hash(content)},
    }
    sizes = {"vocabulary": vocabulary.size, "tokens": vocabulary.length, "spelled_tokens": vocabulary.spelled}
    files = {FILE: content}
    if settings.complete > 0:
        known = [captions[index][0] for index in train if captions[index]]
        files[COMPLETE] = json.dumps(known[:: -(-len(known) // KNOWN)], indent=0) + "\n"
        about["complete"] = {"file": COMPLETE, "sha256": _hash(files[COMPLETE])}
    return Supply(batch, tiles, sizes, {"text": about}, files)


def _turn(chance: np.ndarray, counts: np.ndarray, complete: float) -> np.ndarray:
    """Which of `counts` captions (N,) tile k is told, from `chance` (N,), uniform in [0, 1)."""
    rest = (chance - complete) / max(1 - complete, 1e-9)
    turn = np.where((rest < 0) | (counts < 2), 0, 1 + rest * (counts - 1))
    return (chance * counts if complete < 0 else turn).astype(np.int64)


def encoded(vocabulary: Vocabulary, captions: Sequence[str]) -> tuple[Arrays, list[int]]:
    """The arrays of captions, and which of them were cut."""
    ids, values, cut = vocabulary.encode(captions)
    return {"text": ids, "value": values, "spelled": vocabulary.spell(captions)}, cut


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


Given = str | Sequence[str] | None


def _ask(request: Request, given: Given, negative: Given = None) -> Answer:
    """Prompts, by default the captions of held-out tiles; and negative ones, whose arrays have names that say so."""
    vocabulary = load_vocabulary(request)
    prompts, against = prompts_of(given), prompts_of(negative)
    asked = prompts or _held_out(request)
    arrays, cut = encoded(vocabulary, asked)
    notes: list[str] = []
    beside: dict[str, Sequence[Any]] = {}
    if len(prompts) > request.n:
        notes.append(
            f"{request.n} images have the first of {len(prompts)} prompts: ask for -n {len(prompts)} to have all"
        )
    if prompts:
        notes += remarks(vocabulary, "prompt", prompts, cut, request.extrapolate)
        if request.run["args"].get("upsample"):
            from veridical.conditions.completed import complete_all

            asked = [prompts[k % len(prompts)] for k in range(request.n)]
            completed, told = complete_all(complete_captions(request), asked)
            arrays, _ = encoded(vocabulary, completed)
            beside[UPSAMPLED] = completed
            notes += told
    if against:
        check_guided(request)
        unlike, cut = encoded(vocabulary, against)
        arrays |= {NEGATIVE + name: rows for name, rows in unlike.items()}
        notes += remarks(vocabulary, "negative prompt", against, cut, request.extrapolate)
    if against:
        beside["negative_text"] = against
    return Answer(arrays, "text", asked, notes=tuple(notes), beside=beside)


def load_vocabulary(request: Request) -> Vocabulary:
    """The vocabulary that a run was trained with.

    Raises
    ------
    InputError
        If its file is gone or is another one.
    """
    from veridical.conditions.vocabulary import Vocabulary

    path = _kept(request, FILE, request.run["text"]["tokenizer"])
    return Vocabulary.from_json(read_bytes(path), path)


def complete_captions(request: Request) -> list[str]:
    """Complete captions of the training images, of a run that completes prompts."""
    return read_json(_kept(request, COMPLETE, request.run["text"].get("complete")), list[str])


def _kept(request: Request, name: str, about: Mapping[str, str] | None) -> Path:
    """A file of the run folder that is still what the training wrote."""
    path = request.folder / name
    if about is None:
        raise InputError(f"{request.folder} was trained without complete captions: add --set upsample=false.")
    if hashlib.sha256(read_bytes(path)).hexdigest() != about["sha256"]:
        raise InputError(f"{path} is not the file that the run was trained with: restore it or train again.")
    return path


def _held_out(request: Request) -> list[str]:
    settings = request.settings
    if told := request.run["text"].get("prompt"):  # all training images were told the same
        return [str(told)]
    spec = request.run["dataset"]["spec"]
    dataset = reopened(
        spec, "--prompt TEXT", settings.size,
        augment=settings.augment, scale=settings.scale, split=settings.split or None, hold_out=settings.hold_out,
        masks=bool(request.run["dataset"].get("mask_values")),  # leaves out images, as in training
    )  # fmt: skip
    return captions_of(dataset, settings.text, "test", request.n)


def captions_of(dataset: Dataset, where: str, which: str, n: int | None) -> list[str]:
    """The first caption of the image of each of the tiles that ``dataset.tiles(which, n)`` gives, turned with it; "" of none.

    Parameters
    ----------
    dataset : Dataset
    where : str
        See `veridical.data.captions.read_captions`.
    which : str
    n : int, optional
    """
    from veridical.wording import turned

    captions, _ = read_captions(dataset.spec, dataset.slices, where)
    places, _, turns = dataset.chosen(which, n)
    return [turned(next(iter(captions[index]), ""), code) for index, code in zip(places[:, 0], turns, strict=True)]


def _located(given: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    found = {"text": find(str(given["text"]))} if given.get("text", AUTO) not in ("", AUTO) else {}
    return found | ({"tokenizer": find(str(given["tokenizer"]))} if given.get("tokenizer") else {})


TEXT = Condition(
    name="text",
    setting="text",
    options=(
        Option(
            "prompt",
            "What to draw, in words, or @FILE with a prompt a line; repeatable, in turn. Default: captions of held-out images.",
            metavar="TEXT",
            several=True,
        ),
        Option(
            "negative_prompt",
            "What guidance leads away from, likewise; with --set guidance_scale=3 or the like.",
            metavar="TEXT",
            several=True,
        ),
    ),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    located=_located,
    arrays=ARRAYS,
    asked=tuple(NEGATIVE + name for name in ARRAYS),
    kept=("text", "tokenizer"),
    sizes={
        "vocabulary": "change it by other captions",
        "tokens": "change it by other captions",
        "spelled_tokens": "change it by other captions",
    },
)
