"""What every request passes before anything is read of it: who asks, whether the server takes more, and how it ended."""

from __future__ import annotations

import hmac
import ipaddress
import time
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veridical.server.errors import ApiError, shortened
from veridical.server.service import Limits


class Guarded(Protocol):
    """What the gate asks of a server.

    Attributes
    ----------
    limits : Limits
    token : bytes or None
        What clients have to send.
    answering : int
        Requests for work without an answer; the gate counts them.
    draining : bool
        Whether it takes no more.
    open : tuple of str
        Paths that are answered without a token, and while the server drains.
    works : str
        What the paths of requests for work (POST) begin with.
    """

    limits: Limits
    token: bytes | None
    answering: int
    draining: bool
    works: str

    @property
    def open(self) -> tuple[str, ...]: ...

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def patience(self) -> int:
        """Seconds after which there may be room."""


class Gate:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, service: Guarded) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on and keep count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service, began, status = self._service, time.monotonic(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        asks = scope["path"].startswith(service.works) and scope["method"] == "POST"
        try:
            self._check(scope, asks)
            service.answering += asks
            try:
                await self._app(scope, receive, watched)
            finally:
                service.answering -= asks
        except ApiError as error:
            await error.response()(scope, receive, watched)
        finally:
            service.answered(scope["path"], status, time.monotonic() - began)

    def _check(self, scope: Scope, asks: bool) -> None:
        service, headers = self._service, Headers(scope=scope)
        if scope["path"] in service.open:
            return
        if service.token is not None:
            given = headers.get("authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
            if not hmac.compare_digest(given, service.token):
                raise ApiError(
                    401, "Send the server's token as API key (Authorization: Bearer).", code="invalid_api_key"
                )
        else:
            _check_local(headers)
        if int(headers.get("content-length", 0)) > service.limits.body:
            raise ApiError(413, f"The request has more than {service.limits.body} bytes.", code="too_large")
        if scope["query_string"]:
            name = scope["query_string"].decode("latin-1").partition("=")[0]
            raise ApiError(
                400, f"Unknown parameter: '{shortened(name)}': nothing is read from the address.", param=name,
                code="unknown_parameter",
            )  # fmt: skip
        if service.draining:
            raise ApiError(503, "The server is shutting down: ask another, or later.", code="shutting_down", wait=5)
        if asks and service.answering >= service.limits.waiting:
            raise ApiError(
                429, f"{service.answering} requests wait already: ask again later.", code="rate_limit_exceeded",
                wait=service.patience(),
            )  # fmt: skip


def _check_local(headers: Any) -> None:
    """Refuse what a page of another site lets a browser send to this machine: without a token that is all there is."""
    for what, host in (("Host", _host(f"//{headers.get('host', '')}")), ("Origin", _host(headers.get("origin", "")))):
        if host and not is_loopback(host):
            raise ApiError(403, f"{what} {shortened(host)} is not this machine: start the server with --token-file.")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url.strip("/")
    except ValueError:
        return url


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
