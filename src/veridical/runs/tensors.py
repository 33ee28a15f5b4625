"""Runs on disk: safetensors and JSON only, every file written under a temporary name and renamed.

A run is a folder:

========================  ==================================================================================
``run.json``              recipe, arguments, settings, window, dataset fingerprint, stages, versions, cost
``model.safetensors``     averaged (EMA) weights: what sampling uses
``resume.safetensors``    raw weights, averages, optimiser moments, step and time: all that resuming needs
``log.jsonl``             one JSON object a line: step, seconds, losses
``first``                 runs of frozen stages that were trained for this one (several: a folder each)
========================  ==================================================================================

Frozen stages are in no file but their own: ``run.json`` says where that is, and its SHA-256.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from veridical.core.errors import InputError
from veridical.core.files import write_bytes
from veridical.models.contract import Staged


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


def frozen_names(model: nn.Module) -> set[str]:
    """Names of the tensors of a model's frozen stages, see `veridical.models.contract.Staged`."""
    if not isinstance(model, Staged):
        return set()
    held = {id(module) for module in model.frozen.values()}
    places = tuple(f"{name}." for name, module in model.named_modules(remove_duplicate=False) if id(module) in held)
    return {name for name in model.state_dict() if name.startswith(places)}


def own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What is saved of a model: all but its frozen stages."""
    frozen = frozen_names(model)
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path, prefix: str = "") -> bool:
    """Load tensors whose names begin with `prefix` into `model`.

    Returns
    -------
    bool
        Whether the file held all of the model: files of before hold frozen stages, too.

    Raises
    ------
    InputError
        If names or shapes do not fit: the file belongs to another model or version.
    """
    refused = InputError(f"{path} does not fit this model: it was written by another version or recipe; train again.")
    mine = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        found = model.load_state_dict(mine, strict=False)
    except RuntimeError as error:
        raise refused from error
    if found.unexpected_keys or not frozen_names(model).issuperset(found.missing_keys):
        raise refused
    return not found.missing_keys


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
