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

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from .errors import InputError

FORMAT = 2
# What run.json says of every run, and of what type.
CONTENT = {
    "recipe": str, "args": dict, "config": dict, "channels": int, "size": int, "window": dict, "dataset": dict,
    "finished": bool, "cost": dict,
}  # fmt: skip
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".p")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it to `path`, on failure remove it.

    Raises
    ------
    InputError
        If the disk is full or not writable; what stood at `path` is untouched.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}): free some space or choose another "
            "folder; what was there before is kept."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically (NaN is refused)."""
    text = json.dumps(content, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; an `InputError` names a file that is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: it was damaged or is not what it should be.") from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> None:
    """Write tensors as safetensors, atomically; `metadata` goes into the header."""
    contiguous = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(tensors_to_bytes(contiguous, metadata))


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


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read ``run.json`` of a run folder.

    Raises
    ------
    InputError
        If `folder` is no run, is a pickle, was written in a format that this version does not read, or lacks something.
    """
    folder = Path(folder)
    if folder.suffix in PICKLES or (folder.is_dir() and any(p.suffix in PICKLES for p in folder.iterdir())):
        raise InputError(
            f"{folder} is or holds a pickle, which may run code when loaded, so it is refused: give a run folder "
            "with run.json and model.safetensors."
        )
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder} is not a run: it has no run.json (train one with `veridical train`).")
    run = read_json(folder / "run.json")
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        version = run.get("version", "an unknown version") if isinstance(run, dict) else "an unknown version"
        raise InputError(
            f"{folder} was written by veridical {version} in another format: use that version, or train again."
        )
    for name, kind in CONTENT.items():
        if not isinstance(run.get(name), kind):
            raise InputError(f"{folder / 'run.json'} does not say {name!r}: it was damaged; restore it or train again.")
    return run


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
