"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import app, say


@app.command(
    epilog="Example:\n\n\b\nveridical export runs/stable_diffusion pipeline\n"
    "python -c 'from diffusers import StableDiffusionPipeline as P; P.from_pretrained(\"pipeline\")'"
)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of the recipe stable_diffusion.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write.")],
    format: Annotated[str, typer.Option(help="diffusers: a folder that StableDiffusionPipeline loads.")] = "diffusers",
) -> None:
    """Write a run as a folder that other libraries load."""
    from veridical.hub.export import export as write

    say(f"{format}: {write(run, out, format=format)}")
