"""A trained run, or a pipeline of other people, adapted to few images of the user."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from veridical.adapting import table
from veridical.adapting.files import write_for_diffusers
from veridical.adapting.reward import course_of
from veridical.adapting.rounds import train_in_rounds
from veridical.adapting.told import Encode, Told, WithPrior, captions_of
from veridical.conditions.condition import Request
from veridical.conditions.delivery import Feed
from veridical.conditions.text import FILE, encoded, load_vocabulary
from veridical.core.batch import mix
from veridical.core.device import process_number, use_threads
from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.core.version import __version__
from veridical.data.dataset import Dataset
from veridical.data.open import open_dataset
from veridical.pretrained.folder import is_hub
from veridical.recipes.adaptation import BASE, Adaptation
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import NOTHING, RunInfo
from veridical.runs.adapted import can_adapt, put_into
from veridical.runs.draw import conditions_of, draw
from veridical.runs.folder import FREE, look, read_run, training_alone
from veridical.runs.run import Run, load, settable
from veridical.runs.stages import refer
from veridical.training.loop import Losses, batch_of, fit

FEWEST = 5  # tiles, of training and held out


def adapt(
    run: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    how: str = "lora",
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Path:
    """Adapt a trained model to few images: a small part of new weights is trained, all else stays as it is.

    Parameters
    ----------
    run : str or Path
        Run folder of a denoiser of images, with or without texts, or ``hub:FOLDER`` of Stable Diffusion.
    data : str or Path
        5 to 50 images or more: what `veridical.open_dataset` opens, with as many channels as those of the run.
    out : str or Path
        The run folder to write. It refers to its base by path and SHA-256, and is used as any other run.
    how : str
        A row of `veridical.adapting.table.HOWS`.
    settings : mapping, optional
        Of that row, and of training (`TrainConfig`); text is converted.
    resume : bool
        Go on with an adaptation in `out` that was stopped.
    quiet : bool
        Show no progress.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        For a run that cannot be adapted so, too few images, images of another kind, or no captions where some are needed.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the state is saved; ``resume=True`` goes on, but for ``reward``.
    """
    row, out = table.find(how), Path(out)
    config, own = table.sorted_out(row, settings or {}, large=is_hub(run))
    _check_asked(row.name, own)
    if row.name == "reward" and (resume or config.steps is None or config.batch % 2):
        raise InputError(
            "reward draws anew, in rounds of steps, on pairs: give --steps, an even --batch, and no --resume."
        )
    if row.name == "reward" and process_number("WORLD_SIZE", 1) > 1:
        raise InputError("reward takes both images of a pair at once, in one process: start it without torchrun.")
    started = look(out, resume)
    use_threads(config.threads)
    base = _base(run, config)
    config = dataclasses.replace(config, size=base.info.size)
    target = _few(data, base, config)
    with training_alone(out):
        feed, about, own = _fed(row.name, base, target, str(data), config, own)
        model = cast(nn.Module, base.model)
        info = _described(base, target, about, config, out)
        starts = _starts_as(base, own.get("like", ""))
        course = course_of(base, target, cast(Told, feed), config, own) if row.name == "reward" else None
        feed = feed if course is None else course.feed
        put_into(model, row.name, own, mix(config.seed), starts)
        trained = sum(p.numel() for part in base.model.parts.values() for p in part.parameters())
        whole = sum(p.numel() for p in model.parameters())
        adaptation = Adaptation(row.name, own, trained, whole, *_reference(base, info), course.found if course else {})
        info = info.replace(adapted=adaptation)
        _same(out, started, info)
        tell(out, f"{row.name} trains {trained:,} of {whole:,} numbers ({100 * adaptation.share:.2g} %)")
        if started is None or not started.finished:
            losses = base.model.losses if course is None else course.losses(model)
            tell(out, _forecast(losses, model, feed, config, base.device))
        if course is None:
            fit(model, feed, config, out, info, started, quiet=quiet)
        else:
            train_in_rounds(
                model, feed, config, out, info, losses, course.draws, course.looks, rounds=own["rounds"],
                tolerance=own["tolerance"], quiet=quiet,
            )  # fmt: skip
    if not read_run(out).finished:
        raise KeyboardInterrupt(f"{out} is saved, and not done")
    write_for_diffusers(out, read_run(out), model)
    return out


def _check_asked(how: str, own: Mapping[str, Any]) -> None:
    """Refuse what is not said, before anything is loaded."""
    if how == "textual_inversion" and not own["word"]:
        raise InputError("textual_inversion learns a new word: say which, as --set word=sandrock.")
    if how == "dreambooth" and not (own["prompt"] and own["class_prompt"]):
        raise InputError(
            "dreambooth needs words for the new images and for their kind: give --prompt 'sks sandstone' --set "
            "class_prompt=sandstone."
        )


def _base(run: str | Path, config: TrainConfig) -> Run:
    """What is to be adapted, with nothing that its early weights or its captions would add in sampling."""
    changes = {"autoguidance": 1.0, "upsample": False}
    known = () if is_hub(run) else settable(run)
    base = load(run, config.device, {name: value for name, value in changes.items() if name in known})
    if base.info.adapted is not None:
        raise InputError(f"{run} is adapted already: adapt its base, {base.info.adapted.pipeline or 'a run'}, instead.")
    if not base.info.finished:
        raise InputError(f"{run} is not trained to its end: go on with it, veridical train ... --resume.")
    if not can_adapt(cast(nn.Module, base.model)) or set(base.needs) - {"text"} or base.row.learns:
        raise InputError(
            f"{run} is {base.info.recipe}, which cannot be adapted: give a run of a denoiser of images or of images and text "
            "(edm, latent_diffusion, text_to_image, stable_diffusion, dalle3, ...), or hub:FOLDER of Stable Diffusion."
        )
    return base


def _few(data: str | Path, base: Run, config: TrainConfig) -> Dataset:
    target = open_dataset(
        data, config.size, augment=config.augment, scale=config.scale, split=config.split or None,
        hold_out=config.hold_out, limit=config.limit,
    )  # fmt: skip
    count = target.count("train") + target.count("test")
    if count < FEWEST:
        raise InputError(
            f"{data} has {count} tiles of {config.size} x {config.size} pixels: give at least {FEWEST} images."
        )
    either = base.pipeline is not None and not base.pipeline.grey  # grey images are shown as equal channels
    if target.channels != base.info.channels and not either:
        kinds = {1: "grey", 3: "RGB"}
        raise InputError(
            f"{data} holds {kinds[target.channels]} images, but {base.folder} draws {kinds[base.info.channels]} ones: give such."
        )
    return target


def _fed(
    how: str, base: Run, target: Dataset, spec: str, config: TrainConfig, own: dict[str, Any]
) -> tuple[Feed, dict[str, Any], dict[str, Any]]:
    """What training reads, what ``run.json`` says of its words, and the settings with what follows from the data."""
    if not base.hears:
        for name in ("prompt", "word", "class_prompt"):
            if own.get(name):
                raise InputError(f"{base.folder} hears no words: leave out {name}, or adapt a run that does.")
        return Told(target, [], lambda texts: {}), {}, own
    word = own.get("word", "").lower() if base.pipeline is None else own.get("word", "")
    prompt = own["prompt"] or word
    if word and own["prompt"] and word not in prompt.lower().split():
        raise InputError(f"prompt={prompt!r} does not say the new word: write it with {word}.")
    drawn = cond = None
    if how == "dreambooth":
        n = own["class_images"]
        tell(base.folder, f"draws {n} images of {own['class_prompt']!r} first")
        asked = conditions_of(base, n, prompt=own["class_prompt"], extrapolate=True).cond
        seen = dataclasses.replace(base, info=base.info.replace(channels=target.channels))
        drawn = draw(seen, n, seed=mix(config.seed, 5), batch=8, cond=asked)
        cond = {name: rows[:1] for name, rows in asked.items()}
    captions = captions_of(spec, target, prompt, config.text)
    encode, kept, about, number = _words(base, word, [text for each in captions for text in each])
    if about:
        about["text"] |= {"spec": spec, "prompt": prompt or None}
        about["text"]["fingerprint"] = hashlib.sha256(repr(captions).encode()).hexdigest()[:16]
        about["text"]["captions"] = sum(map(len, captions))
    if word:
        own = own | {"number": number, "word": word}
    told = Told(target, captions, encode, kept)
    if drawn is None or cond is None:
        return told, about, own
    return WithPrior(told, drawn, cond, own["class_share"]), about, own


def _words(base: Run, word: str, texts: list[str]) -> tuple[Encode, dict[str, str], dict[str, Any], int]:
    """From texts to arrays, with the new word; files of the run; what ``run.json`` says; the id of the word."""
    if base.pipeline is not None:
        words: Any = base.pipeline.words
        number = words.learn(word) if word else 0
        return (lambda said: {"spelled": words.ids(said).numpy()}), {}, {}, number
    vocabulary = load_vocabulary(Request(base.info.to_json(), base.folder, settings=None, n=1))
    number = vocabulary.size
    vocabulary = vocabulary.learn(word) if word else vocabulary
    for note in vocabulary.notes(" . ".join(dict.fromkeys(texts))):
        tell(base.folder, note.replace("the training captions", "the captions that it was trained on"))
    content = vocabulary.knowing(texts).to_json()
    about = dict(base.info.conditions["text"])
    about["tokenizer"] = {"file": FILE, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    about.pop("complete", None)
    return (lambda said: encoded(vocabulary, said)[0]), {FILE: content}, {"text": about}, number


def _starts_as(base: Run, like: str) -> Any:
    """Token ids of the word that the new one begins as, in each array."""

    def ids(array: str) -> list[int]:
        if not like:
            return []
        if base.pipeline is not None:
            words: Any = base.pipeline.words
            each = words.cond([like])["spelled"][0].tolist()
            return [each[k] for _, places in words.places(like) for k in places]
        vocabulary = load_vocabulary(Request(base.info.to_json(), base.folder, settings=None, n=1))
        for unknown in vocabulary.notes(like):
            raise InputError(f"like={like}: {unknown}; give a word that they say.")
        found = vocabulary.spell([like])[0] if array == "spelled" else vocabulary.encode([like])[0][0]
        return [int(found[k]) for _, places in vocabulary.places(like, array == "spelled") for k in places]

    return ids


def _described(base: Run, target: Dataset, about: dict[str, Any], config: TrainConfig, out: Path) -> RunInfo:
    stages = {} if base.pipeline is not None else {BASE: refer(out, base.folder, given=True)}
    return RunInfo(
        __version__, torch.__version__, base.info.recipe, base.info.args, config, target.channels, config.size, target.window,
        target.summary(), finished=False, cost=NOTHING, conditions=about, stages=stages,
    )  # fmt: skip


def _reference(base: Run, info: RunInfo) -> tuple[str, str]:
    """The pipeline that was adapted, if it was one, and the hash of its weights or of those of the run."""
    if base.pipeline is None:
        return "", info.stages[BASE].sha256
    spec, found = base.pipeline.found.spec, base.pipeline.found
    place = Path(spec.removeprefix("hub:")).expanduser()
    return f"hub:{place.resolve()}" if place.exists() else spec, found.sha256()


def _same(out: Path, started: RunInfo | None, info: RunInfo) -> None:
    """Refuse to go on with a run of another base, other images or other settings."""
    if started is None:
        return

    def what(said: RunInfo) -> Any:
        settings = {name: value for name, value in said.config.to_json().items() if name not in FREE}
        bases = {name: stage.sha256 for name, stage in said.stages.items()}
        return said.adapted and (said.adapted.how, said.adapted.settings, said.adapted.sha256), bases, settings

    same = json.loads(json.dumps(what(info))) == json.loads(json.dumps(what(started)))
    if not same or started.dataset.get("fingerprint") != info.dataset["fingerprint"]:
        raise InputError(
            f"{out} was adapted from another run, on other images or with other settings: give the same, or another --out."
        )


def _forecast(losses: Losses, model: nn.Module, feed: Feed, config: TrainConfig, device: torch.device) -> str:
    """How long the training will take, by the second of two steps, of which nothing is kept."""
    seconds = 0.0
    parameters = [p for p in model.parameters() if p.requires_grad]
    for _ in range(2):
        began = time.monotonic()
        batch = batch_of(feed, config, 0, [(0, config.batch)], device, 0.0)
        for _, loss in losses(batch, 0):
            torch.autograd.grad(loss, parameters, allow_unused=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.monotonic() - began
    if config.steps is None:
        return f"a step takes {seconds:.2g} s here"
    total = seconds * config.steps
    said = f"{total / 60:.0f} minutes" if total < 5400 else f"{total / 3600:.1f} hours"
    return f"a step takes {seconds:.2g} s here: about {said if total > 90 else f'{total:.0f} seconds'} for {config.steps} steps"
