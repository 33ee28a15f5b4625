"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import app, say


@app.command(
    epilog="Example:\n\n\b\nveridical export runs/stable_diffusion pipeline --licence CC-BY-4.0 --author 'A. Name'\n"
    "python -c 'from diffusers import StableDiffusionPipeline as P; P.from_pretrained(\"pipeline\")'"
)
def export(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Run folder of stable_diffusion, or a plain ddpm."),
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write.")],
    format: Annotated[str, typer.Option(help="diffusers: a folder that one of its pipelines loads.")] = "diffusers",
    licence: Annotated[str, typer.Option(help="Of the weights, as SPDX names it: CC-BY-4.0, Apache-2.0.")] = "",
    author: Annotated[list[str] | None, typer.Option(help="Who made it; repeatable.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="For the model card: what `veridical score --json` wrote; by default the bench's."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="Likewise: what `veridical audit --json` wrote; by default the bench's.")
    ] = None,
) -> None:
    """Write a run as a folder that other libraries load, with a model card."""
    from veridical.hub.export import export as write

    made = write(run, out, format=format, licence=licence, authors=author or (), scores=scores, audit=audit)
    say(f"{format}: {made}")
