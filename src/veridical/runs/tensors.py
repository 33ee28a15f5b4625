"""Runs on disk: safetensors and JSON only, every file written under a temporary name and renamed.

A run is a folder:

========================  ==================================================================================
``run.json``              recipe, arguments, settings, window, dataset fingerprint, versions, cost
``model.safetensors``     averaged (EMA) weights: what sampling uses
``resume.safetensors``    raw weights, averages, optimiser moments, step and time: all that resuming needs
``log.jsonl``             one JSON object a line: step, seconds, losses
========================  ==================================================================================
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from veridical.core.errors import InputError
from veridical.core.files import write_bytes


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> None:
    """Write tensors as safetensors, atomically; `metadata` goes into the header."""
    contiguous = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    write_bytes(path, tensors_to_bytes(contiguous, metadata))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and metadata of a safetensors file.

    Raises
    ------
    InputError
        If the file is missing, damaged or a pickle (which could run code when loaded).
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the folder of a finished or started run.")
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with the length of its header, whose first byte may be a pickle's, and the header's brace.
    if start[8:] != b"{" and (start[:1] == b"\x80" or start[:2] == b"PK"):
        raise InputError(
            f"{path} is a pickle, which may run code when loaded, so it is refused: convert it to safetensors."
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}): restore it or train again.") from error


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, prefix: str = "") -> None:
    """Load tensors whose names begin with `prefix` into `model`.

    Raises
    ------
    InputError
        If names or shapes do not fit: the file belongs to another model or version.
    """
    try:
        model.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise InputError(
            f"{path} does not fit this model: it was written by another version or recipe; train again."
        ) from error


def pack_optimiser(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, torch.Tensor]:
    """Flatten the state of an optimiser into named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{prefix}{i}.{k}": torch.as_tensor(v) for i, s in state.items() for k, v in s.items()}


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], prefix: str) -> None:
    """Restore what `pack_optimiser` made; the learning rate and betas stay those of `optimiser`."""
    full = optimiser.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, name = key[len(prefix) :].split(".")
            parameter = full["param_groups"][0]["params"][int(index)]
            # In the layout of the parameter (channels last), which a file does not keep.
            like = optimiser.param_groups[0]["params"][parameter]
            state.setdefault(int(index), {})[name] = torch.empty_like(like).copy_(value) if value.dim() else value
    full["state"] = state
    optimiser.load_state_dict(full)
