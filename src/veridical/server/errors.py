"""Errors in the shape that clients of the API read: ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """What a client is told instead of images.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        One sentence: what is wrong and what to do.
    param : str, optional
        The field that it is about.
    code : str, optional
        A word for programs.
    wait : int, optional
        Seconds after which to ask again.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, wait: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.wait = status, message, param, code, wait

    def response(self) -> JSONResponse:
        """As an answer."""
        kind = "server_error" if self.status >= 500 else "rate_limit_error" if self.status == 429 else _MINE
        headers = {"Retry-After": str(self.wait)} if self.wait is not None else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        content = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": content}, self.status, headers)


_MINE = "invalid_request_error"


def of_validation(errors: list[Any]) -> ApiError:
    """The first of pydantic's errors."""
    first = errors[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query")]
    param = where[0] if where else None
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"Unknown parameter: '{shortened(param)}'.", param=param, code="unknown_parameter")
    if first["type"] == "missing":
        return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if first["type"] == "json_invalid":
        return ApiError(400, "The body is not valid JSON: send an object of fields.", code="invalid_json")
    said = first["msg"].removeprefix("Value error, ")
    if param is None:
        return ApiError(400, f"The body cannot be read: {said}.", code="invalid_value")
    return ApiError(400, f"Invalid value for '{shortened(param)}': {said}.", param=param, code="invalid_value")


def shortened(text: str | None) -> str:
    """Of a text of a client what fits into a sentence."""
    return "" if text is None else text if len(text) <= 80 else f"{text[:77]}..."
