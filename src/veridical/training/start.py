"""The start of a training: settings, data and first stages are made ready, or those of a run that goes on are found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from veridical.conditions.delivery import open_data
from veridical.core.batch import mix
from veridical.core.device import use_threads
from veridical.core.errors import InputError
from veridical.core.interrupt import Stopped
from veridical.core.limits import check_cost
from veridical.core.progress import bar_if_slow
from veridical.core.version import __version__
from veridical.recipes import table
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import NOTHING, RunInfo, StageInfo
from veridical.runs.folder import is_finished, look, read_run, resumed, share_budget, training_alone
from veridical.runs.run import load_stage
from veridical.runs.stages import check_words, find_stage, given_places, is_stage, own_place, refer, words_of
from veridical.training.events import writer
from veridical.training.loop import fit


def train(
    recipe: str,
    data: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    first: str | Path | Mapping[str, str | Path] | None = None,
    quiet: bool = False,
    **given: Any,
) -> Path:
    """Train a recipe on a dataset.

    Parameters
    ----------
    recipe : str
        A name in the table of recipes.
    data : str or Path
        What `open_dataset` reads.
    out : str or Path
        The run folder to write.
    resume : bool
        Go on with an interrupted run in `out`; on the CPU its weights end bit-identical to those of an uninterrupted run.
    first : str or Path, or mapping of str to those, optional
        Run folder of the trained first stage, or of some by name; those that are not given are trained in ``out/first``
        (several: in ``out/first/NAME``), with a share of the budget. A run keeps frozen stages by reference.
    quiet : bool
        Show no progress.
    **given
        Training settings (fields of `TrainConfig`) and model arguments.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        Bad input, a folder that holds something else, a full disk.
    TrainingDiverged
        A loss or gradient was not finite; the message names step and part.
    Stopped
        After Ctrl-C or SIGTERM, once the state is saved: ``resume=True`` goes on. A KeyboardInterrupt, so that no later cell of
        a notebook is run.
    """
    out, data = Path(out), str(data)
    row = table.find(recipe)
    config, args = table.settings(recipe, given)
    places = given_places(recipe, first)
    # All of them: a default that changes later must not change this run.
    args = row.arguments() | args
    started = look(out, resume)
    if started is not None:
        if started.recipe != recipe:
            raise InputError(
                f"{out} holds a run of {started.recipe}, not {recipe}: resume that, or choose another --out."
            )
        config, args = resumed(out, started, given, config, args)
    if config.tensorboard:
        writer()  # what is missing is said before anything is read
    if row.own_source:
        if given.get("source"):
            raise InputError(f"{recipe} makes its source of the data: leave out --source.")
        config = config.replace(source=data, source_scale=config.scale)
    if started is None and config.text and not config.tokenizer:
        config = config.replace(tokenizer=words_of(places))
    # A run that goes on has them itself, wherever the run is that they came from.
    opening = config.replace(tokenizer=str(out)) if started is not None and config.tokenizer else config
    with bar_if_slow(quiet):
        opened = open_data(recipe, (*row.needs, *row.learns), data, opening)
    about = opened.describe()
    if started is not None and (why := started.dataset.get("unwatched")):
        about["dataset"]["unwatched"] = why
    known = {} if started is None else {"dataset": started.dataset} | started.conditions
    for which, said in about.items():
        if which in known and known[which].get("fingerprint") != said.get("fingerprint"):
            raise InputError(
                f"{said['spec']} is not the data that {out} was trained on ({which} differs): give the same, or start a new run."
            )
    check_cost(f"batch={config.batch}", nbytes=4 * config.batch * opened.target.channels * config.size**2)
    sizes = opened.sizes()
    args |= {name: sizes[name] for name in row.of_data}
    with training_alone(out):
        if look(out, resume) != started:
            raise InputError(f"{out} was changed by another process just now: look at it, and give the command again.")
        before = {} if started is None else started.stages
        modules, held, rest = _stages(recipe, data, out, config, places, before, quiet)
        for stage in held.values():
            check_words(Path(stage.path), opened.files())
        info = RunInfo(
            __version__, torch.__version__, recipe, args, config, opened.target.channels, config.size,
            opened.target.window, about.pop("dataset"), finished=False, cost=NOTHING, conditions=about, stages=held,
        )  # fmt: skip
        use_threads(config.threads)  # orthogonal first weights depend on their number
        torch.manual_seed(mix(config.seed))
        model = table.build(recipe, opened.target.channels, config.size, args, modules)
        fit(model, opened, rest, out, info, started, quiet=quiet)
    if not is_finished(out):
        raise Stopped(f"{out} is saved: resume=True goes on")
    return out


def _stages(
    recipe: str,
    data: str,
    out: Path,
    config: TrainConfig,
    given: dict[str, Path],
    before: dict[str, StageInfo],
    quiet: bool,
) -> tuple[dict[str, nn.Module], dict[str, StageInfo], TrainConfig]:
    """Trained stages, what ``run.json`` says of them, and what they leave of the budget.

    Stages of a run that is resumed (`before`) are found again, others are trained here unless they are given.
    """
    row = table.find(recipe)
    own = {name: own_place(out, name, row) for name in row.first}
    places = {name: find_stage(out, name, stage, own[name]) for name, stage in before.items() if name not in given}
    for name in before.keys() & given.keys():
        read_run(given[name])  # what is no run is no other stage
        if not is_stage(given[name], before[name]):
            raise InputError(f"{out} was trained with another first stage than {given[name]}: leave out --first.")
    there = given.keys() | {name for name, stage in before.items() if stage.given}
    theirs, config = share_budget(config, {name: s.share for name, s in row.first.items() if name not in there})
    for name, settings in theirs.items():
        if name in places:
            continue
        if is_finished(own[name]):
            with training_alone(own[name]):  # nobody trains it on, and what a kill left there is removed
                pass
        else:
            stage = row.first[name]
            train(stage.recipe, data, own[name], resume=True, quiet=quiet, **settings | stage.args)
    places = own | places | given
    modules = {name: load_stage(folder, config.size) for name, folder in places.items()}
    return modules, {name: refer(out, folder, name in there) for name, folder in places.items()}, config
