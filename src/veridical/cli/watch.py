"""The command watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import app, say


@app.command(
    epilog="The page shows the distance to real, losses, the latest samples, the pace and the time left, and renews itself. It "
    "reads the run folder alone, and only this machine can see it.\n\nExample: veridical watch runs/edm"
)
def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, of a training at work or one that is over.")],
    port: Annotated[int, typer.Option(help="0 is a free one.", min=0, max=65535)] = 0,
) -> None:
    """A live page of a training, in the browser of this machine."""
    from veridical.server.watch import watch as serve

    serve(run, port, say)
