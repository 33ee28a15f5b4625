"""Notes: what users should know of their data, said where it is found.

They are warnings of the logger ``veridical``: a script shows them as Python shows any warning of a logger, the command line
prints each once, and what returns them with its result takes them over with `heard`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

LOGGER = logging.getLogger("veridical")


def tell(about: object, text: str) -> None:
    """Say what is to be known about some data, one sentence without its stop."""
    LOGGER.warning("%s", f"note: {about}: {text}")


class Hearer(logging.Handler):
    """Hands each note to a function, once."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._hear, self._heard = hear, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a note."""
        text = record.getMessage()
        if text not in self._heard:
            self._heard.add(text)
            self._hear(text)


@contextlib.contextmanager
def handed(hear: Callable[[str], None]) -> Iterator[None]:
    """Hand what is said inside the block to `hear`, each note once, and to nobody else."""
    before = LOGGER.handlers[:], LOGGER.propagate
    LOGGER.handlers, LOGGER.propagate = [Hearer(hear)], False
    try:
        yield
    finally:
        LOGGER.handlers, LOGGER.propagate = before


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Collect the notes that are said inside the block, without the word ``note``: whoever collects them shows them."""
    notes: list[str] = []
    with handed(lambda text: notes.append(text.removeprefix("note: "))):
        yield notes
