"""Losses, scores and grids as event files that TensorBoard reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.scoring.table import HEADLINE, METRICS
from veridical.training.course import Point

FOLDER = "tensorboard"  # of the run


class Events:
    """Writes what ``log.jsonl`` and ``samples/`` have, once more.

    Parameters
    ----------
    run : Path
    step : int
        Of a training that goes on: later events of before are left out by TensorBoard.

    Raises
    ------
    InputError
        If the package is not there.
    """

    def __init__(self, run: Path, step: int) -> None:
        self._writer: Any = writer()(str(run / FOLDER), purge_step=step + 1)

    def losses(self, step: int, losses: Mapping[str, float]) -> None:
        """The losses of a step."""
        for part, value in losses.items():
            self._writer.add_scalar(f"loss/{part}", value, step)

    def preview(self, step: int, point: Point | None, picture: Path) -> None:
        """A preview and its score."""
        if point is not None:
            self._writer.add_scalar(f"score/{METRICS[HEADLINE].title.replace(' ', '_')}", point.value, step)
            if point.low is not None and point.high is not None:
                self._writer.add_scalar("score/low", point.low, step)
                self._writer.add_scalar("score/high", point.high, step)
        if picture.is_file():
            import numpy as np
            from PIL import Image

            with Image.open(picture) as opened:
                pixels = np.asarray(opened)
            self._writer.add_image("samples", pixels, step, dataformats="HW" if pixels.ndim == 2 else "HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def writer() -> Any:
    """The class that writes events; an `InputError` says what to install."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        if not (error.name or "").startswith(("tensorboardX", "google")):
            raise
        raise InputError("--tensorboard needs one more package: install veridical[tensorboard].") from None
    return SummaryWriter
