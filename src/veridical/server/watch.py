"""A live page of a training, for this machine alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from veridical.core.errors import InputError
from veridical.core.text import shown
from veridical.runs.folder import read_run
from veridical.server.watched import Tail, at_work, page_of, pictures, renewing

HOST = "127.0.0.1"
POLICY = f"default-src 'none'; script-src '{renewing()}'; connect-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:"


def watching(run: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page of a run, on this machine's own address alone.

    Parameters
    ----------
    run : str or Path
        A run folder, of a training at work or one that is over. Nothing else is read.
    port : int
        0 is a free one.

    Raises
    ------
    InputError
        If `run` is no run, or the port is taken.
    """
    folder = Path(run)
    read_run(at_work(folder))
    tails: dict[Path, Tail] = {}
    alone = Lock()

    class Handler(BaseHTTPRequestHandler):
        """Answers with the page, or a picture that it shows."""

        def do_GET(self) -> None:
            if not self._is_ours():
                self._answer(403, "text/plain; charset=utf-8", b"asked under another name than this machine's")
                return
            name = self.path.partition("?")[0].lstrip("/")
            try:
                now = at_work(folder)  # a first stage, and then the run itself
                if not name:
                    with alone:
                        page = page_of(now, tails.setdefault(now, Tail(now / "log.jsonl")))
                    self._answer(200, "text/html; charset=utf-8", page.encode())
                elif name in (files := pictures(now)):
                    self._answer(200, "image/png", files[name].read_bytes())
                else:
                    self._answer(404, "text/plain; charset=utf-8", b"not found")
            except (InputError, OSError) as error:  # such as a folder that was just moved away
                self._answer(503, "text/plain; charset=utf-8", shown(str(error)).encode())

        def _is_ours(self) -> bool:
            """Whether the browser was told this machine's name: a page elsewhere that points its name here is refused."""
            name = (self.headers.get("Host") or "").rpartition(":")[0]
            return name in (HOST, "localhost")

        def _answer(self, code: int, kind: str, content: bytes) -> None:
            self.send_response(code)
            headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
            headers |= {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
            for header, value in headers.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing of requests."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error.strerror or error}): give another --port.") from error


def watch(run: str | Path, port: int = 0, say: Callable[[str], None] = print) -> None:
    """Serve the page of `watching` until Ctrl-C."""
    with watching(run, port) as server:
        say(f"watch {run}: http://{HOST}:{server.server_address[1]}/ (Ctrl-C ends the page, not the training)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)
