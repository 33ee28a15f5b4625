"""The one training loop: any model, any number of processes, stopped and resumed at any moment.

Longer than other files because starting, stepping and saving share one state.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from veridical.conditions.delivery import Feed, as_tensors, open_data
from veridical.core.batch import Batch, mix
from veridical.core.device import World, memory_format, move, peak_memory_mb, pick_device, use_threads
from veridical.core.errors import InputError
from veridical.core.files import write_text
from veridical.core.interrupt import left_at_stop, on_stop
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.core.pace import first_pace, slowed
from veridical.core.progress import Progress, bar_if_slow
from veridical.core.version import __version__
from veridical.models.contract import Adapted, Model, Paced, Prepared, PreparedWith, Sharing
from veridical.recipes import table
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import NOTHING, Cost, RunInfo, StageInfo
from veridical.runs.folder import (
    changes,
    is_finished,
    look,
    read_run,
    resumed,
    share_budget,
    training_alone,
    write_run,
)
from veridical.runs.run import load_stage
from veridical.runs.stages import check_words, find_stage, given_places, is_stage, own_place, refer, words_of
from veridical.training.course import is_best
from veridical.training.events import Events, writer
from veridical.training.optimise import descend, learning_rate, make_optimiser, parameters_of
from veridical.training.preview import show
from veridical.training.state import Average, Log, State
from veridical.training.watch import COST, Watch

Losses = Callable[[Batch, int], Iterator[tuple[str, Tensor]]]  # as `Model.losses`


class TrainingDiverged(InputError):
    """A loss or gradient stopped being a number; the last good checkpoint is kept."""


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
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the state is saved: ``resume=True`` goes on, and no later cell of a notebook is run.
    """
    folder = train_or_stop(recipe, data, out, resume=resume, first=first, quiet=quiet, **given)
    if not is_finished(folder):
        raise KeyboardInterrupt(f"{folder} is saved: resume=True goes on")
    return folder


def train_or_stop(
    recipe: str,
    data: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    first: str | Path | Mapping[str, str | Path] | None = None,
    quiet: bool = False,
    **given: Any,
) -> Path:
    """As `train`, but returns after Ctrl-C or SIGTERM, too; whether the run is finished is in ``run.json``."""
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
        stages = _stages(recipe, data, out, config, places, before, quiet)
        if stages is None:
            return out
        modules, held, rest = stages
        for stage in held.values():
            check_words(Path(stage.path), opened.files())
        info = RunInfo(
            __version__, torch.__version__, recipe, args, config, opened.target.channels, config.size,
            opened.target.window, about.pop("dataset"), finished=False, cost=NOTHING, conditions=about, stages=held,
        )  # fmt: skip
        use_threads(config.threads)  # orthogonal first weights depend on their number
        torch.manual_seed(mix(config.seed))
        model = table.build(recipe, opened.target.channels, config.size, args, modules)
        return fit(model, opened, rest, out, info, started, quiet=quiet)


def _stages(
    recipe: str,
    data: str,
    out: Path,
    config: TrainConfig,
    given: dict[str, Path],
    before: dict[str, StageInfo],
    quiet: bool,
) -> tuple[dict[str, nn.Module], dict[str, StageInfo], TrainConfig] | None:
    """Trained stages, what ``run.json`` says of them, and what they leave of the budget; None where training was stopped.

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
            train_or_stop(stage.recipe, data, own[name], resume=True, quiet=quiet, **settings | stage.args)
        if not is_finished(own[name]):
            return None
    places = own | places | given
    modules = {name: load_stage(folder, config.size) for name, folder in places.items()}
    return modules, {name: refer(out, folder, name in there) for name, folder in places.items()}, config


def fit(
    model: nn.Module,
    data: Feed,
    config: TrainConfig,
    out: Path,
    info: RunInfo,
    started: RunInfo | None = None,
    *,
    losses: Losses | None = None,
    quiet: bool = False,
) -> Path:
    """Minimise the losses of `model` on `data` (see `train`), or others in their place.

    `info` is what ``run.json`` will say, but for the state of training; `started` what it says of a run to go on with.
    """
    device, threads = pick_device(config.device), use_threads(config.threads)
    world = World(device)
    start, stop = world.rows(config.batch)
    if isinstance(model, Sharing) and stop - start < model.critic_steps:
        raise InputError(
            f"critic_steps={model.critic_steps} are shares of a batch: give --batch {model.critic_steps * world.size} or more."
        )
    shares = _shares(world, config.batch, model.critic_steps if isinstance(model, Sharing) else 1)
    model = move(model, device)
    learner = cast(Model, model)
    average = Average(model, config.ema)
    optimisers = {part: make_optimiser(module, config, device) for part, module in learner.parts.items()}
    rates = model.rates if isinstance(model, Paced) else {}
    state = State(out, model, average, optimisers)
    if started is not None:
        begun = started.finished or started.cost.steps > 0
        state.restore(started.cost.steps if begun else None)
    least, most = world.largest(-state.step, state.step)  # nobody writes before all have read
    if -least != most:
        raise InputError(
            f"the processes do not see the same {out} (step {most:.0f} and step {-least:.0f}): choose an --out on a disk that "
            "all machines share."
        )
    clock = time.monotonic() - state.seconds
    saved = drawn = time.monotonic()
    log: Log | None = None

    def cost() -> Cost:
        return Cost(
            parameters=sum(p.numel() for o in optimisers.values() for p in parameters_of(o)),
            steps=state.step,
            batch=config.batch,
            train_seconds=state.seconds - state.aside,
            peak_memory_mb=peak_memory_mb(device),
            device=str(device),
            threads=threads,
            processes=world.size,
            steps_per_second=state.step / seconds
            if state.step and (seconds := state.seconds - state.aside) > 0
            else None,
            first_steps_per_second=first_pace(log.times()) if log is not None else None,
        )

    def save(finished: bool, weights: bool = True) -> None:
        if world.rank:
            return
        if weights:
            state.save()
        write_run(out, info.replace(finished=finished, cost=cost()))

    if started is not None and state.step:
        info = info.replace(best=started.best)
        info = info.replace(resumed=[*started.resumed, *changes(started, info.replace(cost=cost()))])
        if world.rank == 0 and len(info.resumed) > len(started.resumed):
            tell(out, f"{info.resumed[-1]}: its weights will not be those of an uninterrupted run to the bit")

    if state.step == 0:
        # First of all files: a run that is killed from here on can be resumed.
        save(finished=False, weights=False)
        if world.rank == 0:
            for name, content in data.files().items():
                write_text(out / name, content)
        measures = isinstance(model, Prepared | PreparedWith) and not isinstance(model, Adapted)
        for network in (model, average.model) if measures else ():
            tiles, known = data.batch(256, 0, config.seed)
            image = torch.from_numpy(tiles).to(device) * 2 - 1
            if isinstance(network, PreparedWith):
                network.prepare_with(image, as_tensors(known, device))
            else:
                cast(Prepared, network).prepare(image)
        save(finished=False)
    log = Log(out / "log.jsonl", state.step) if world.rank == 0 else None
    if log is not None and log.damaged:
        tell(out / "log.jsonl", f"{log.damaged} damaged lines are left out")
    events = Events(out, state.step) if world.rank == 0 and config.tensorboard else None
    # Sample k of every preview has the conditions of tile k of real.png.
    row = table.RECIPES.get(info.recipe)  # none of other people's pipelines
    first_stage = row is not None and row.task == "first stage"
    watch = Watch(out, data, config, device, log.points if log is not None else [], first_stage)
    if world.rank == 0 and state.step == 0:
        show(out / "samples" / "real.png", watch.shown)

    def look(scored: bool = True) -> None:
        """Preview and score; keep the state if it is the best."""
        nonlocal info
        point = None
        with left_at_stop(interrupt.set):  # nobody waits for samples to be drawn
            point = watch.look(average.model, state.step, state.seconds, scored)
        if point is not None and log is not None:
            log.write_score(point)
            if is_best(watch.points):
                state.save_best()
                info = info.replace(best=watch.best())
        if events is not None:
            events.preview(state.step, point, watch.picture(state.step))

    interrupt = threading.Event()
    state.seconds = time.monotonic() - clock
    progress = Progress(f"train {info.recipe}", quiet or world.rank > 0, done=min(1.0, _share(config, state)))
    with on_stop(interrupt.set), progress:
        while True:
            state.seconds = time.monotonic() - clock
            # A classical model has no parts: it is ready when it is prepared.
            reached = _share(config, state) if optimisers else 1.0
            # Clocks differ between processes: what follows from the time must not.
            reached, halted, enough = world.largest(reached, interrupt.is_set(), 0 < config.patience <= watch.waited)
            if halted or enough or reached >= 1:
                break
            # Dropout and the like: the same whenever this step is run, different in each process.
            torch.manual_seed(mix(config.seed, state.step, world.rank))
            model.train()
            rate = learning_rate(config, state.step, reached)
            values = {}
            try:
                batch = batch_of(data, config, state.step, shares, device, reached)
            except InputError as error:  # a file has changed under it
                raise InputError(f"{error}; {out} keeps the checkpoint of step {state.saved_step}") from error
            for part, loss in (losses or learner.losses)(batch, state.step):
                value = descend(loss, optimisers[part], rate * rates.get(part, 1.0), config.clip, world)
                if not math.isfinite(value):
                    raise TrainingDiverged(
                        f"training diverged at step {state.step + 1}: the loss or gradient of part {part!r} is not "
                        f"finite; {out} keeps the checkpoint of step {state.saved_step}; train again with a "
                        f"smaller --set lr (now {config.lr:g})."
                    )
                values[part] = value
            average.update(state.step)
            state.step += 1
            state.seconds = time.monotonic() - clock
            if log is not None:
                log.write(state.step, state.seconds, values)
            if events is not None:
                events.losses(state.step, values)
            speed = state.step * config.batch / max(state.seconds - state.aside, 1e-9)
            note = ", ".join(f"{part} {value:.4f}" for part, value in values.items())
            progress.update(reached, f"step {state.step}  {note}  {speed:.0f} tiles/s  {watch.said}")
            if world.rank == 0 and time.monotonic() - drawn > max(config.preview_every, watch.pause / COST):
                kept = info.best
                look()
                drawn = time.monotonic()
                state.seconds, state.aside = drawn - clock, state.aside + watch.pause
                if info.best is not kept:  # with the state that it is of
                    save(finished=False)
                    saved = time.monotonic()
            if time.monotonic() - saved > config.save_every:
                save(finished=False)
                saved = time.monotonic()
        save(finished=not halted)
        if world.rank == 0 and config.minutes and (said := slowed(cost().to_json())):
            tell(out, said)
        if world.rank == 0 and not halted:
            # A training that was too short for a score has no time for one at its end.
            look(scored=bool(watch.points) and watch.points[-1].step < state.step)
            save(finished=True, weights=False)
        if log is not None:
            log.close()
        if events is not None:
            events.close()
        world.largest(0)  # nobody goes on before the run is written: a second stage reads it
        if halted:
            progress.update(reached, f"stopped at step {state.step}; resume goes on", last=True)
        else:
            progress.update(1.0, f"done at step {state.step}  {watch.said}")
    return out


def _shares(world: World, batch: int, turns: int) -> list[tuple[int, int]]:
    """Rows of this process in each of the shares of a batch that all processes together take a step on."""
    start, stop = world.rows(batch)
    if world.size == 1 or turns == 1:
        return [(start, stop)]
    size = (stop - start) // turns
    starts = [(turn * world.size + world.rank) * size for turn in range(turns)]
    return [(first, first + size) for first in starts]


def _share(config: TrainConfig, state: State) -> float:
    """How much of a training is over, by its steps or its minutes."""
    return max(state.step / (config.steps or math.inf), state.seconds / 60 / (config.minutes or math.inf))


def batch_of(
    data: Feed, config: TrainConfig, step: int, shares: list[tuple[int, int]], device: torch.device, reached: float
) -> Batch:
    """Of a step, rows that lie in `shares` of it."""
    parts = [data.batch(config.batch, step, config.seed, start, stop) for start, stop in shares]
    tiles, cond = parts[0]
    if len(parts) > 1:
        tiles = np.concatenate([part for part, _ in parts])
        cond = {name: np.concatenate([part[name] for _, part in parts]) for name in cond}
    start = shares[0][0] * len(shares)
    image = (torch.from_numpy(tiles).to(device) * 2 - 1).contiguous(memory_format=memory_format(device))
    told = as_tensors(cond, device)
    return Batch.at(image, told, seed=config.seed, step=step, start=start, total=config.batch, reached=reached)
