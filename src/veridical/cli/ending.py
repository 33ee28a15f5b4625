"""What is said when a training ends, or is stopped: how it went, and the commands that come next."""

from __future__ import annotations

import shlex
from pathlib import Path

from veridical.recipes.table import find
from veridical.runs.folder import read_run
from veridical.scoring.table import HEADLINE_SCALE, METRICS


def ended(run: Path) -> str:
    """How a training went, and commands with its own paths."""
    info = read_run(run)
    cost, best, where = info.cost, info.best, _said(run)
    lines = [f"run: {run}, {cost.steps} steps in {_time(cost.train_seconds)}"]
    last = best is None or best.step >= cost.steps
    if best is not None:
        between = "" if best.low is None else f" [{best.low:.2f}, {best.high:.2f}]"
        lines.append(
            f"{METRICS[best.metric].title} {best.value:.2f}{between} ({HEADLINE_SCALE}) at step {best.step}, the best state"
            f"{', which is the last' if last else ''}: {best.n} samples, {best.tiles} validation tiles"
        )
    elif why := info.dataset.get("unwatched"):
        lines.append(f"previews were not scored: {why}")
    more = [f"veridical train {info.recipe} {_said(info.dataset['spec'])} --out {where} --resume {_longer(run)}"]
    if not find(info.recipe).draws:
        return "\n".join([*lines, "", "Longer:", *(f"  {line}" for line in more)])
    drawn = _said(f"{run}-samples")
    state = "" if last else " --best"
    commands = [
        f"veridical sample {where} -n 64 --out {drawn}{state}",
        f"veridical score {where} {drawn}",
        f"veridical audit {where} {drawn} --html {_said(f'{run}-audit.html')}",
    ]
    return "\n".join([*lines, "", "Next:", *(f"  {line}" for line in commands), "Longer:", *(f"  {line}" for line in more)])


def stopped(recipe: str, data: str, run: Path) -> str:
    """How to go on with a training that was stopped."""
    if not (run / "run.json").is_file():  # in a first stage
        return f"run: {run}, stopped; to go on, give the same command again, with --resume"
    steps = read_run(run).cost.steps
    command = f"veridical train {recipe} {_said(data)} --out {_said(run)} --resume"
    return f"run: {run}, stopped at step {steps}; to go on:\n  {command}"


def _longer(run: Path) -> str:
    """Twice the budget that a run had."""
    config = read_run(run).config
    return f"--steps {2 * config.steps}" if config.steps else f"--minutes {2 * (config.minutes or 0):g}"


def _said(text: object) -> str:
    return shlex.quote(str(text))


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
