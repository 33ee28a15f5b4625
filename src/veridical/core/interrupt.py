"""A wish to stop (SIGTERM, Ctrl-C), turned into a call instead of a sudden end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator


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
