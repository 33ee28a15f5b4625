"""Pictures of a training at work. No picture is worth a training: one that fails is a note."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import as_tensors
from veridical.core.arrays import Images
from veridical.core.batch import ImageNoise
from veridical.core.notes import tell
from veridical.data.images import save_png, to_grid
from veridical.models.contract import Generating, Large

FAILURES = (OSError, ValueError, RuntimeError, MemoryError, ArithmeticError)


def preview(model: nn.Module, cond: Arrays, out: Path, step: int, device: torch.device) -> float:
    """Draw sixteen samples of the averaged weights, always with the same noise and conditions; return the seconds."""
    began = time.monotonic()
    if not isinstance(model, Generating) or isinstance(model, Large):  # which takes minutes an image
        return 0.0
    try:
        with torch.no_grad():
            sampled = model.sample(16, as_tensors(cond, device), ImageNoise(0, range(16), device))
        show(out / "samples" / f"step_{step:07d}.png", ((sampled.clamp(-1, 1) + 1) / 2).cpu().numpy())
    except FAILURES as error:
        tell(out, f"no preview of step {step} ({' '.join(str(error).split())})")
    return time.monotonic() - began


def show(path: Path, tiles: Images) -> None:
    """Write tiles (N, C, H, W) in [0, 1] as one picture."""
    try:
        path.parent.mkdir(exist_ok=True)
        save_png(path, to_grid(tiles, columns=4, scale=2))
    except FAILURES as error:
        tell(path, f"not written ({' '.join(str(error).split())})")
