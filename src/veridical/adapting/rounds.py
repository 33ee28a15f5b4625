"""Training towards a reward in rounds, which ends where what is held out becomes worse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from torch import nn

from veridical.conditions.delivery import Feed
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import read_bytes, write_bytes
from veridical.core.notes import tell
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import RunInfo
from veridical.runs.folder import read_run, write_run
from veridical.training.loop import Losses, fit

# Of drawn images: the reward, and the share that passes the defects that are held out.
Looks = Callable[[Images], tuple[float, float]]


def train_in_rounds(
    model: nn.Module,
    feed: Feed,
    config: TrainConfig,
    out: Path,
    info: RunInfo,
    losses: Losses,
    draws: Callable[[Path | None], Images],
    looks: Looks,
    *,
    rounds: int,
    tolerance: float,
    quiet: bool,
) -> None:
    """Train, look at drawn images after each round, and keep the weights of the round with the highest reward.

    Training ends early, and no later round is kept, once the share of images that passes what is held out has fallen by more
    than `tolerance` below that of the base. ``run.json`` has the curve of both.

    Parameters
    ----------
    model, feed, config, out, info, losses
        See `veridical.training.loop.fit`.
    draws : callable
        Images of the run in a folder; of None those of the base.
    looks : callable
    rounds : int
        At most one a step.
    tolerance : float
    quiet : bool

    Raises
    ------
    InputError
        If what is held out is worse after the first round.
    """
    assert info.adapted is not None and config.steps is not None
    curve = [dict(zip(("steps", "reward", "held_out"), (0, *looks(draws(None))), strict=True))]
    best: tuple[float, int, bytes] | None = None
    rounds = min(rounds, config.steps)
    for number in range(1, rounds + 1):
        part = config.replace(steps=round(config.steps * number / rounds))
        started = read_run(out) if number > 1 else None
        fit(model, feed, part, out, info.replace(config=part), started, losses=losses, quiet=quiet)
        if not read_run(out).finished:
            return
        reward, held = looks(draws(out))
        curve.append({"steps": part.steps or 0, "reward": reward, "held_out": held})
        tell(out, f"after {part.steps} steps the reward is {reward:.3g} and {100 * held:.0f} % pass what is held out")
        if held < curve[0]["held_out"] - tolerance:
            break
        if best is None or reward > best[0]:
            best = reward, part.steps or 0, read_bytes(out / "model.safetensors")
    (out / "resume.safetensors").unlink(missing_ok=True)  # of the last round, which need not be the one that is kept
    done = read_run(out)
    found = {"curve": curve, "kept": best[1] if best else None}
    done = done.replace(config=config, adapted=dataclasses.replace(info.adapted, found=info.adapted.found | found))
    if best is None:
        write_run(out, done.replace(finished=False))
        raise InputError(
            f"{out}: what is held out became worse in the first round: give a smaller --set lr, or a larger --set beta or "
            "--set keep."
        )
    if best[0] < curve[0]["reward"]:
        tell(
            out, f"the reward of what is kept, {best[0]:.3g}, is lower than that of the base, {curve[0]['reward']:.3g}"
        )
    write_bytes(out / "model.safetensors", best[2])
    write_run(out, done.replace(cost=dataclasses.replace(done.cost, steps=best[1])))
