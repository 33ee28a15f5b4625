"""What the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from veridical.core.errors import InputError
from veridical.core.version import __version__

app = typer.Typer(
    name="veridical",
    help="Train, run and validate image generators on scientific images.\n\n"
    "DATA, REAL and SYNTH: a folder of images, a multi-page TIFF, file.h5:/path, a Zarr store, file.npy, "
    "phantom:rocks, skimage:gravel.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out_console = Console()

Seed = Annotated[int, typer.Option(help="Same seed, same images.")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON to this file.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Train, run and validate image generators on scientific images."""


def pairs_of(items: list[str], flag: str = "--set", what: str = "VALUE") -> dict[str, str]:
    """Names and values of ``NAME=VALUE`` texts; `InputError` for what has no ``=``."""
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{flag} {item} has no '=': write {flag} NAME={what}.")
        if name in pairs:
            raise InputError(f"{flag} {name} is given twice: leave one out.")
        pairs[name] = value
    return pairs


def write_json(path: Path | None, content: Any) -> None:
    """Write a result, if a file is given."""
    if path is not None:
        from veridical.core.files import write_json as write

        write(path, content)
