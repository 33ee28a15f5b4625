"""Where tensors live, how many threads work on them, and the processes that train together."""

from __future__ import annotations

import atexit
import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from veridical.core.errors import InputError


def process_number(name: str, default: int) -> int:
    """A number that torchrun tells its processes in the environment: ``RANK``, ``WORLD_SIZE``, ...

    Raises
    ------
    InputError
        If something else stands there.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise InputError(
            f"{name}={text[:40]} in the environment is no number of processes: unset it, or start with torchrun."
        )
    return int(text)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; ``auto`` is CUDA, else MPS, else the CPU.

    Raises
    ------
    InputError
        If that device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # "meta" has no values
    except (RuntimeError, AssertionError, ImportError, ValueError, TypeError) as error:
        raise InputError(f"device {name!r} is not available here: use auto or cpu.") from error
    return device


def use_threads(threads: int = 0) -> int:
    """Set the number of CPU threads and return it.

    0 is as many as OMP_NUM_THREADS in the environment says, else as there are processors for this process. Processes of
    torchrun, which sets that to 1 itself, share the processors.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = max(1, process_number("LOCAL_WORLD_SIZE", 1))
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # further numbers are of nested loops
    if processes == 1 and said.isascii() and said.isdecimal() and int(said[:6]) > 0:
        available = min(available, int(said[:6]))
    count = threads or max(1, available // processes)
    torch.set_num_threads(count)
    return count


def seed_step(seed: int, device: torch.device) -> None:
    """Seed what a step on a device draws, as `torch.manual_seed` would: where only the CPU works, in a thousandth of its time.

    That seeds GPUs, too, which are there or not, and for this formats the stack of calls, a millisecond of each step.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of weights and images: channels last, which few channels at many places gain by (`benchmarks/cpu.py`)."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def move(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a module to a device, in the layout of `memory_format`, but for filters of volumes, which gain nothing by it."""
    moved = module.to(device)
    for tensor in (*moved.parameters(), *moved.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=memory_format(device))
    return moved


def peak_memory_mb(device: torch.device) -> float | None:
    """Largest memory that this process has held: on the GPU where there is one, else resident; None where Python cannot say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def average_over_processes(x: Tensor) -> Tensor:
    """Mean of a tensor over the processes that train together: for what a model measures beside its gradients."""
    if not dist.is_initialized():
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / dist.get_world_size()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


class World:
    """The processes that work together; one where torchrun did not start several.

    Parameters
    ----------
    device : torch.device
    patience : timedelta, optional
        How long one waits for another; usually PyTorch's own.
    """

    def __init__(self, device: torch.device, patience: timedelta | None = None) -> None:
        self.size, self.rank = process_number("WORLD_SIZE", 1), process_number("RANK", 0)
        self.device = device
        if not self.rank < self.size:
            raise InputError(
                f"RANK={self.rank} and WORLD_SIZE={self.size} do not fit: unset them, or start with torchrun."
            )
        if self.size > 1 and not dist.is_initialized():
            # Optimisers import it, and imported after the group it keeps the group, and so gloo's threads, for ever.
            import torch.distributed.nn.functional  # noqa: F401

            try:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
            except ValueError as error:  # the address of the first process is missing
                raise InputError(
                    f"WORLD_SIZE={self.size}, but the processes cannot meet ({error}): start with torchrun."
                ) from error
            # At the interpreter's end gloo's threads now and then abort a process that has done its work.
            atexit.register(_leave)

    def rows(self, batch: int) -> tuple[int, int]:
        """First and last row of this process in a batch."""
        if batch % self.size:
            raise InputError(
                f"batch={batch} does not divide among {self.size} processes: choose a multiple of {self.size}."
            )
        share = batch // self.size
        return self.rank * share, (self.rank + 1) * share

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their average over processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def largest(self, *numbers: float) -> list[float]:
        """The largest of every number over processes: what they have to agree on. None goes on before all have come here."""
        if self.size == 1:
            return list(numbers)
        return self._reduced(numbers, dist.ReduceOp.MAX)

    def total(self, *numbers: float) -> list[float]:
        """The sum of every number over processes; as `largest`."""
        return list(numbers) if self.size == 1 else self._reduced(numbers, dist.ReduceOp.SUM)

    def _reduced(self, numbers: tuple[float, ...], how: dist.ReduceOp.RedOpType) -> list[float]:
        told = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        try:
            dist.all_reduce(told, how)
        except RuntimeError as error:
            raise InputError(
                "another of the processes that work together has ended: see what it said, and give the same command again."
            ) from error
        return told.tolist()
