"""The commands caption and find."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import Json, Seed, app, check_outputs, pairs_of, say, say_table, write_json
from veridical.core.errors import InputError


@app.command(
    epilog="Examples:\n\n\b\n"
    'veridical caption scans --name 0=pores --name 2="dense minerals" --out scans/captions.jsonl\n'
    "veridical caption scans --name 0=pores --tiles 64 --out tiles64         (tiles64 is then DATA of a training)\n"
    "veridical caption scans --column temperature --subject 'microCT slice of sandstone' --out captions.jsonl"
)
def caption(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Images, with label images in masks/ if there are any.")],
    out: Annotated[Path, typer.Option(help="File of JSON lines to write; with --tiles a new folder.")],
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE=WORDS",
            help="What a value of the label images is, in the plural if one connected part is one thing: 0=pores, 2=clay; "
            "repeatable. Others are then not spoken of; without any, classes are class-zero, class-one.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of labels.csv or properties.csv that is said, too; repeatable."),
    ] = None,
    subject: Annotated[str, typer.Option(help="What the images show: the beginning of captions.")] = "image",
    captions: Annotated[int, typer.Option(help="Captions of an image.")] = 4,
    tiles: Annotated[
        int,
        typer.Option(
            help="Write tiles of so many pixels, with label images and captions that are true of each tile, into a folder that "
            "is then DATA; 0: caption whole images."
        ),
    ] = 0,
    split: Annotated[str | None, typer.Option(help="With --tiles, as in training: a CSV file, or none.")] = None,
    hold_out: Annotated[int, typer.Option(min=0, help="With --tiles, as in training: images to hold out.")] = 0,
    seed: Seed = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Captions of real images from what is measured on them: label images, tables, or grey levels."""
    from veridical.captioning.caption import caption as write

    names = {_value(text): words for text, words in pairs_of(name or [], "--name", "WORDS").items()}
    path = write(
        data, out, names=names, columns=column or (), subject=subject, captions=captions, tiles=tiles, split=split,
        hold_out=hold_out, seed=seed, quiet=quiet,
    )  # fmt: skip
    say(f"{'tiles and captions' if tiles else 'captions'}: {path}")


def _value(text: str) -> int:
    """A label value: a number, or a colour such as #ff0000."""
    from veridical.data.readers.labelset import BLACK

    digits = text.strip()
    if digits.isascii() and digits.isdecimal() and len(digits) < 9:
        return int(digits)
    try:
        if digits.startswith("#") and len(digits) == 7:
            return BLACK + int(digits[1:], 16)
    except ValueError:
        pass
    raise InputError(f"--name {text}=... is no value of a label image: write --name 2=clay, or --name '#ff0000=clay'.")


@app.command(
    epilog="Examples:\n\n\b\n"
    'veridical find scans "three cracks, no binder" --clip runs/clip\n'
    'veridical find core.tif "high porosity" --clip runs/clip --top 64 --picture found.png --json found.json'
)
def find(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Images to search.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A sentence in words of the captions of --clip.")],
    clip: Annotated[Path, typer.Option(metavar="RUN", help="Run folder of the recipe clip.")],
    top: Annotated[int, typer.Option(help="How many images.")] = 16,
    picture: Annotated[Path | None, typer.Option(help="Write a grid of the best tiles here (PNG).")] = None,
    json_file: Json = None,
    batch: Annotated[int, typer.Option(help="Tiles at a time.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Search images by words with a trained clip; of larger images the best tile is named."""
    import numpy as np
    from rich.table import Table

    from veridical.core.text import shown
    from veridical.data.images import save_png, to_grid
    from veridical.runs.find import find as search

    check_outputs(picture, json_file, inputs=(data, clip))
    found = search(data, text, clip, top=top, batch=batch, device=device, quiet=quiet)
    table = Table("image", "top", "left", "clipscore_domain", box=None, padding=(0, 1))
    for each in found:
        table.add_row(shown(each.name), str(each.top), str(each.left), f"{each.score:.3f}")
    rows = [{"name": each.name, "top": each.top, "left": each.left, "clipscore_domain": each.score} for each in found]
    write_json(json_file, {"data": data, "text": text, "clip": str(clip), "found": rows})
    if picture is not None:
        save_png(picture, to_grid(np.stack([each.tile for each in found]), scale=2))
    say_table(table)
    if picture is not None:
        say(f"picture: {picture}")
