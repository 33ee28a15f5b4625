"""Pictures of a training at work. No picture is worth a training: one that fails is a note."""

from __future__ import annotations

from pathlib import Path

from veridical.core.arrays import Images
from veridical.core.notes import tell
from veridical.data.images import save_png, to_grid

FAILURES = (OSError, ValueError, RuntimeError, MemoryError, ArithmeticError)


def show(path: Path, tiles: Images) -> None:
    """Write tiles (N, C, H, W) in [0, 1] as one picture."""
    try:
        path.parent.mkdir(exist_ok=True)
        save_png(path, to_grid(tiles, columns=4, scale=2))
    except FAILURES as error:
        tell(path, f"not written ({' '.join(str(error).split())})")
