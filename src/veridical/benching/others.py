"""Rows of a bench that are not trained: pipelines of other people and generators behind an API, and what these are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veridical.benching.one_row import Row
from veridical.core.errors import InputError
from veridical.data.labels import Labels
from veridical.reporting.plan import AWAY

if TYPE_CHECKING:
    from veridical.data.dataset import Dataset
    from veridical.pretrained.classes import PipelineClasses
    from veridical.pretrained.folder import Found
    from veridical.pretrained.settings import Loading

TOLD = ("prompt", "label")  # what a row says of its images; all else are settings
PLACES = ("controlnet", "config")  # settings that are folders


def may_say(recipe: str) -> tuple[str, ...]:
    """Names that such a row may have, some of which are of datasets in other rows; none for what is trained."""
    from veridical.hub.hosted import FIELDS, is_hosted
    from veridical.pretrained.folder import is_hub
    from veridical.pretrained.settings import LOADING, SAMPLING

    if is_hosted(recipe):
        return ("prompt", *FIELDS)
    return (*TOLD, *LOADING, *SAMPLING) if is_hub(recipe) else ()


def read_others(path: Path, name: str, row: Row, datasets: Mapping[str, Mapping[str, Any]]) -> Row:
    """The row with its folders against that of the file; an `InputError` where it lacks something or has too much."""
    from veridical.hub.hosted import is_hosted, named, settings_of

    for dataset in row.datasets or []:
        if dataset not in datasets:
            raise InputError(f"{path}: {name} names the dataset {dataset!r}; there are {', '.join(datasets)}.")
    if is_hosted(row.recipe):
        named(row.recipe)
        settings_of({key: value for key, value in row.args.items() if key != "prompt"})
        _check_prompt(path, name, row, datasets, silent=True)  # some servers have runs that hear no words
        return row
    row = _located(path, row)
    try:
        found, _ = pipeline_of(row, name)
    except InputError as error:
        raise InputError(f"{path}: {name}: {error}") from error
    if not found.kind.draws:
        raise InputError(
            f"{path}: {name} is a pipeline of {found.kind.name}, which draws no images from nothing: write it in [edits], with "
            "how."
        )
    if found.kind.hears:
        if "label" in row.args:
            raise InputError(f"{path}: {name} draws what a prompt says and knows no classes: leave out label.")
        _check_prompt(path, name, row, datasets)
        return row
    if "prompt" in row.args:
        raise InputError(f"{path}: {name} draws classes and hears no words: write label in place of prompt.")
    unlabelled = [dataset for dataset in row.datasets or datasets if not datasets[dataset].get("label")]
    if unlabelled and (isinstance(row.args.get("label"), dict) or "label" not in row.args):
        raise InputError(
            f"{path}: {name} draws classes: write label = the name or number of one, or a list of them, or give dataset "
            f"{unlabelled[0]!r} a label whose classes it draws."
        )
    return row


def _located(path: Path, row: Row) -> Row:
    """Folders against that of the file, where there are such: else they may be repositories in the cache."""
    from veridical.pretrained.folder import HUB

    def found(name: str) -> str:
        return str((path.parent / name).resolve()) if (path.parent / name).exists() else name

    places = {key: found(value) for key in PLACES if isinstance(value := row.args.get(key), str) and value}
    return replace(row, recipe=f"{HUB}{found(row.recipe.removeprefix(HUB))}", args=row.args | places)


def _check_prompt(
    path: Path, name: str, row: Row, datasets: Mapping[str, Mapping[str, Any]], silent: bool = False
) -> None:
    if "prompt" in row.args:
        texts: Any = row_prompts(row.args)
        known = isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
        if not known or not (all(texts) or silent):
            raise InputError(f'{path}: {name} draws what a prompt says: write prompt = "...", or a list of them.')
    elif mute := [dataset for dataset in row.datasets or datasets if not datasets[dataset].get("text")]:
        raise InputError(
            f'{path}: {name} draws what a prompt says: add prompt = "...", or a list of them, or give dataset {mute[0]!r} '
            'captions, text = "auto", which it then draws.'
        )


def row_prompts(args: Mapping[str, Any]) -> list[str] | None:
    """Prompts of a row that says some; None where it draws captions of held-out tiles."""
    prompt = args.get("prompt")
    return [prompt] if isinstance(prompt, str) else prompt


def settings_of_row(args: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a row, without what it says of its images."""
    return {key: value for key, value in args.items() if key not in TOLD}


def pipeline_of(row: Row, name: str = "") -> tuple[Found, Loading]:
    """The pipeline of a row, looked through but not loaded, and how it is to be loaded."""
    from veridical.pretrained.folder import find
    from veridical.pretrained.settings import parsed

    loading, _ = parsed(name or row.recipe, settings_of_row(row.args), {})
    return find(row.recipe, loading), loading


def described(row: Row) -> dict[str, Any]:
    """What ``spec.json`` says of such a row, and what of held-out tiles it is told."""
    from veridical.hub.hosted import is_hosted
    from veridical.pretrained.kinds import ROWS

    if row.recipe in AWAY:
        what = "a place for a system that nobody has given"
        return {"family": "other people's", "task": "", "summary": what, "citation": ""}
    told = [] if "prompt" in row.args else ["text"]
    if is_hosted(row.recipe):
        what = "a generator behind an images API"
        return {"family": "hosted", "task": "", "summary": what, "citation": "", "needs": told}
    kind = pipeline_of(row)[0].kind
    if not kind.hears:
        told = [] if "label" in row.args and not isinstance(row.args["label"], dict) else ["label"]
    of = ROWS[kind.recipe]
    return {name: getattr(of, name) for name in ("family", "task", "summary", "citation")} | {"needs": told}


def check_pipelines(rows: Mapping[str, Row], size: int, targets: Mapping[str, Dataset]) -> None:
    """What is known of pipelines before anything is loaded: the size of their images, and their classes.

    Parameters
    ----------
    rows : mapping
        Those of a bench.
    size : int
        Of its tiles.
    targets : mapping
        Its datasets, opened with the labels that they have.

    Raises
    ------
    InputError
        If a pipeline draws images of another size, or no class that is asked for.
    """
    from veridical.pretrained.before import known_classes, side_of
    from veridical.pretrained.folder import is_hub

    for name, row in rows.items():
        if row.recipe in AWAY or not is_hub(row.recipe):
            continue
        found, loading = pipeline_of(row, name)
        if loading.side and not found.kind.sized:
            raise InputError(f"{name} draws images of one size alone: leave out side = {loading.side}.")
        check_side(name, side_of(found, loading), size, found.kind.sized)
        if not found.kind.hears:
            for dataset in row.datasets or targets:
                row_classes(name, row.args.get("label"), known_classes(found), targets[dataset].labels)


def check_side(name: str, side: int | None, size: int, sized: bool) -> None:
    """Refuse a pipeline whose images are no tiles; `sized`: it draws other sizes, too. None: its size is not known yet."""
    if side not in (None, size):
        other = f", or side = {size} in the row" if sized else ""
        raise InputError(f"{name} draws images of {side} pixels: set size = {side} in the bench{other}.")


def row_classes(name: str, label: Any, known: PipelineClasses, labels: Labels | None) -> tuple[list[int], bool]:
    """Numbers of the classes that a row draws.

    Parameters
    ----------
    name : str
        Of the row.
    label : str, int, list of these, dict or None
        What it says: classes of the pipeline, drawn in turn; a class of the pipeline for each of the data; or nothing, where
        those of the data are called as some of the pipeline.
    known : PipelineClasses
    labels : Labels or None
        Of the data.

    Returns
    -------
    numbers : list of int
    of_data : bool
        Whether they are those of the classes of the data, in their order.

    Raises
    ------
    InputError
        If there is no such class, or the data has one for which none is said.
    """
    if label is not None and not isinstance(label, dict):
        wanted = label if isinstance(label, list) else [label]
        if not wanted or any(isinstance(one, bool) or not isinstance(one, (str, int)) for one in wanted):
            raise InputError(f"{name} draws classes: write label = the name or number of one, or a list of them.")
        return [known.number(str(one)) for one in wanted], False
    if labels is None or labels.classes is None:
        column = "" if labels is None else f" ({labels.column} has numbers: make them some with bins)"
        raise InputError(f"{name} draws classes, and its data has none{column}: say which in label.")
    if label is None:
        label = {one: one for one in labels.classes if known.has(one)}
    if lacking := [one for one in labels.classes if one not in label]:
        raise InputError(
            f"{name} has no class called {lacking[0]!r}, as {labels.column} of the data has: write label = {{ "
            f'"{lacking[0]}" = the name or number of one, ... }}.'
        )
    return [known.number(str(label[one])) for one in labels.classes], True
