"""The routes of the studio: a page without data, and what its script asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import resources
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import FastAPI, Form, Request
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from veridical.core.version import __version__
from veridical.server.refusing import refusing
from veridical.studio import asked as request
from veridical.studio.house import SCRIPTS, TICKETS, House
from veridical.studio.painting import Asked as Edit

# Nothing from other hosts, no script but files of ours; pictures that the script was sent are blobs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# A page of results shows what it holds, and does nothing.
SHOWN = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'; sandbox"


def app_of(house: House, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """The application of a studio, with what runs beside it from beginning to end."""
    app = FastAPI(
        title="veridical studio", version=__version__, docs_url=None, redoc_url=None, openapi_url=None,
        max_body_size=house.limits.body, lifespan=lifespan,
    )  # fmt: skip
    refusing(app, house.limits.body, str)
    _page(app, house)
    _commands(app, house)
    _results(app, house)
    _reviews(app, house)
    _edits(app, house)
    return app


def _page(app: FastAPI, house: House) -> None:
    @app.middleware("http")
    async def guarded(request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    static, style = resources.files("veridical.studio") / "static", resources.files("veridical.reporting") / "templates"
    sheet = (style / "report.css").read_bytes() + (static / "studio.css").read_bytes()
    app.get("/")(_constant((static / "page.html").read_bytes(), "text/html"))
    app.get("/studio.css")(_constant(sheet, "text/css"))
    for name in SCRIPTS:
        app.get(f"/{name}")(_constant((static / name).read_bytes(), "text/javascript"))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "draining" if house.draining else "ok"}

    @app.post("/api/found")
    def found() -> dict[str, Any]:
        alone = house.place.review_alone
        made = {} if alone else {"work": house.shop.work.states(), "recipes": house.shop.recipes()}
        return {"version": __version__, "review_alone": alone, **house.place.found(), **made}


def _constant(content: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, media_type=kind)


def _commands(app: FastAPI, house: House) -> None:
    shop = house.shop

    @app.post("/api/commands/state")
    def state(asked: request.OfWork) -> dict[str, Any]:
        house.check_whole()
        return shop.state(asked.work)

    @app.post("/api/commands/stop")
    def stop(asked: request.OfWork) -> dict[str, Any]:
        house.check_whole()
        shop.work.found(asked.work).stop()
        return {}

    @app.post("/api/data/look")
    def look(asked: request.Look) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.look(asked)}

    @app.post("/api/train/start")
    def train(asked: request.NewTraining) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.train(asked)}

    @app.post("/api/train/resume")
    def resume(asked: request.GoOn) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.resume(asked)}

    @app.post("/api/samples/draw")
    def draw(asked: request.NewSamples) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.sample(asked)}

    @app.post("/api/audit/start")
    def audit(asked: request.NewAudit) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.audit(asked)}

    @app.post("/api/score/start")
    def score(asked: request.NewScore) -> dict[str, Any]:
        house.check_whole()
        return {"work": shop.score(asked)}


def _results(app: FastAPI, house: House) -> None:
    shop = house.shop

    @app.post("/api/data/preview")
    def preview(asked: request.OfWork) -> Response:
        house.check_whole()
        return Response(shop.preview(asked.work), media_type="image/png")

    @app.post("/api/watch")
    def watch(asked: request.OfRun) -> dict[str, Any]:
        house.check_whole()
        return shop.watch(asked.run)

    @app.post("/api/watch/picture")
    def picture(asked: request.OfPreview) -> Response:
        house.check_whole()
        return Response(shop.picture(asked.run, asked.picture), media_type="image/png")

    @app.post("/api/samples/grid")
    def grid(asked: request.OfImages) -> Response:
        house.check_whole()
        return Response(shop.grid(asked.images), media_type="image/png")

    @app.post("/api/samples/run")
    def run(asked: request.OfImages) -> dict[str, Any]:
        house.check_whole()
        return {"run": shop.run_of(asked.images)}

    @app.post("/api/pages/open")
    def opened(asked: request.OfPage) -> dict[str, Any]:
        house.check_whole()
        return {"address": house.ticket(asked.page)}

    @app.get(f"{TICKETS}{{ticket}}")
    def shown(ticket: str) -> Response:
        return Response(house.page(ticket), media_type="text/html", headers={"Content-Security-Policy": SHOWN})


def _edits(app: FastAPI, house: House) -> None:
    painting = house.painting

    @app.post("/api/run")
    def run(asked: request.OfRun) -> dict[str, Any]:
        house.check_whole()
        return painting.able(asked.run)

    @app.post("/api/images")
    def images(asked: request.OfImages) -> dict[str, Any]:
        house.check_whole()
        return {"names": painting.names(asked.images)}

    @app.post("/api/image")
    def image(asked: request.OfImage) -> Response:
        house.check_whole()
        return Response(painting.picture(asked.images, asked.image, asked.run), media_type="image/png")

    @app.post("/api/edits/make")
    async def make(asked: Annotated[request.Painted, Form(media_type="multipart/form-data")]) -> dict[str, Any]:
        house.check_whole()
        edit = Edit(asked.run, asked.images, asked.image, asked.how, asked.prompt, asked.strength, asked.seed)
        return {"edit": await run_sync(painting.start, edit, await asked.mask.read(), house.limits.pixels)}

    @app.post("/api/edits/state")
    def state(asked: request.OfEdit) -> dict[str, Any]:
        house.check_whole()
        return painting.state(asked.edit)

    @app.post("/api/edits/stop")
    def stop(asked: request.OfEdit) -> dict[str, Any]:
        house.check_whole()
        return painting.stop(asked.edit)

    @app.post("/api/edits/picture")
    def picture(asked: request.OfResult) -> Response:
        house.check_whole()
        return Response(painting.result(asked.edit, asked.which), media_type="image/png")


def _reviews(app: FastAPI, house: House) -> None:
    @app.post("/api/reviews/make")
    def make(asked: request.NewReview) -> dict[str, Any]:
        house.check_whole()
        return {"work": house.shop.review(asked)}

    @app.post("/api/reviews/begin")
    def begin(asked: request.ByReviewer) -> dict[str, Any]:
        return house.review(asked.review).begun(asked.reviewer)

    @app.post("/api/reviews/tile")
    def tile(asked: request.ByPosition) -> Response:
        content = house.review(asked.review).picture(asked.reviewer, asked.position)
        return Response(content, media_type="image/png")

    @app.post("/api/reviews/answer")
    def answer(asked: request.Answered) -> dict[str, Any]:
        house.review(asked.review).answer(
            asked.reviewer, asked.position, asked.answer, asked.reasons, asked.seconds
        )  # fmt: skip
        return {}

    @app.post("/api/reviews/results")
    def results(asked: request.ByReviewer) -> dict[str, Any]:
        return house.review(asked.review).results(asked.reviewer)
