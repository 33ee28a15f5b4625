"""A wish to stop (SIGTERM, Ctrl-C), turned into a call instead of a sudden end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator


class Stopped(KeyboardInterrupt):
    """Work that was stopped, and is saved: the message says what goes on with it."""


@contextlib.contextmanager
def on_stop(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` at SIGTERM and SIGINT inside the block; the old handlers come back after it."""
    old = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers
        for name in (signal.SIGTERM, signal.SIGINT):
            old[name] = signal.signal(name, lambda number, frame: action())
    try:
        yield
    finally:
        for name, handler in old.items():
            signal.signal(name, handler)


@contextlib.contextmanager
def left_at_stop(action: Callable[[], None]) -> Iterator[None]:
    """As `on_stop`, and leave the block at once: for what takes long and need not be whole."""
    inside = False

    def leave() -> None:
        nonlocal inside
        action()
        if inside:
            inside = False  # once: a second signal must not interrupt what the block does on its way out
            raise _Left

    with contextlib.suppress(_Left), on_stop(leave):
        try:
            inside = True
            yield
        finally:
            inside = False


class _Left(BaseException):
    """No error that the block could take for one of its own."""
