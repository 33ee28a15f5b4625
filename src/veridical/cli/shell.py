"""What the commands share."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from veridical.core import files
from veridical.core.errors import InputError
from veridical.core.notes import handed
from veridical.core.text import shown
from veridical.core.version import __version__

app = typer.Typer(
    name="veridical",
    help="Train, run and validate image generators on scientific images.\n\n"
    "DATA, REAL and SYNTH: a folder of images, a multi-page TIFF, file.h5:/path, a Zarr store, file.npy, "
    "phantom:rocks, skimage:gravel.",
    epilog="Exit codes: 0 done (audit: pass), 2 bad input or usage, 3 audit: fail, 4 audit: too few images to say, "
    "5 bench: cells failed, 130 stopped by Ctrl-C or a signal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED_CELLS, STOPPED = 5, 130  # exit codes; 0, 2, 3, 4 are named where they are made
TELLING = ("data", "audit")  # commands whose results have the notes of the data in them

Seed = Annotated[int, typer.Option(help="Same seed, same images.")]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch hub:OWNER/NAME where it is not in the cache; else no network is used.")
]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON to this file.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Train, run and validate image generators on scientific images."""
    if context.invoked_subcommand not in TELLING:
        first = os.environ.get("RANK", "0") == "0"  # of the processes that train together one tells
        context.with_resource(handed(lambda note: say(note, error=True) if first else None))


def say(text: str, *, error: bool = False) -> None:
    """Print lines in which names of files and other text of users cannot act on the terminal."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(shown(text, lines=True), file=stream, flush=True)
    except BrokenPipeError:  # who read it is gone; the work, its files and its exit code are not
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say_table(table: RenderableType) -> None:
    """Print a table; brackets in it are no markup."""
    console = Console(
        file=io.StringIO(), width=shutil.get_terminal_size((80, 24)).columns, markup=False, highlight=False, emoji=False
    )
    with console.capture() as captured:
        console.print(table)
    say(captured.get().rstrip("\n"))


PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def check_outputs(*paths: Path | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse files that cannot be written, before the work begins; or that are what is read, or pictures among it."""
    given = [path for path in paths if path is not None]
    for path in given:
        files.check_output(path)
        for other in (*inputs, *(p for p in given if p is not path)):
            same = False
            with contextlib.suppress(OSError, ValueError):  # what is not there
                same = path.is_file() and other is not None and os.path.samefile(path, other)
            with contextlib.suppress(OSError, ValueError):
                if other is not None and path.suffix.lower() in PICTURES and Path(other).is_dir():
                    same |= path.resolve().is_relative_to(Path(other).resolve())
            if same:
                raise InputError(f"{path} would be written over {other}, or among its images: choose another place.")
    if len(set(given)) < len(given):
        raise InputError(f"{given[-1]} is given for two results: choose another name for one.")


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
        files.write_json(path, content)


def signature_of(arguments: list[tuple[str, Any, Any]]) -> inspect.Signature:
    """Of names, annotations and default values."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([inspect.Parameter(n, keyword, default=d, annotation=a) for n, a, d in arguments])


def show(command: Any, signature: inspect.Signature) -> None:
    """Give a command arguments that its code does not name one by one."""
    command.__signature__ = signature
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
