"""The commands that come after a training, a drawing or a judgement, with their own paths."""

from __future__ import annotations

import shlex
from pathlib import Path

from veridical.recipes.table import find
from veridical.runs.folder import read_run

MINUTES = 20  # of training that `veridical data` suggests


def commands(run: Path) -> list[str]:
    """Draw, score, audit: for a run that is done; nothing for a system that draws no images."""
    info = read_run(run)
    if not find(info.recipe).draws:
        return []
    where, drawn = quoted(run), quoted(f"{run}-samples")
    best = " --best" if info.best is not None and info.best.step < info.cost.steps else ""
    return [f"veridical sample {where} -n 64 --out {drawn}{best}", *judging(run, f"{run}-samples", f"{run}-audit.html")]


def judging(real: str | Path, synth: str | Path, page: str | Path | None = None, train: str | None = None) -> list[str]:
    """Score and audit images that were drawn; `page` is what the audit writes, beside the images if not said."""
    sides = f"{quoted(real)} {quoted(synth)}" + (f" --train {quoted(train)}" if train is not None else "")
    page = page or f"{str(synth).rstrip('/')}-audit.html"
    return [f"veridical score {sides}", f"veridical audit {sides} --html {quoted(page)}"]


def again(run: Path) -> str:
    """Go on with a training that was stopped."""
    info = read_run(run)
    return f"veridical train {info.recipe} {quoted(info.dataset['spec'])} --out {quoted(run)} --resume"


def longer(run: Path) -> str:
    """Train on, to twice the budget, of minutes at least `MINUTES` in all, and past what ended it early."""
    info = read_run(run)
    steps, minutes, patience = info.config.steps, info.config.minutes, info.config.patience
    budget = [f"--steps {2 * steps}"] if steps else []
    budget += [f"--minutes {max(MINUTES, 2 * minutes):g}"] if minutes else []
    budget += ["--patience 0"] if patience else []
    return f"{again(run)} {' '.join(budget)}"


def quoted(text: object) -> str:
    """As a shell takes it."""
    return shlex.quote(str(text))
