"""The commands studio and review."""

from __future__ import annotations

import shlex
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
    """A page in the browser: data and advice, training, samples, audit, reports, expert review, edits with a painted mask."""
    try:
        from veridical.studio.run import studio as run
    except ImportError as error:
        if not (error.name or "").startswith(("fastapi", "uvicorn", "starlette", "prometheus", "multipart")):
            raise
        raise InputError("studio needs more packages: install veridical[studio].") from None
    run(folder, host=host, port=port, token_file=token_file, device=device, quiet=quiet, say=say)


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical review reviews/edm --real runs/edm --synth samples        (makes it)\n"
    "veridical review reviews/edm\n"
    "veridical audit runs/edm samples --json audit.json\n"
    "veridical review reviews/edm --audit audit.json --json rows.json"
)
def review(
    folder: Annotated[Path, typer.Argument(metavar="REVIEW", help="Folder of a review that veridical studio made.")],
    audit: Annotated[
        Path | None, typer.Option(help="JSON file of veridical audit on the same synthetic images.")
    ] = None,
    real: Annotated[
        str | None, typer.Option(help="Make the review first: real images, or a run for its held-out tiles.")
    ] = None,
    synth: Annotated[str | None, typer.Option(help="With --real: synthetic images.")] = None,
    tiles: Annotated[int, typer.Option(help="With --real: tiles of each kind.", min=1, max=1000)] = 20,
    size: Annotated[
        int | None,
        typer.Option(min=16, help="With --real: cut images to this size. Default: what fits if sizes differ."),
    ] = None,
    seed: Annotated[int, typer.Option(help="With --real: of the choice of tiles.", min=0)] = 0,
    json_file: Json = None,
) -> None:
    """What people said of real and synthetic tiles that they saw blind: error rates with intervals, agreement.

    With --real and --synth such a review is made, for veridical studio to show.
    """
    if real is not None or synth is not None:
        if real is None or synth is None or audit is not None or json_file is not None:
            raise InputError("a review is made of --real and --synth, and nothing is said of it yet: give both alone.")
        from veridical.core.progress import bar_if_slow
        from veridical.studio.making import make_review

        with bar_if_slow():
            make_review(real, synth, folder, tiles=tiles, size=size, seed=seed)
        say(
            f"{2 * tiles} tiles, half of them real: {folder}; show them with: veridical studio {shlex.quote(str(folder))}"
        )
        return
    from veridical.auditing.defects import DEFECTS, title_of
    from veridical.scoring.review import format_review
    from veridical.scoring.review import review as rows_of

    check_outputs(json_file, inputs=(folder, audit))
    rows = rows_of(folder, audit)
    write_json(json_file, rows)
    table, sentence = format_review(rows, {name: title_of(name) for name in DEFECTS})
    say_table(table)
    say(sentence)
