"""A progress bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from veridical.core.text import shown

EVERY = "VERIDICAL_PROGRESS_SECONDS"  # in the environment: seconds between lines, usually 30
SOON = 2.0  # seconds after which a bar comes for what was to be quick
Heard = Callable[[float, str], None]
_HEARS: ContextVar[Heard | None] = ContextVar("hears", default=None)


class Progress:
    """Shows how far a long task is; use as a context manager.

    Parameters
    ----------
    title : str
    quiet : bool
        Show nothing.
    every : float, optional
        Seconds between lines where there is no terminal; by default what the environment says (`EVERY`), or 30.
    done : float
        Share (0 to 1) that was done before, of a task that goes on: the time left goes by what is done now.
    """

    def __init__(self, title: str, quiet: bool = False, every: float | None = None, done: float = 0.0) -> None:
        self._title, self._quiet, self._done = title, quiet, done
        self._every = _seconds() if every is None else every
        self._console = Console(file=sys.stderr, markup=False, highlight=False)
        self._bar: Bar | None = None
        self._hears = _HEARS.get()  # who called what shows this
        self._start = time.monotonic()
        self._last = self._start - max(0.0, self._every - SOON)  # the first line comes soon

    def called(self, title: str) -> None:
        """Give the task another name; before the bar is shown."""
        self._title = title

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

    def update(self, share: float, note: str = "", last: bool = False) -> None:
        """Say that `share` (0 to 1) is done; `note` is shown beside it, in any case if it is the `last` word."""
        if self._hears is not None:
            self._hears(share, note)
        if self._quiet:
            return
        note = shown(note)
        if self._bar is not None:
            self._bar.update(self._task, completed=share, note=note)
        elif time.monotonic() - self._last > self._every or share >= 1 or last:
            self._last = time.monotonic()
            spent = self._last - self._start
            gained = 0.0 if last else share - self._done
            left = f", {spent * (1 - share) / gained:.0f} s left" if gained > 0 else ""
            print(f"{self._title}: {100 * share:.0f} % after {spent:.0f} s{left}  {note}", file=sys.stderr, flush=True)

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()


def _seconds() -> float:
    with contextlib.suppress(ValueError):
        return float(os.environ.get(EVERY, ""))
    return 30.0


def reached(share: float, note: str) -> None:
    """Say within a function that has no bar of its own how far it is: whoever called it within `hearing` is told."""
    if (hears := _HEARS.get()) is not None:
        hears(share, note)


@contextlib.contextmanager
def hearing(hear: Heard) -> Iterator[None]:
    """Hand what is `reached`, or shown by a `Progress`, inside the block to `hear`; what that raises ends the work."""
    token = _HEARS.set(hear)
    try:
        yield
    finally:
        _HEARS.reset(token)


@contextlib.contextmanager
def bar_if_slow(quiet: bool = False) -> Iterator[None]:
    """Show a bar for what is `reached` inside the block, once it takes longer than `SOON`."""
    bar, began, slow = Progress("", quiet), time.monotonic(), False  # outside `hearing`: it tells nobody
    with contextlib.ExitStack() as stack:

        def update(share: float, note: str) -> None:
            nonlocal slow
            if not slow and share < 1 and time.monotonic() - began > SOON:
                bar.called(note)
                stack.enter_context(bar)
                slow = True
            if slow:
                bar.update(share)

        with hearing(update):
            yield
