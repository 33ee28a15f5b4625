"""Runs on disk: safetensors and JSON only, every file written under a temporary name and renamed.

A run is a folder:

========================  ==================================================================================
``run.json``              recipe, arguments, settings, window, dataset fingerprint, stages, versions, cost
``model.safetensors``     averaged (EMA) weights: what sampling uses
``resume.safetensors``    raw weights, averages, optimiser moments, step and time: all that resuming needs
``best.safetensors``      the same of the best preview, where previews are scored
``log.jsonl``             one JSON object a line: step, seconds, losses or a score
``first``                 runs of frozen stages that were trained for this one (several: a folder each)
========================  ==================================================================================

Frozen stages are in no file but their own: ``run.json`` says where that is, and its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from veridical.core.errors import InputError
from veridical.core.files import open_regular, replacing
from veridical.models.contract import Adapted, Staged

BLANK = "0" * 64  # in place of the SHA-256 while it is computed


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> None:
    """Write tensors as safetensors, atomically; `metadata` goes into the header.

    The header has the SHA-256 of the file, too: of all its bytes, with zeros in that one place.
    """
    contiguous = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    content = tensors_to_bytes(contiguous, {**metadata, "sha256": BLANK})
    size = _header_size(content)
    header, rest = _in_order(content[:size]), memoryview(content)[size:]
    whole = hashlib.sha256(header)
    whole.update(rest)
    header = header.replace(_entry(BLANK), _entry(whole.hexdigest()))
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        file.write(rest)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and metadata of a safetensors file.

    Raises
    ------
    InputError
        If the file is missing, damaged (its bytes are not those that were written) or a pickle (which could run code when
        loaded).
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the folder of a finished or started run.")
    with open_regular(path) as stream:
        start = stream.read(9)
        # A safetensors file begins with the length of its header, whose first byte may be a pickle's, and the header's brace.
        if start[8:] != b"{" and (start[:1] == b"\x80" or start[:2] == b"PK"):
            raise InputError(
                f"{path} is a pickle, which may run code when loaded, so it is refused: convert it to safetensors."
            )
    damaged = f"{path} is damaged (%s): restore it or train again."
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "sha256" in metadata and metadata["sha256"] != _content_hash(path, metadata["sha256"]):
                raise InputError(damaged % "its bytes are not those that were written")
            return {k: file.get_tensor(k) for k in file.keys()}, metadata  # noqa: SIM118
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(damaged % error) from error


def _content_hash(path: Path, written: str) -> str:
    """SHA-256 of a file that `write_tensors` wrote, without what it says itself of it."""
    with open_regular(path) as file:
        start = file.read(8)
        header = file.read(_header_size(start) - 8)
        found = hashlib.sha256(start + header.replace(_entry(written), _entry(BLANK)))
        while piece := file.read(2**20):
            found.update(piece)
    return found.hexdigest()


def _in_order(header: bytes) -> bytes:
    """A header whose metadata are sorted: the library writes them in a chance order, and equal runs in other bytes."""
    said = json.loads(header[8:])["__metadata__"]
    mine, ordered = (json.dumps(said, separators=(",", ":"), sort_keys=sort).encode() for sort in (False, True))
    return header.replace(mine, ordered, 1)


def _header_size(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def _entry(value: str) -> bytes:
    return f'"sha256":"{value}"'.encode()


def frozen_names(model: nn.Module) -> set[str]:
    """Names of the tensors of a model's frozen stages, or of its base (see `veridical.models.contract`: Staged, Adapted)."""
    if isinstance(model, Adapted):
        return model.state_dict().keys() - model.adapters
    if not isinstance(model, Staged):
        return set()
    held = {id(module) for stage in model.frozen.values() for module in stage.modules()}  # or a part of a stage
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
    own = model.state_dict()
    if any(own[k].dtype != v.dtype for k, v in mine.items() if k in own):  # which would be converted without a word
        raise refused
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


def unpack_optimiser(
    optimiser: torch.optim.Optimizer,
    tensors: dict[str, torch.Tensor],
    prefix: str,
    kept: Callable[[torch.Tensor], set[str]],
    path: Path,
) -> None:
    """Restore what `pack_optimiser` made; the learning rate and betas stay those of `optimiser`.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
    tensors : dict of str to Tensor
    prefix : str
    kept : callable
        Names of what the optimiser keeps of a parameter.
    path : Path
        Of the file that holds the tensors, for the error.

    Raises
    ------
    InputError
        If the file holds something else.
    """
    full = optimiser.state_dict()
    parameters = optimiser.param_groups[0]["params"]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, _, name = key[len(prefix) :].partition(".")
            # In the layout of the parameter (channels last), which a file does not keep.
            like = parameters[int(index)] if index.isdecimal() and int(index) < len(parameters) else None
            shape = torch.Size() if like is None or name == "step" else like.shape
            if like is None or value.shape != shape or not value.is_floating_point():
                raise InputError(f"{path} does not fit this model (its {key[:60]}): restore it or train again.")
            state.setdefault(int(index), {})[name] = torch.empty_like(like).copy_(value) if value.dim() else value
    for number, found in state.items():
        if found.keys() != kept(parameters[number]):
            raise InputError(f"{path} was written with another optimiser: restore it or train again.")
    full["state"] = state
    optimiser.load_state_dict(full)
