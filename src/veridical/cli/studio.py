"""The commands studio and review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import Json, app, check_outputs, say, say_table, write_json
from veridical.core.errors import InputError


@app.command(
    epilog="SIGTERM and Ctrl-C end it; a second signal ends it at once.\n\n"
    "Examples:\n\n\b\n"
    "veridical studio\n"
    "veridical studio reviews/edm --host 0.0.0.0 --token-file token.txt        (one review for colleagues, nothing else)"
)
def studio(
    folder: Annotated[
        Path,
        typer.Argument(metavar="[FOLDER]", help="Holds images, runs and reviews; or is a review, to show it alone."),
    ] = Path("."),
    host: Annotated[str, typer.Option(help="Where to listen; others than this machine need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 is a free one.", min=0, max=65535)] = 8010,
    token_file: Annotated[
        Path | None, typer.Option(help="Text file of the token that the page asks for, 16 letters or more.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet/--log", help="Log no requests.")] = True,
) -> None:
    """A page in the browser: expert review of real and synthetic tiles, edits with a painted mask."""
    try:
        from veridical.studio.run import studio as run
    except ImportError as error:
        if not (error.name or "").startswith(("fastapi", "uvicorn", "starlette", "prometheus", "multipart")):
            raise
        raise InputError("studio needs more packages: install veridical[studio].") from None
    run(folder, host=host, port=port, token_file=token_file, device=device, quiet=quiet, say=say)


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical review reviews/edm\n"
    "veridical audit runs/edm samples --json audit.json\n"
    "veridical review reviews/edm --audit audit.json --json rows.json"
)
def review(
    folder: Annotated[Path, typer.Argument(metavar="REVIEW", help="Folder of a review that veridical studio made.")],
    audit: Annotated[
        Path | None, typer.Option(help="JSON file of veridical audit on the same synthetic images.")
    ] = None,
    json_file: Json = None,
) -> None:
    """What people said of real and synthetic tiles that they saw blind: error rates with intervals, agreement."""
    from veridical.auditing.defects import DEFECTS, title_of
    from veridical.scoring.review import format_review
    from veridical.scoring.review import review as rows_of

    check_outputs(json_file, inputs=(folder, audit))
    rows = rows_of(folder, audit)
    write_json(json_file, rows)
    table, sentence = format_review(rows, {name: title_of(name) for name in DEFECTS})
    say_table(table)
    say(sentence)
