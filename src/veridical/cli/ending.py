"""What is said when a training ends or is stopped, and after images were drawn or judged: the commands that come next."""

from __future__ import annotations

from pathlib import Path

from veridical.data.readers.runs import is_run
from veridical.runs.folder import read_run
from veridical.runs.next import again, commands, judging, longer, quoted
from veridical.scoring.table import HEADLINE_SCALE, METRICS


def ended(run: Path) -> str:
    """How a training went, and commands with its own paths."""
    info = read_run(run)
    cost, best = info.cost, info.best
    lines = [f"run: {run}, {cost.steps} steps in {_time(cost.train_seconds)}, previews not counted"]
    if best is not None:
        between = "" if best.low is None else f" [{best.low:.2f}, {best.high:.2f}]"
        lines.append(
            f"{METRICS[best.metric].title} {best.value:.2f}{between} ({HEADLINE_SCALE}) at step {best.step}, the best state"
            f"{', which is the last' if best.step >= cost.steps else ''}: {best.n} samples, {best.tiles} validation tiles"
        )
    elif why := info.dataset.get("unwatched"):
        lines.append(f"previews were not scored: {why}")
    if after := commands(run):
        lines.append(following(after))
    return "\n".join([*lines, *([] if after else [""]), "Longer:", f"  {longer(run)}"])


def following(after: list[str]) -> str:
    """Commands that come next."""
    return "\n".join(["", "Next:", *(f"  {line}" for line in after)])


def drawn(run: str, out: Path) -> str:
    """After images were drawn: judge them against what a run held out; nothing for other generators."""
    return following(judging(run, out)) if is_run(Path(run)) else ""


def adapted(folder: Path, prompt: str | None) -> str:
    """After an adaptation: draw, and judge beside images that it did not learn from."""
    out, words = quoted(f"{folder}-samples"), f" --prompt {quoted(prompt)}" if prompt else ""
    commands = [f"veridical sample {quoted(folder)} -n 64{words} --out {out}", f"veridical audit DATA {out}"]
    return f"{following(commands)}\nDATA: real images that were not adapted to."


def scored(real: str, synth: str, train: str | None) -> str:
    """After a score: ask the audit."""
    return following(judging(real, synth, train=train)[1:])


def audited(real: str, synth: str, train: str | None, verdict: str, page: Path | None) -> str:
    """After an audit: the page with its pictures, and where images of a run fail, the training for longer."""
    lines = [scored(real, synth, train) if page is None else f"page: {page}"]
    if verdict == "fail" and is_run(Path(real)):
        lines += ["", "Longer training may mend it:", f"  {longer(Path(real))}"]
    return "\n".join(lines)


def stopped(run: Path) -> str:
    """How to go on with a training that was stopped."""
    if not (run / "run.json").is_file():  # in a first stage
        return f"run: {run}, stopped; to go on, give the same command again, with --resume"
    steps = read_run(run).cost.steps
    return f"run: {run}, stopped at step {steps}; to go on:\n  {again(run)}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
