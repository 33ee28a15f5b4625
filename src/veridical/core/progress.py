"""A progress bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from veridical.core.text import shown


class Progress:
    """Shows how far a long task is; use as a context manager.

    Parameters
    ----------
    title : str
    quiet : bool
        Show nothing.
    every : float
        Seconds between lines where there is no terminal.
    done : float
        Share (0 to 1) that was done before, of a task that goes on: the time left goes by what is done now.
    """

    def __init__(self, title: str, quiet: bool = False, every: float = 30.0, done: float = 0.0) -> None:
        self._title, self._quiet, self._every, self._done = title, quiet, every, done
        self._console = Console(file=sys.stderr, markup=False, highlight=False)
        self._bar: Bar | None = None
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        if not self._quiet and self._console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
            )
            self._bar = Bar(
                *columns,
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=1.0, note="")
            self._bar.update(self._task, completed=self._done)
        return self

    def update(self, share: float, note: str = "") -> None:
        """Say that `share` (0 to 1) is done; `note` is shown beside it."""
        if self._quiet:
            return
        note = shown(note)
        if self._bar is not None:
            self._bar.update(self._task, completed=share, note=note)
        elif time.monotonic() - self._last > self._every or share >= 1:
            self._last = time.monotonic()
            spent = self._last - self._start
            left = f", {spent * (1 - share) / gained:.0f} s left" if (gained := share - self._done) > 0 else ""
            print(f"{self._title}: {100 * share:.0f} % after {spent:.0f} s{left}  {note}", file=sys.stderr, flush=True)

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
