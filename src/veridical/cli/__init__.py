"""The command line: a thin shell over the public functions."""

from __future__ import annotations

import os
import sys

from veridical.cli.shell import app
from veridical.core.errors import InputError, explain

# isort: off
from veridical.cli import look, make, judge  # noqa: F401  # help lists commands in this order
# isort: on

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; bad input or usage is one sentence and exit code 2."""
    # Threads that wait must sleep: two processes that spin on the same cores slow each other down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (InputError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        text = str(error)
        if isinstance(error, OSError):
            text = f"{error.filename or 'a file'} {explain(error)}."
        print(f"veridical: {text}", file=sys.stderr)
        sys.exit(2)
