"""The command edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veridical.cli.shell import Download, Seed, app, pairs_of, say
from veridical.core.errors import InputError
from veridical.editing.table import EDITS

ROWS = "\n".join(f"{row.name}: {row.summary}" for row in EDITS.values())


@app.command(
    epilog=f"Ways (--how):\n\n\b\n{ROWS}\n\nExamples:\n\n\b\n"
    "veridical edit runs/text_to_image slices --how sdedit --prompt 'a slice with two cracks' --strength 0.6 --out edited\n"
    "veridical edit runs/text_to_image slices --how inpaint --mask holes --prompt 'no cracks' --out filled\n"
    "veridical edit runs/edm slices --how sdedit --out others\n"
    "veridical edit hub:pipelines/sd15 slices --how inpaint --mask holes --prompt 'grey stone' --out filled\n"
    "veridical edit runs/text_to_image slices --how inpaint --table changes.csv --out edited"
)
def edit(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Run folder of a diffusion system, hub:FOLDER, a pipeline of diffusers, or hosted:MODEL@URL.",
        ),
    ],
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="Images to edit, as large as the run's tiles or larger.")
    ],
    how: Annotated[str, typer.Option(help=f"{', '.join(EDITS)}.")],
    out: Annotated[Path, typer.Option(help="New folder to write, or one that the same command was stopped in.")],
    prompt: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What images shall show; repeatable: several changes.")
    ] = None,
    source_prompt: Annotated[str, typer.Option(metavar="TEXT", help="What images show now.")] = "",
    negative_prompt: Annotated[str, typer.Option(metavar="TEXT", help="What guidance leads away from.")] = "",
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MASKS",
            help="Label images, not 0 where an image may change: one for all, or those with the names of the images; repeatable, "
            "one for each --prompt.",
        ),
    ] = None,
    second: Annotated[str | None, typer.Option(metavar="IMAGES", help="Another image for each, likewise.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="A row an edit: image, and prompt, source_prompt, negative_prompt, mask in place of the options.",
        ),
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How far back to noise, 0 to 1; the same as --set strength=.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Settings of the edit, or of the run's sampling; repeatable."),
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Numbers outside the range of the training images are meant.")
    ] = False,
    download: Download = False,
    seed: Seed = 0,
    batch: Annotated[int, typer.Option(help="Images at a time.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Change images by words, masks or other images; what stands outside a mask stays, to the count."""
    from veridical.editing.folder import edit as write
    from veridical.editing.hosted import edit_hosted
    from veridical.hub.hosted import is_hosted

    settings: dict[str, Any] = dict(pairs_of(set_ or []))
    if strength is not None:
        if "strength" in settings:
            raise InputError("strength is given twice, by --strength and by --set: leave one out.")
        settings["strength"] = strength
    if is_hosted(run):
        for name, value in {
            "source-prompt": source_prompt, "negative-prompt": negative_prompt, "second": second, "extrapolate": extrapolate,
            "download": download,
        }.items():  # fmt: skip
            if value:
                raise InputError(f"--{name} cannot be said to a hosted generator: leave it out.")
        done = edit_hosted(
            run, images, out, how, prompt=prompt, mask=mask, table=table, settings=settings, seed=seed, quiet=quiet
        )
        say(f"edited: {done}")
        return
    if download:
        settings["download"] = "true"
    path = write(
        Path(run), images, out, how, prompt=prompt, source_prompt=source_prompt, negative_prompt=negative_prompt, mask=mask,
        second=second, table=table, settings=settings, extrapolate=extrapolate, seed=seed, batch=batch, device=device,
        quiet=quiet,
    )  # fmt: skip
    say(f"edited: {path}")
