"""What a specification says of edits: rows of systems, what is to be changed, and how the truth is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from veridical.benching.changes import phantom_of
from veridical.core.errors import InputError
from veridical.editing.table import EDITS, find
from veridical.hub.hosted import is_hosted, settings_of
from veridical.reporting.plan import AWAY

COPY, REDRAW = "copy", "redraw"  # the source itself; a new image by the words, and by edges where a run wants such
LINES = (COPY, REDRAW)
SAYS = ("caption", "instruction")
MASKED = ("inpaint", "diffedit")  # of the review's third group, masks given or found
CHANGE = ("prompt", "source_prompt", "instruction")


@dataclass(frozen=True)
class EditRow:
    """One system of edits.

    Attributes
    ----------
    how : str
        A row of `veridical.editing.table.EDITS`, ``copy`` or ``redraw``.
    run : str
        The recipe or stage of the bench whose runs edit, ``hub:FOLDER`` or ``hosted:MODEL@URL``; "" of ``copy``.
    prompt : str
        What it is told: "caption", what the image shall show, or "instruction".
    mask : bool
        Whether it is told where the change is.
    settings, sampling : dict
        Of the edit, and of the run.
    datasets : list of str
    seeds : list of int, or None
        Of the runs; None are all that these have.
    """

    how: str
    run: str = ""
    prompt: str = "caption"
    mask: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    seeds: list[int] | None = None

    @property
    def group(self) -> str:
        """Which of the review's groups it is of: "translation", "inpainting", or a line to beat."""
        if self.how in LINES and not self.run:
            return "line"
        return "inpainting" if self.mask or self.how in MASKED else "translation"

    def to_json(self) -> dict[str, Any]:
        """What ``spec.json`` says of it."""
        paper = EDITS[self.how].paper if self.how in EDITS else ""
        return asdict(self) | {"group": self.group, "citation": paper}


@dataclass(frozen=True)
class Truth:
    """How the truth is made and measured.

    Attributes
    ----------
    pairs : int
        Held-out images of each change.
    learn : int
        Pairs that a system of instructions is trained on.
    prompts : int
        Captions that systems that hear words are asked for.
    images, steps : int
        Phantoms and training steps of the ruler.
    seed : int
        Of the phantoms.
    judge : str
        The stage of the recipe ``clip`` that compares images with words; "" for none.
    """

    pairs: int = 6
    learn: int = 1200
    prompts: int = 128
    images: int = 1200
    steps: int = 1200
    seed: int = 41
    judge: str = ""


def read_truth(path: Path, given: Mapping[str, Any], stages: Mapping[str, Any]) -> Truth:
    """The table ``[truth]``, checked."""
    types: dict[str, type] = {f.name: type(f.default) for f in fields(Truth)}
    for name, value in given.items():
        if name not in types:
            raise InputError(f"{path}: [truth] has an unknown entry {name!r}: it may have {', '.join(types)}.")
        if type(value) is not types[name] or (isinstance(value, int) and value < (0 if name == "seed" else 1)):
            raise InputError(f"{path}: {name} = {value!r} in [truth] cannot be: see docs/benchmarks.md.")
    truth = Truth(**given)
    if truth.judge and (truth.judge not in stages or stages[truth.judge].recipe != "clip"):
        raise InputError(f"{path}: judge = {truth.judge!r} is no stage of the recipe clip: add it to [stages].")
    return truth


def read_changes(path: Path, given: Mapping[str, Any], datasets: Mapping[str, Any], size: int) -> dict[str, list[Any]]:
    """The table ``[changes]``: of phantoms names of changes, of other data what is to be said, a dictionary each."""
    from veridical.phantoms.pairing import CHANGES

    for name, asked in given.items():
        if name not in datasets:
            raise InputError(f"{path}: [changes] names the dataset {name!r}; there are {', '.join(datasets)}.")
        if not isinstance(asked, list) or not asked:
            raise InputError(f"{path}: [changes] of {name} is to be a list: see docs/benchmarks.md.")
        phantom = phantom_of(datasets[name]["data"])
        for one in asked:
            if phantom is None:
                _check_told(path, name, one)
                continue
            known = CHANGES[phantom.kind]
            if not isinstance(one, str) or any(part not in known for part in one.split("+")):
                raise InputError(
                    f"{path}: {one!r} is no change of {phantom.kind} phantoms: use {', '.join(known)}, or several with +."
                )
        if phantom is not None and phantom.size != size:
            raise InputError(
                f"{path}: the phantoms of {name} are {phantom.size} pixels large and the tiles {size}: for [changes], write "
                f"size={size} in its data."
            )
    return {name: list(asked) for name, asked in given.items()}


def _check_told(path: Path, name: str, one: Any) -> None:
    good = isinstance(one, dict) and set(one) <= set(CHANGE) and all(isinstance(text, str) for text in one.values())
    if not good or not (one.get("prompt") or one.get("instruction")):
        raise InputError(
            f"{path}: nothing is known of changes of {name}, which is no phantom: say each as {{ prompt = '...', "
            "source_prompt = '...', instruction = '...' }."
        )


def read_edits(
    path: Path,
    given: Mapping[str, Any],
    changes: Mapping[str, Any],
    runs: Mapping[str, list[str]],
) -> dict[str, EditRow]:
    """The tables ``[edits.NAME]``; `runs` are the recipes and stages of the bench and the datasets that each has."""
    found = {}
    types = {
        "how": str, "run": str, "prompt": str, "mask": bool, "settings": dict, "sampling": dict, "datasets": list, "seeds": list,
    }  # fmt: skip
    for name, row in given.items():
        if not isinstance(row, dict):
            raise InputError(f"{path}: [edits] {name} is to be a table: see docs/benchmarks.md.")
        for key, value in row.items():
            if key not in types or not isinstance(value, types[key]):
                raise InputError(
                    f"{path}: {key} = {value!r} of the edit {name} cannot be: it may have {', '.join(types)}."
                )
        found[name] = _edit(path, name, row, changes, runs)
    return found


def _edit(
    path: Path, name: str, given: Mapping[str, Any], changes: Mapping[str, Any], runs: Mapping[str, list[str]]
) -> EditRow:  # fmt: skip
    from veridical.editing.hosted import HOWS  # imports torch, which the help of the command line does without

    if "-seed" in name:
        raise InputError(f"{path}: the edit {name!r} cannot be the name of a folder; leave out '-seed'.")
    how, run = given.get("how", name), given.get("run", "")
    if how not in LINES and how not in EDITS:
        raise InputError(f"{path}: the edit {name} goes by {how!r}: use one of {', '.join((*LINES, *EDITS))}.")
    away = run.startswith(AWAY)
    if how == COPY and run:
        raise InputError(f"{path}: the edit {name} copies the source: leave out its run.")
    if how != COPY and not away and run not in runs:
        raise InputError(
            f"{path}: the edit {name} needs run = the name of one of {', '.join(runs) or 'the recipes'}, of hub:FOLDER or "
            "of hosted:MODEL@URL."
        )
    if is_hosted(run) and how not in HOWS:
        raise InputError(
            f"{path}: the edit {name} goes by {how!r}, but a hosted generator has {', '.join(HOWS)}: the others need a run."
        )
    if how in EDITS:
        row = find(how)
        (settings_of if is_hosted(run) else row.parse)(dict(given.get("settings", {})))
        if given.get("mask") and "mask" not in (*row.needs, *row.offers):
            raise InputError(f"{path}: the edit {name} cannot have a mask, as {how} takes none.")
        if "mask" in row.needs and not given.get("mask"):
            raise InputError(f"{path}: the edit {name} goes by a mask: add mask = true.")
        if "second" in row.needs:
            raise InputError(f"{path}: the edit {name} needs a second image, which no bench gives.")
    says = given.get("prompt", "instruction" if how == "instruct_pix2pix" else "caption")
    if says not in SAYS:
        raise InputError(f"{path}: prompt = {says!r} of the edit {name} cannot be: use {' or '.join(SAYS)}.")
    there = [dataset for dataset in changes if away or not run or dataset in runs[run]]
    wanted = given.get("datasets", there)
    for dataset in wanted:
        if not isinstance(dataset, str) or dataset not in changes:
            raise InputError(f"{path}: the edit {name} names {dataset!r}, of which [changes] says nothing.")
        if dataset not in there:
            raise InputError(f"{path}: the edit {name} names {dataset!r}, on which {run} is not trained.")
    if not wanted:
        raise InputError(f"{path}: the edit {name} has no dataset of which [changes] says what is to become.")
    if not all(type(seed) is int and seed >= 0 for seed in given.get("seeds", ())):
        raise InputError(f"{path}: seeds = {given['seeds']!r} of the edit {name} cannot be.")
    place = path.parent / run.removeprefix("hub:")
    if run.startswith("hub:") and run != "hub:" and place.exists():
        run = f"hub:{place.resolve()}"
    return EditRow(
        how, run, says, given.get("mask", False), dict(given.get("settings", {})), dict(given.get("sampling", {})),
        list(wanted), given.get("seeds"),
    )  # fmt: skip
