"""The command line: a thin shell over the public functions."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import typer

from veridical.cli.shell import STOPPED, app, say
from veridical.core.errors import InputError, explain
from veridical.core.text import shown

# isort: off
from veridical.cli import (  # noqa: F401  # help lists commands so
    look, words, make, watch, volumes, restore, adapt, edit, share, judge, serve, studio,
)  # fmt: skip
# isort: on

__all__ = ["app", "main"]

# BadParameter is a UsageError is a ClickException, which some versions of typer keep to themselves.
UsageFault: type[Exception] = typer.BadParameter.__mro__[2]


def main() -> None:
    """Run the command; bad input or usage is one sentence and exit code 2."""
    # Threads that wait must sleep: two processes that spin on the same cores slow each other down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of few characters gets escapes, not an error
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except UsageFault as fault:
        text = io.StringIO()
        fault.show(text)  # type: ignore[attr-defined]
        say(text.getvalue().rstrip(), error=True)
        sys.exit(2)
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        words = _in_words(error)
        if words is None or "--debug" in sys.argv:
            raise
        say(f"veridical: {shown(words)}", error=True)  # one line: a line end is part of a name
        sys.exit(2)
    if code == STOPPED:
        with contextlib.suppress(OSError):
            say("veridical: stopped", error=True)
    sys.exit(code if isinstance(code, int) else 0)


def _in_words(error: Exception) -> str | None:
    """What the user can mend; None for anything else."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} {explain(error)}."
    if (
        isinstance(error, MemoryError) or "alloc" in str(error) or "out of memory" in str(error)
    ):  # torch's are RuntimeErrors
        return f"there is not enough memory ({' '.join(str(error).split())}): give a smaller --batch, --size or -n."
    return None
