"""The command restore."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from veridical.cli.shell import Seed, app, pairs_of, say, show, signature_of
from veridical.core.errors import InputError
from veridical.editing.edit import Edit
from veridical.editing.settings import Settings
from veridical.editing.table import EDITS


def restore(
    run: Path,
    image: str,
    out: Path,
    samples: int,
    spread: Path | None,
    set_: list[str],
    seed: int,
    device: str,
    quiet: bool,
    **flags: Any,
) -> None:
    """Fill masked regions, remove rings or streaks, fill a missing wedge, or draw a missing slice; what was measured is kept."""
    from veridical.editing.files import edit_file

    given = {name: value for name, value in flags.items() if value is not None}
    rows = _restorations()
    asked = [row for row in rows if row.option in given]
    if len(asked) != 1:
        said = " and ".join(f"--{row.option}" for row in asked) or "nothing"
        raise InputError(f"{said} was asked for: give one of {', '.join(f'--{row.option}' for row in rows)}.")
    edit, settings = asked[0], pairs_of(set_)
    for option, value in given.items():
        name = edit.chief if option == edit.option else option
        if option != edit.option and option not in edit.own:
            raise InputError(f"--{option} does not go with --{edit.option}: leave it out.")
        if name in settings:
            raise InputError(f"--set {name} says again what --{option} says: leave one out.")
        settings[name] = value
    needs = {name: settings.pop(name) for name in edit.needs}
    path = edit_file(
        run, image, out, edit.name, needs=needs, settings=settings, samples=samples, spread=spread, seed=seed, device=device,
        quiet=quiet,
    )  # fmt: skip
    say(f"restored: {path}")


def _restorations() -> list[Edit]:
    return [row for row in EDITS.values() if row.task == "restoration"]


def _restore_signature() -> inspect.Signature:
    """Arguments of `restore`: its own, an option for each row of the table, and one for each setting that rows have."""
    own: list[tuple[str, Any, Any]] = [
        (
            "run",
            Annotated[
                Path,
                typer.Argument(
                    help="Run folder of a diffusion system in pixels, such as edm; for --mask hub:FOLDER, too."
                ),
            ],
            inspect.Parameter.empty,
        ),
        (
            "image",
            Annotated[
                str, typer.Argument(metavar="IMAGE", help="One image, larger than the tiles of the run or as large.")
            ],
            inspect.Parameter.empty,
        ),
        (
            "out",
            Annotated[Path, typer.Option(help="Image file to write; a .json of its name says how it was made.")],
            inspect.Parameter.empty,
        ),
    ]
    rows = _restorations()
    for row in rows:
        own.append((row.option, Annotated[str | None, typer.Option(metavar=row.placeholder, help=row.summary)], None))
    chiefs = {row.chief for row in rows}
    for name, field in {name: field for row in rows for name, field in row.own.items() if name not in chiefs}.items():
        text = f"{field.metadata['help']} Usually {field.default}."
        own.append((name, Annotated[str | None, typer.Option(metavar="VALUE", help=text)], None))
    names = ", ".join(field.name for field in dataclasses.fields(Settings))
    own += [
        (
            "samples",
            Annotated[int, typer.Option(help="Draws; the mean of several is closer to the truth but smoother.")],
            1,
        ),
        (
            "spread",
            Annotated[
                Path | None,
                typer.Option(help="Write the standard deviation of the draws, in counts, to this TIFF file."),
            ],
            None,
        ),
        ("set_", Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help=f"{names}; repeatable.")], []),
        ("seed", Seed, 0),
        ("device", Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")], "auto"),
        ("quiet", Annotated[bool, typer.Option("--quiet", help="No progress.")], False),
    ]
    return signature_of(own)


show(restore, _restore_signature())
app.command(
    epilog="Examples:\n\n\b\n"
    "veridical restore runs/edm slice.tif --mask cracks.png --out filled.tif\n"
    "veridical restore runs/edm slice.tif --rings 512,498.5 --out clean.tif\n"
    "veridical restore runs/edm slice.tif --streaks rows --width 8 --out clean.tif\n"
    "veridical restore runs/edm xz.tif --wedge 60 --samples 8 --spread doubt.tif --out whole.tif\n"
    "veridical restore runs/edm slice_004.tif --between slice_006.tif --out slice_005.tif"
)(restore)
