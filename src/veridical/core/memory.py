"""Memory that is free, and what weights will take of it, before they are loaded."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from veridical.core.errors import InputError
from veridical.core.files import open_regular


def numbers_in(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header.

    Raises
    ------
    InputError
        If it is none, or was cut short.
    """
    open_regular(path).close()
    try:
        with safe_open(path, "pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(
            f"{path} is damaged, cut short or not what its name says: copy or download it again."
        ) from error


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be allocated on a device; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with contextlib.suppress(OSError, ValueError, KeyError):  # of a container
        free.append(_free_of(Path("/sys/fs/cgroup")))
    return max(0, min(free)) if free else None


def _free_of(group: Path) -> int:
    """Bytes that a control group of Linux may still take; files that it read and the kernel can drop count as free."""
    limit, held = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    kinds = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return limit - held + int(kinds["inactive_file"])


def check_memory(name: object, parts: Iterable[tuple[torch.device, int]], remedy: str) -> None:
    """Refuse weights that do not fit, `parts` being devices and bytes on them.

    Raises
    ------
    InputError
        Says how much is needed and how much there is.
    """
    needed: dict[torch.device, int] = {}
    for device, nbytes in parts:
        needed[device] = needed.get(device, 0) + nbytes
    for device, nbytes in needed.items():
        free = free_memory(device)
        if free is not None and nbytes > free:
            raise InputError(
                f"{name} needs {nbytes / 2**30:.1f} GiB of memory for its weights on {device}, where "
                f"{free / 2**30:.1f} GiB are free: {remedy}."
            )
