"""What a run folder tells of a training, read again and again while it is at work: nothing but files of the folder is read."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

import veridical.reporting
from veridical.core.errors import InputError
from veridical.core.files import parse_json
from veridical.core.lock import is_held
from veridical.core.text import shown
from veridical.core.version import __version__
from veridical.recipes.info import RunInfo
from veridical.reporting import svg
from veridical.runs.folder import read_run
from veridical.runs.next import again, commands
from veridical.scoring.table import HEADLINE_SCALE
from veridical.training.course import Point, interval, trend
from veridical.training.state import Line

EVERY = 10  # seconds between two looks
TEMPLATES = Path(veridical.reporting.__file__).parent / "templates"
RECENT = 60.0  # seconds of training that the pace is measured over


class Tail:
    """The lines of a log that grows: what was read once is not read again."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, 0
        self._file: tuple[int, int] | None = None
        self.times: list[tuple[int, float]] = []
        self.losses: dict[str, list[tuple[float, float]]] = {}
        self.points: list[Point] = []

    def read(self) -> None:
        """Read what was added; all of it if it is another file, as after `--resume`."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            now = os.fstat(file.fileno())
            if now.st_size < self._seen or (now.st_dev, now.st_ino) != self._file:
                self.__init__(self._path)  # type: ignore[misc]
            self._file = now.st_dev, now.st_ino
            file.seek(self._seen)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._seen += len(whole)
        for line in whole.splitlines():
            try:
                said: Line = parse_json(line, Line, self._path)
            except InputError:
                continue
            if "score" in said:
                self.points.append(Point(said["step"], said["seconds"], **said["score"]))
            if "loss" in said:
                self.times.append((said["step"], said["seconds"]))
                for part, value in said["loss"].items():
                    self.losses.setdefault(part, []).append((said["seconds"] / 60, value))

    def pace(self) -> float | None:
        """Steps a second in the last minute of training."""
        if len(self.times) < 2:
            return None
        step, now = self.times[-1]
        first = next(k for k, (_, seconds) in enumerate(self.times) if seconds >= now - RECENT)
        then, since = self.times[min(first, len(self.times) - 2)]
        return (step - then) / (now - since) if now > since else None


def at_work(run: Path) -> Path:
    """The run, or its stage that is being trained before it."""
    if (run / "run.json").is_file() or not (run / "first").is_dir():
        return run
    stages = [path.parent for path in (run / "first").rglob("run.json")]
    return max(stages, key=lambda stage: (stage / "run.json").stat().st_mtime, default=run)


def page_of(run: Path, tail: Tail) -> str:
    """The page of a run, with what `tail` has read of its log.

    Raises
    ------
    InputError
        If `run` is no run.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: shown(value, lines=True) if type(value) is str else value,
    )  # fmt: skip
    return environment.get_template("watch.html.j2").render(version=__version__, every=EVERY, **seen(run, tail))


def renewing() -> str:
    """The hash of the script that renews the page, as a policy names it: no other may run."""
    script = (TEMPLATES / "watch.js").read_bytes().removesuffix(b"\n")  # as jinja includes it
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"


def seen(run: Path, tail: Tail) -> dict[str, Any]:
    """What a page says of a run, with what `tail` has read of its log; see `page_of`."""
    info = read_run(run)
    tail.read()
    steps, seconds = tail.times[-1] if tail.times else (info.cost.steps, 0.0)
    share, left = _share(info, steps, seconds, tail.pace())
    finished, work = info.finished, is_held(run)
    return {
        "finished": finished, "name": run.name, "recipe": info.recipe, "data": str(info.dataset.get("spec", "")),
        "percent": 100 if finished else round(100 * share), "state": _state(work, finished), "score": _score(info, tail),
        "best": _best(info), "facts": _facts(tail, steps, seconds, left, info), "score_plot": _score_plot(info, tail),
        "loss_plot": _loss_plot(tail), "grids": _grids(pictures(run)), "next": _next(run, finished, work),
    }  # fmt: skip


def _share(info: RunInfo, steps: int, seconds: float, pace: float | None) -> tuple[float, float | None]:
    """How much is done, and the seconds that are left at this pace."""
    config = info.config
    by_steps = steps / config.steps if config.steps else 0.0
    by_time = seconds / 60 / config.minutes if config.minutes else 0.0
    left = []
    if config.steps and pace:
        left.append((config.steps - steps) / pace)
    if config.minutes:
        left.append(60 * config.minutes - seconds)
    return min(1.0, max(by_steps, by_time)), max(0.0, min(left)) if left else None


def _state(work: bool, finished: bool) -> str:
    if finished:
        return "Done."
    return "At work." if work else "Stopped."


def _next(run: Path, finished: bool, work: bool) -> list[str]:
    if finished:
        return commands(run)
    stage = "first" in (run.name, run.parent.name)  # trained on by the command of its system alone
    return [] if work or stage else [again(run)]


def _score(info: RunInfo, tail: Tail) -> str:
    if tail.points:
        point, going = tail.points[-1], trend(tail.points)
        return (
            f"Distance to real {interval(point)}{f', {going}' if going else ''} ({HEADLINE_SCALE}), at step {point.step}, of "
            f"{point.n} samples."
        )
    if why := info.dataset.get("unwatched"):
        return f"Previews are not scored: {why}."
    if not info.dataset.get("n_validation_tiles"):
        return "Previews are not scored: nothing is set apart for validation."
    return "No score: it ended before its first preview." if info.finished else "No score yet."


def _best(info: RunInfo) -> str:
    if info.best is None:
        return ""
    best = info.best
    between = "" if best.low is None else f" [{best.low:.2f}, {best.high:.2f}]"
    return f"Best state: step {best.step}, {best.value:.2f}{between}, against {best.tiles} validation tiles (best.safetensors)."


def _facts(tail: Tail, steps: int, seconds: float, left: float | None, info: RunInfo) -> list[tuple[str, str]]:
    pace = tail.pace()
    facts = [("step", f"{steps}"), ("time spent", _time(seconds))]
    if left is not None and not info.finished:
        facts.append(("time left", _time(left)))
    if pace:
        facts.append(("pace", f"{pace:.3g} steps a second, {pace * info.config.batch:.3g} tiles a second"))
    return facts


def _score_plot(info: RunInfo, tail: Tail) -> Markup:
    if not tail.points:
        return Markup("")
    x, y, low, high = (
        np.array([value if value is not None else np.nan for value in column], float)
        for column in zip(*((p.seconds / 60, p.value, p.low, p.high) for p in tail.points), strict=True)
    )
    best = next((p for p in tail.points if info.best is not None and p.step == info.best.step), None)
    alt = f"Distance to real from {y[0]:.2f} to {y[-1]:.2f} in {x[-1]:.3g} minutes"
    mark = None if best is None else (best.seconds / 60, "best")
    return Markup(svg.curves({"distance to real": (x, y)}, alt, band=(low, high), mark=mark, level=1.0))


def _loss_plot(tail: Tail) -> Markup:
    lines = {part: svg.thinned(*np.array(values, float).T) for part, values in tail.losses.items()}
    ends = [f"{part} from {y[0]:.3g} to {y[-1]:.3g}" for part, (_, y) in lines.items()]
    return Markup(svg.curves(lines, f"Losses: {'; '.join(ends)}", log=True))


def pictures(run: Path) -> dict[str, Path]:
    """What the page of a run shows, by name: the latest samples, and real tiles."""
    drawn = sorted((run / "samples").glob("step_*.png"))
    found = {path.name: path for path in drawn[-1:]}
    real = run / "samples" / "real.png"
    return found | ({"real.png": real} if real.is_file() else {})


def _grids(files: dict[str, Path]) -> list[dict[str, str]]:
    views = []
    for name in files:
        step = name.removeprefix("step_").removesuffix(".png").lstrip("0") or "0"
        said = "real tiles" if name == "real.png" else f"samples at step {step}, always of the same noise"
        views.append({"file": name, "alt": f"Grid of sixteen {said}", "said": said[0].upper() + said[1:]})
    return views


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"
