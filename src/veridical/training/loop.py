"""The one training loop: any model, any number of processes, stopped and resumed at any moment."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from veridical.conditions.delivery import Feed, as_tensors
from veridical.core.batch import Batch, mix
from veridical.core.device import World, memory_format, move, peak_memory_mb, pick_device, seed_step, use_threads
from veridical.core.errors import InputError
from veridical.core.files import write_text
from veridical.core.interrupt import left_at_stop, on_stop
from veridical.core.notes import tell
from veridical.core.pace import first_pace, slowed
from veridical.core.progress import Progress
from veridical.models.contract import Adapted, Model, Paced, Prepared, PreparedWith, Sharing
from veridical.recipes import table
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import Cost, RunInfo
from veridical.runs.folder import changes, write_run
from veridical.training.course import is_best
from veridical.training.events import Events
from veridical.training.optimise import descend, learning_rate, make_optimiser, parameters_of
from veridical.training.preview import show
from veridical.training.state import Average, Log, State
from veridical.training.watch import COST, Watch

Losses = Callable[[Batch, int], Iterator[tuple[str, Tensor]]]  # as `Model.losses`


class TrainingDiverged(InputError):
    """A loss or gradient stopped being a number; the last good checkpoint is kept."""


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
            seed_step(mix(config.seed, state.step, world.rank), device)
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
