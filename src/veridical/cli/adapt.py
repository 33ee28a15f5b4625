"""The command adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veridical.adapting.table import HOWS
from veridical.cli.shell import STOPPED, app, pairs_of, say
from veridical.core.errors import InputError

ROWS = "\n".join(f"{row.name}: {row.summary}" for row in HOWS.values())


@app.command(
    epilog=f"Ways (--how):\n\n\b\n{ROWS}\n\nExit code 130: stopped; --resume goes on.\n\nExamples:\n\n\b\n"
    "veridical adapt runs/edm tiles --out runs/sandstone\n"
    "veridical adapt runs/edm tiles --set targets=attention,convolutions --set rank=2 --out runs/sandstone\n"
    "veridical adapt runs/dalle3 tiles --how textual_inversion --set word=sandrock --out runs/word\n"
    "veridical adapt hub:pipelines/sd15 tiles --prompt 'a slice of sandstone' --out runs/sandstone\n"
    "veridical adapt hub:pipelines/sd15 tiles --how dreambooth --prompt 'sks rock' --set class_prompt=rock --out runs/rock"
)
def adapt(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run folder of a denoiser, or hub:FOLDER of Stable Diffusion.")
    ],
    data: Annotated[str, typer.Argument(metavar="DATA", help="5 to 50 images or more.")],
    out: Annotated[Path, typer.Option(help="Run folder to write; it refers to its base.")],
    how: Annotated[str, typer.Option(help=f"{', '.join(HOWS)}.")] = "lora",
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What all images are told, in place of captions of their own.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes, in place of steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Tiles in a step.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the way or of training; repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the adaptation in --out.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of new weights, tiles and noise.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Adapt a trained run, or a pipeline of other people, to few images of your own."""
    from veridical.adapting.adapt import adapt as run_it
    from veridical.cli.ending import adapted

    settings: dict[str, Any] = dict(pairs_of(set_ or []))
    flags = {"prompt": prompt, "steps": steps, "minutes": minutes, "batch": batch, "seed": seed, "device": device}
    for name, value in flags.items():
        if value is not None and name in settings:
            raise InputError(f"--set {name} says again what --{name} says: leave one out.")
        if value is not None:
            settings[name] = value
    try:
        folder = run_it(run, data, out, how=how, settings=settings, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        if not (out / "run.json").is_file():  # before it was begun
            raise
        say(f"run: {out}, stopped: add --resume to go on")
        raise typer.Exit(STOPPED) from None
    say(f"run: {folder}")
    say(adapted(folder, prompt))
