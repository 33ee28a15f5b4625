"""Whatever goes wrong in an application, told in the shape of `veridical.server.errors`."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from veridical.core.errors import InputError
from veridical.server.errors import ApiError, of_validation


def refusing(app: FastAPI, body: int, said: Callable[[InputError], str]) -> None:
    """Answer errors of an application in the shape of the API: a body has at most `body` bytes, `said` is what of an error of
    ours a client is told."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return of_validation(list(error.errors())).response()

    @app.exception_handler(InputError)
    async def unfit(request: Request, error: InputError) -> Response:
        return ApiError(400, said(error), code="invalid_value").response()

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        sentences = {
            404: f"There is no {request.url.path} here.",
            405: f"{request.url.path} does not take {request.method}.",
            413: f"The request has more than {body} bytes.",
        }
        made = ApiError(error.status_code, sentences.get(error.status_code, f"{error.detail}.")).response()
        made.headers.update(error.headers or {})
        return made

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:  # starlette logs the traceback
        return ApiError(500, "The server failed: its log says how.", code="internal_error").response()
