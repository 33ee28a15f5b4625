"""Serve runs until a signal comes: what was asked then is finished, what comes later is refused."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from veridical.core.errors import InputError
from veridical.core.files import read_text
from veridical.server.app import app_of
from veridical.server.gate import Gate, Guarded, is_loopback
from veridical.server.served import load_all
from veridical.server.service import Limits, Service

App = Callable[[Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]], FastAPI]
SHORTEST = 16  # characters of a token


def serve(
    runs: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    limits: Limits | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve runs with the images API of OpenAI, until SIGTERM or Ctrl-C.

    Parameters
    ----------
    runs : sequence of str or Path
        Run folders; clients ask by their names.
    host, port : str, int
        Where to listen; port 0 is a free one.
    token_file : str or Path, optional
        Text file of a token that clients send as API key; needed where `host` is not this machine alone.
    limits : Limits, optional
    settings : mapping, optional
        Of sampling, of all runs.
    device : str
    quiet : bool
        Log no requests.
    say : callable
        Is told the address once the server listens.

    Raises
    ------
    InputError
        If runs cannot be served, the token is missing or short, or the address cannot be had.
    """
    token = token_for(host, token_file)
    service = Service(load_all(runs, device, settings), limits, token)
    server = Server(service, functools.partial(app_of, service), host, port, quiet)
    server.listen(lambda address: say(f"serving {', '.join(service.runs)}: {address}/v1"))
    service.worker.stop()


def token_for(host: str, token_file: str | Path | None) -> bytes | None:
    """The token of a server at `host`: an `InputError` where others than this machine are let in without one."""
    token = None if token_file is None else read_token(Path(token_file))
    if token is None and not is_loopback(host):
        raise InputError(f"--host {host} lets others in: give --token-file, or leave --host out.")
    return token


def read_token(path: Path) -> bytes:
    """The token in a file, without spaces and line ends around it; an `InputError` where it is too short."""
    token = read_text(path, 4096).strip()
    if len(token) < SHORTEST or not token.isprintable() or " " in token:
        raise InputError(f"{path} holds no token: write {SHORTEST} or more letters and digits to it, in one line.")
    return token.encode()


class Server(uvicorn.Server):
    """Uvicorn that goes on answering after a signal, until no request is left; at a second one it ends at once.

    Uvicorn's own end closes the door first: those who come then would be told nothing.

    Parameters
    ----------
    service : Guarded
    app : callable
        Makes the application, of what is to run beside it.
    host, port : str, int
    quiet : bool
        Log no requests.
    """

    def __init__(self, service: Guarded, app: App, host: str, port: int, quiet: bool = True) -> None:
        super().__init__(
            uvicorn.Config(
                Gate(app(self._watch), service),
                host=host,
                port=port,
                log_level="error" if quiet else "info",
                access_log=not quiet,
                timeout_keep_alive=30,
                server_header=False,
            )
        )
        self._service = service

    def listen(self, say: Callable[[str], None]) -> None:
        """Serve until the end; `say` is told the address once the server listens."""
        host, port = self.config.host, self.config.port
        try:
            listening = self.config.bind_socket()
        except SystemExit:  # uvicorn's, after a line in its log
            raise InputError(f"{host}:{port} cannot be listened at: choose another --port or --host.") from None
        say(f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}")
        with listening:
            self.run(sockets=[listening])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At the first signal drain, at the second end."""
        if self._service.draining:  # a thread that draws would hold up any other end
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._service.draining = True

    @contextlib.asynccontextmanager
    async def _watch(self, app: FastAPI) -> AsyncIterator[None]:
        async def end_when_empty() -> None:
            quiet_for = 0
            while quiet_for < 5:  # half a second, in which those who come are told
                await asyncio.sleep(0.1)
                quiet_for = quiet_for + 1 if self._service.draining and not self._service.answering else 0
            self.should_exit = True

        watching = asyncio.create_task(end_when_empty())
        yield
        watching.cancel()
