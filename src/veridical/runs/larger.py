"""Images larger than the tiles that a run was trained on: whether it draws them, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterator

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.diffusion.canvas import Canvas
from veridical.models.contract import Growing
from veridical.runs.run import Run

BUFFERS = 12  # images in single precision that are in memory while one is drawn


def canvas_of(run: Run, size: int | tuple[int, int] | None, periodic: bool, seed: int, batch: int) -> Canvas | None:
    """What images of this size are drawn on; None for tiles as the run was trained on."""
    tile = run.info.size
    height, width = (size, size) if isinstance(size, int) else size or (tile, tile)
    if min(height, width) < tile:
        raise InputError(
            f"size {width}x{height} is less than the tiles that the run was trained on: give at least {tile}x{tile}."
        )
    canvas = Canvas(height, width, tile, periodic, seed, batch)
    if canvas.plain:
        return None
    if not isinstance(run.model, Growing):
        raise InputError(
            f"{run.info.recipe} draws tiles of {tile} x {tile} pixels and nothing else: leave out size and periodic, or use "
            "a diffusion system, such as edm."
        )
    check_cost(f"size {width}x{height}", pixels=height * width, nbytes=BUFFERS * 4 * run.info.channels * height * width)
    return canvas


def at_a_time(batch: int, canvas: Canvas | None) -> int:
    """How many images are drawn together: larger ones take as much memory as so many tiles, or one by one."""
    return batch if canvas is None else max(1, batch * canvas.tile**2 // (canvas.height * canvas.width))


def batches(n: int, batch: int) -> Iterator[range]:
    """Numbers of the images of each batch."""
    return (range(start, min(start + batch, n)) for start in range(0, n, batch))
