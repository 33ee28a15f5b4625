"""The command serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import app, pairs_of, say
from veridical.core.errors import InputError


@app.command(
    epilog="SIGTERM and Ctrl-C: what was asked is finished, what comes later gets 503; a second signal ends at once.\n\n"
    "Examples:\n\n\b\n"
    "veridical serve runs/edm runs/text_to_image\n"
    "veridical serve runs/edm --host 0.0.0.0 --port 8080 --token-file token.txt"
)
def serve(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, hub:FOLDER; clients ask by their names.")
    ],
    host: Annotated[str, typer.Option(help="Where to listen; others than this machine need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 is a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="Text file of the token that clients send as API key, 16 letters or more.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of sampling of the runs; repeatable."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Images drawn together.", min=1)] = 8,
    waiting: Annotated[int, typer.Option(help="Requests without an answer; more are told to come again.", min=1)] = 64,
    max_pixels: Annotated[int, typer.Option(help="Of an image that is sent.", min=64)] = 2**22,
    max_bytes: Annotated[int, typer.Option(help="Of a request.", min=1024)] = 32 * 2**20,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Log no requests.")] = False,
) -> None:
    """Serve runs with the images API of OpenAI: generations, edits, variations."""
    try:
        from veridical.server.run import serve as run
        from veridical.server.service import Limits
    except ImportError as error:
        if not (error.name or "").startswith(("fastapi", "uvicorn", "starlette", "prometheus", "multipart")):
            raise
        raise InputError("serve needs more packages: install veridical[server].") from None
    limits = Limits(body=max_bytes, pixels=max_pixels, waiting=waiting, batch=batch)
    run(
        runs, host=host, port=port, token_file=token_file, limits=limits, settings=pairs_of(set_ or []), device=device,
        quiet=quiet, say=say,
    )  # fmt: skip
