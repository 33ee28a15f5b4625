"""The routes: the images API of OpenAI over runs of one's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import FastAPI, Form, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from veridical.core.version import __version__
from veridical.server import asked as asking
from veridical.server.errors import ApiError
from veridical.server.fields import Edit, Error, Generation, Images, Variation
from veridical.server.refusing import refusing
from veridical.server.service import Service

_FAULTS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (400, 401, 403, 413, 429, 500, 503)}
_STREAMED: dict[int | str, dict[str, Any]] = {
    **_FAULTS, 200: {"model": Images, "content": {"text/event-stream": {}}},
}  # fmt: skip
GONE = 499  # status of a client that did not wait


def app_of(service: Service, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """The application of a service, with what runs beside it from beginning to end."""
    app = FastAPI(
        title="veridical",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        max_body_size=service.limits.body,
        lifespan=lifespan,
    )
    refusing(app, service.limits.body, lambda error: _without_places(error.asked, service))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "draining" if service.draining else "ok"}

    @app.get("/metrics", responses={**_FAULTS, 200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", responses=_FAULTS)
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [served.described(service.started) for served in service.runs.values()]}

    @app.post("/v1/images/generations", responses=_STREAMED, response_model=None)
    async def generations(request: Request, asked: Generation) -> Response:
        prepared = await run_sync(asking.generation, service, asked)
        return await _answer(service, request, prepared, asked.stream, "image_generation")

    @app.post("/v1/images/edits", responses=_STREAMED, response_model=None)
    async def edits(request: Request, asked: Annotated[Edit, Form(media_type="multipart/form-data")]) -> Response:
        await _check_once(request)
        files = [*asked.image, *asked.images]
        if not files:
            raise ApiError(
                400, "Missing required parameter: 'image'.", param="image", code="missing_required_parameter"
            )
        contents = [await file.read() for file in files]
        mask = None if asked.mask is None else await asked.mask.read()
        prepared = await run_sync(asking.edit, service, asked, contents, mask)
        return await _answer(service, request, prepared, asked.stream, "image_edit")

    @app.post("/v1/images/variations", responses={**_FAULTS, 200: {"model": Images}}, response_model=None)
    async def variations(
        request: Request, asked: Annotated[Variation, Form(media_type="multipart/form-data")]
    ) -> Response:
        await _check_once(request)
        prepared = await run_sync(asking.variation, service, asked, await asked.image.read())
        return await _answer(service, request, prepared, None, "image_variation")

    return app


def _without_places(text: str, service: Service) -> str:
    """A sentence that says a run's name, not where it stands on this machine."""
    for served in service.runs.values():
        text = text.replace(str(served.run.folder), served.name)
    return text


async def _check_once(request: Request) -> None:
    """Refuse a form in which a field stands twice: one of them would be ignored."""
    names = [name for name, _ in (await request.form()).multi_items() if name not in ("image", "image[]")]
    if request.url.path.endswith("variations"):
        names += [name for name, _ in (await request.form()).multi_items() if name == "image"]
    for name in names:
        if names.count(name) > 1:
            raise ApiError(400, f"'{name}' is given twice: leave one out.", param=name, code="invalid_value")


async def _answer(
    service: Service, request: Request, prepared: asking.Prepared, stream: bool | None, kind: str
) -> Response:
    """Wait for the worker, and answer with its images."""
    began = time.monotonic()
    made = await _result(service.worker.submit(prepared.task), request.is_disconnected)
    data = await run_sync(prepared.answers, made)
    shared = {"background": "opaque", "output_format": prepared.form, "size": prepared.size}
    about = {
        "model": prepared.served.name, **prepared.served.about, **prepared.said, "seconds": round(time.monotonic() - began, 3)
    }  # fmt: skip
    if not stream:
        return JSONResponse({"created": int(time.time()), "data": data, **shared, "veridical": about})

    def events() -> Iterator[str]:
        for entry in data:
            event = {
                "type": f"{kind}.completed", "created_at": int(time.time()), "quality": "auto", **shared, **entry,
                "veridical": about | entry["veridical"],
            }  # fmt: skip
            yield f"event: {kind}.completed\ndata: {json.dumps(event)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def _result(job: Future[Any], gone: Callable[[], Awaitable[bool]]) -> Any:
    """What a job gives; of a client that left, it is not begun."""
    waiting = asyncio.wrap_future(job)
    while not waiting.done():
        await asyncio.wait({waiting}, timeout=1)
        if not waiting.done() and await gone() and job.cancel():
            raise ApiError(GONE, "The client left.", code="client_closed_request")
    return waiting.result()
