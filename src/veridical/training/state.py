"""Training at work: averaged weights, all that resuming needs, the log."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path

import torch
from torch import nn

from veridical.core.errors import InputError
from veridical.core.files import write_text
from veridical.models.contract import Staged
from veridical.runs.tensors import (
    frozen_names,
    load_weights,
    own_tensors,
    pack_optimiser,
    read_tensors,
    unpack_optimiser,
    write_tensors,
)


class Average:
    """Running average of weights and buffers, whose memory grows with training up to ``1 / (1 - decay)`` steps.

    Frozen stages are not copied: model and average share them.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        frozen = model.frozen.values() if isinstance(model, Staged) else ()
        shared = {id(module): module for stage in frozen for module in stage.modules()}
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

    def restore(self) -> None:
        """Read what `save` wrote, if there is something."""
        path = self._out / "resume.safetensors"
        if not path.is_file():
            return
        tensors, numbers = read_tensors(path)
        self._refuse_other_stages(tensors)
        load_weights(self._model, tensors, path, "model.")
        load_weights(self._average.model, tensors, path, "average.")
        for part, optimiser in self._optimisers.items():
            unpack_optimiser(optimiser, tensors, f"adam.{part}/")
        self.step = self.saved_step = int(numbers["step"])
        self.seconds, self.aside = float(numbers["seconds"]), float(numbers["aside"])

    def _refuse_other_stages(self, tensors: dict[str, torch.Tensor]) -> None:
        """Of runs of before no hash is known, but they hold the weights of their first stage."""
        live = self._model.state_dict()
        for name in frozen_names(self._model):
            kept = tensors.get(f"model.{name}")
            if kept is not None and not torch.equal(kept, live[name].cpu()):
                raise InputError(f"{self._out} was trained with another first stage: give the --first that it had.")


class Log:
    """Losses as one JSON object a line; lines past the step that is resumed are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # a line cut short by a kill
                    if json.loads(line)["step"] <= step:
                        kept.append(line + "\n")
        write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, step: int, seconds: float, losses: dict[str, float]) -> None:
        """Add a line."""
        if losses:
            values = {part: float(f"{value:.6g}") for part, value in losses.items()}
            self._file.write(json.dumps({"step": step, "seconds": round(seconds, 2), "loss": values}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
