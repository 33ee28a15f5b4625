"""The commands studio and review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import Json, app, check_outputs, say, say_table, write_json


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical review reviews/edm\n"
    "veridical audit runs/edm samples --json audit.json\n"
    "veridical review reviews/edm --audit audit.json --json review.json"
)
def review(
    folder: Annotated[Path, typer.Argument(metavar="REVIEW", help="Folder of a review that veridical studio made.")],
    audit: Annotated[
        Path | None, typer.Option(help="JSON file of veridical audit on the same synthetic images.")
    ] = None,
    json_file: Json = None,
) -> None:
    """What people said of real and synthetic tiles that they saw blind: error rates with intervals, agreement."""
    from veridical.scoring.review import format_review
    from veridical.scoring.review import review as rows_of

    check_outputs(json_file, inputs=(folder, audit))
    rows = rows_of(folder, audit)
    write_json(json_file, rows)
    table, sentence = format_review(rows)
    say_table(table)
    say(sentence)
