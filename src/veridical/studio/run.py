"""Serve a studio until a signal comes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from veridical.server.run import Server, token_for
from veridical.studio.app import app_of
from veridical.studio.house import House
from veridical.studio.place import Place


def studio(
    folder: str | Path = ".",
    *,
    host: str = "127.0.0.1",
    port: int = 8010,
    token_file: str | Path | None = None,
    device: str = "auto",
    quiet: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the studio of a folder, until SIGTERM or Ctrl-C.

    Parameters
    ----------
    folder : str or Path
        Holds images, runs, samples and reviews; nothing outside it can be reached. If it is itself a review, that is all that is
        shown.
    host, port : str, int
        Where to listen; port 0 is a free one.
    token_file : str or Path, optional
        Text file of a token that the page asks for; needed where `host` is not this machine alone.
    device : str
        Of edits, trainings and samples.
    quiet : bool
        Log no requests.
    say : callable
        Is told the address once the server listens.

    Raises
    ------
    InputError
        If there is no such folder, the token is missing or short, or the address cannot be had.
    """
    token = token_for(host, token_file)
    house = House(Place(Path(folder)), token, device=device)
    server = Server(house, functools.partial(app_of, house), host, port, quiet)
    server.listen(lambda address: say(f"studio: {address} (Ctrl-C ends it)"))
    house.end()
