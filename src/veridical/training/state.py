"""Training at work: averaged weights, all that resuming needs, the log."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from pydantic import Field
from torch import nn
from typing_extensions import TypedDict

from veridical.core.errors import InputError
from veridical.core.files import check_content, parse_json, read_bytes, write_bytes
from veridical.models.contract import Adapted, Staged
from veridical.recipes.info import LARGEST, Amount, Count
from veridical.runs.tensors import (
    frozen_names,
    load_weights,
    own_tensors,
    pack_optimiser,
    read_tensors,
    unpack_optimiser,
    write_tensors,
)
from veridical.training.course import Point
from veridical.training.optimise import kept_of


class Average:
    """Running average of weights and buffers, whose memory grows with training up to ``1 / (1 - decay)`` steps.

    Frozen stages are not copied, nor what was adapted: model and average share them.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        frozen = model.frozen.values() if isinstance(model, Staged) else ()
        shared: dict[int, object] = {id(module): module for stage in frozen for module in stage.modules()}
        if isinstance(model, Adapted):
            named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
            shared = {id(tensor): tensor for name, tensor in named if name not in model.adapters}
        self.model = copy.deepcopy(model, shared).eval().requires_grad_(False)
        self.decay = decay
        live, mine = own_tensors(model), own_tensors(self.model)
        # The average of the unit vectors of spectral norm is shorter than 1, and would make every layer too strong.
        whole = {k for k, v in live.items() if k.endswith(("._u", "._v")) or not v.is_floating_point()}
        self._averaged = [(v, live[k]) for k, v in mine.items() if k not in whole]
        self._copied = [(v, live[k]) for k, v in mine.items() if k in whole]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step` (0 is the first, which the average copies)."""
        share = 1 - min(self.decay, step / (step + 9))
        torch._foreach_lerp_([a for a, _ in self._averaged], [b for _, b in self._averaged], share)
        for mine, theirs in self._copied:
            mine.copy_(theirs)


class Reached(TypedDict):
    """The header of ``resume.safetensors``; numbers are text there."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012

    step: Annotated[int, Field(ge=0, le=LARGEST)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    aside: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    sha256: NotRequired[str]


Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Scored(TypedDict):
    """What a line of ``log.jsonl`` says of a preview: its distance to real, see `veridical.training.course.Point`."""

    value: Finite
    low: Finite | None
    high: Finite | None
    error: Amount
    n: Count


class Line(TypedDict):
    """A line of ``log.jsonl``: the losses of a step, or the score of the state after it."""

    step: Count
    seconds: Amount
    loss: NotRequired[dict[str, Finite]]
    score: NotRequired[Scored]


class State:
    """What resuming needs, in one file that is always whole."""

    def __init__(
        self, out: Path, model: nn.Module, average: Average, optimisers: dict[str, torch.optim.Optimizer]
    ) -> None:
        self.step = self.saved_step = 0
        self.seconds = self.aside = 0.0
        self._out, self._model, self._average, self._optimisers = out, model, average, optimisers

    def save(self) -> None:
        """Write ``resume.safetensors`` and ``model.safetensors``."""
        tensors = {f"model.{k}": v for k, v in own_tensors(self._model).items()}
        tensors |= {f"average.{k}": v for k, v in own_tensors(self._average.model).items()}
        for part, optimiser in self._optimisers.items():
            tensors |= pack_optimiser(optimiser, f"adam.{part}/")
        numbers = {"step": str(self.step), "seconds": repr(self.seconds), "aside": repr(self.aside)}
        write_tensors(self._out / "resume.safetensors", tensors, **numbers)
        write_tensors(self._out / "model.safetensors", own_tensors(self._average.model), step=str(self.step))
        self.saved_step = self.step

    def save_best(self) -> None:
        """Write ``best.safetensors``: the averaged weights of now."""
        write_tensors(self._out / "best.safetensors", own_tensors(self._average.model), step=str(self.step))

    def restore(self, made: int | None = None) -> None:
        """Read what `save` wrote.

        Parameters
        ----------
        made : int, optional
            Steps that ``run.json`` says were made. By default it says that none was: then the file may be missing.

        Raises
        ------
        InputError
            If the file is missing, damaged, older than the run or of another one. Nothing has been changed then.
        """
        path = self._out / "resume.safetensors"
        if not path.is_file():
            if made is None:
                return
            raise InputError(
                f"{path} is missing, without which the training of {made} steps cannot go on: restore it, or choose another "
                "--out; `veridical sample` still draws from the run."
            )
        tensors, numbers = read_tensors(path)
        reached: Reached = check_content(numbers, Reached, f"{path}, header")
        known = ("model.", "average.", *(f"adam.{part}/" for part in self._optimisers))
        if strange := [name for name in tensors if not name.startswith(known)]:
            raise InputError(f"{path} holds something unknown ({strange[0][:60]}): restore it or train again.")
        if reached["step"] < (made or 0):
            raise InputError(
                f"{path} is of step {reached['step']}, but {made} steps were made: restore the file of the same time as run.json."
            )
        self._refuse_other_stages(tensors)
        load_weights(self._model, tensors, path, "model.")
        load_weights(self._average.model, tensors, path, "average.")
        for part, optimiser in self._optimisers.items():
            unpack_optimiser(optimiser, tensors, f"adam.{part}/", partial(kept_of, optimiser), path)
        self.step = self.saved_step = reached["step"]
        self.seconds, self.aside = reached["seconds"], reached["aside"]

    def _refuse_other_stages(self, tensors: dict[str, torch.Tensor]) -> None:
        """Of runs of before no hash is known, but they hold the weights of their first stage."""
        live = self._model.state_dict()
        for name in frozen_names(self._model):
            kept = tensors.get(f"model.{name}")
            if kept is not None and not torch.equal(kept, live[name].cpu()):
                raise InputError(f"{self._out} was trained with another first stage: give the --first that it had.")


class Log:
    """Losses and scores as one JSON object a line; lines past the step that is resumed, and those that are none, are dropped.

    Attributes
    ----------
    damaged : int
        How many lines were none, without the last, which a kill may cut.
    points : list of Point
        Scores of the lines that were kept.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept, self.damaged = [], 0
        self.points: list[Point] = []
        lines = read_bytes(path).splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                said: Line = parse_json(line, Line, path)
            except InputError:
                self.damaged += number < len(lines)
                continue
            if said["step"] <= step:
                kept.append(line + b"\n")
                if "score" in said:
                    self.points.append(Point(said["step"], said["seconds"], **said["score"]))
        write_bytes(path, b"".join(kept))
        self._path, self._file = path, path.open("a", encoding="utf-8", buffering=1)

    def write(self, step: int, seconds: float, losses: dict[str, float]) -> None:
        """Add a line."""
        if losses:
            values = {part: float(f"{value:.6g}") for part, value in losses.items()}
            self._add({"step": step, "seconds": round(seconds, 2), "loss": values})

    def write_score(self, point: Point) -> None:
        """Add a line for the score of a preview."""
        names = ("value", "low", "high", "error")
        score = {k: None if (v := getattr(point, k)) is None else float(f"{v:.6g}") for k in names}
        self._add({"step": point.step, "seconds": round(point.seconds, 2), "score": score | {"n": point.n}})

    def _add(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(
                f"{self._path} could not be written ({error.strerror or error}): free some space, and go on with --resume."
            ) from error

    def times(self) -> Iterator[tuple[int, float]]:
        """Step and seconds of each line of losses, first to last."""
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                said = json.loads(line)
                if "loss" in said:
                    yield said["step"], said["seconds"]

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what could not be written was said before
            self._file.close()
