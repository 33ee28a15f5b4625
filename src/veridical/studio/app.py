"""The routes of the studio: a page without data, and what its script asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import resources
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import FastAPI, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from veridical.core.version import __version__
from veridical.server.refusing import refusing
from veridical.studio.house import House
from veridical.studio.making import make_review
from veridical.studio.painting import Asked as Edit
from veridical.studio.place import REVIEWS
from veridical.studio.reviewing import LONGEST

# Nothing from other hosts, no script but the one file; pictures that the script was sent are blobs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class Asked(BaseModel):
    """A request: what is not a field is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewReview(Asked):
    """Tiles of two sets."""

    name: str = Field(max_length=100)
    real: str = Field(max_length=1000)
    synth: str = Field(max_length=1000)
    tiles: int = Field(20, ge=1, le=1000)
    size: int | None = Field(None, ge=16, le=1024)
    seed: int = Field(0, ge=0, lt=2**31)


class ByReviewer(Asked):
    """Who, in which review."""

    review: str = Field(max_length=1000)
    reviewer: str = Field(max_length=LONGEST)


class ByPosition(ByReviewer):
    """And which tile."""

    position: int = Field(ge=0)


class Answered(ByPosition):
    """What was answered."""

    answer: Literal["real", "synthetic"]
    reasons: list[str] = Field([], max_length=50)
    seconds: float = Field(ge=0, le=1e6)


class OfRun(Asked):
    """A run."""

    run: str = Field(max_length=1000)


class OfImages(Asked):
    """A set of images."""

    images: str = Field(max_length=1000)


class OfImage(OfImages):
    """An image of it, in the window of a run."""

    image: str = Field(max_length=1000)
    run: str | None = Field(None, max_length=1000)


class Painted(BaseModel):
    """An edit with its mask, multipart."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(max_length=1000)
    images: str = Field(max_length=1000)
    image: str = Field(max_length=1000)
    how: str = Field(max_length=40)
    prompt: str = Field("", max_length=10_000)
    strength: float | None = Field(None, gt=0, le=1)
    seed: int = Field(0, ge=0, lt=2**31)
    mask: UploadFile = Field(description="PNG: alpha is 0 where the image may change.")


class OfEdit(Asked):
    """An edit that was begun."""

    edit: str = Field(max_length=40)


class OfResult(OfEdit):
    """A picture of it."""

    which: Literal["before", "after", "masks", "changed"]


def app_of(house: House, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """The application of a studio, with what runs beside it from beginning to end."""
    app = FastAPI(
        title="veridical studio", version=__version__, docs_url=None, redoc_url=None, openapi_url=None,
        max_body_size=house.limits.body, lifespan=lifespan,
    )  # fmt: skip
    refusing(app, house.limits.body, lambda text: text)
    _page(app, house)
    _reviews(app, house)
    _edits(app, house)
    return app


def _page(app: FastAPI, house: House) -> None:
    @app.middleware("http")
    async def guarded(request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    static, style = resources.files("veridical.studio") / "static", resources.files("veridical.reporting") / "templates"
    page, script = ((static / name).read_bytes() for name in ("page.html", "studio.js"))
    sheet = (style / "report.css").read_bytes() + (static / "studio.css").read_bytes()
    for path, content, kind in (
        ("/", page, "text/html"), ("/studio.js", script, "text/javascript"), ("/studio.css", sheet, "text/css"),
    ):  # fmt: skip
        app.get(path)(_constant(content, kind))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "draining" if house.draining else "ok"}

    @app.post("/api/found")
    def found() -> dict[str, Any]:
        return {"version": __version__, "review_alone": house.place.review_alone, **house.place.found()}


def _constant(content: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, media_type=kind)


def _edits(app: FastAPI, house: House) -> None:
    painting = house.painting

    @app.post("/api/run")
    def run(asked: OfRun) -> dict[str, Any]:
        house.check_whole()
        return painting.able(asked.run)

    @app.post("/api/images")
    def images(asked: OfImages) -> dict[str, Any]:
        house.check_whole()
        return {"names": painting.names(asked.images)}

    @app.post("/api/image")
    def image(asked: OfImage) -> Response:
        house.check_whole()
        return Response(painting.picture(asked.images, asked.image, asked.run), media_type="image/png")

    @app.post("/api/edits/make")
    async def make(asked: Annotated[Painted, Form(media_type="multipart/form-data")]) -> dict[str, Any]:
        house.check_whole()
        edit = Edit(asked.run, asked.images, asked.image, asked.how, asked.prompt, asked.strength, asked.seed)
        return {"edit": await run_sync(painting.start, edit, await asked.mask.read(), house.limits.pixels)}

    @app.post("/api/edits/state")
    def state(asked: OfEdit) -> dict[str, Any]:
        house.check_whole()
        return painting.state(asked.edit)

    @app.post("/api/edits/picture")
    def picture(asked: OfResult) -> Response:
        house.check_whole()
        return Response(painting.result(asked.edit, asked.which), media_type="image/png")


def _reviews(app: FastAPI, house: House) -> None:
    @app.post("/api/reviews/make")
    def make(asked: NewReview) -> dict[str, Any]:
        house.check_whole()
        out = house.place.new(REVIEWS, asked.name)
        real, synth = house.place.spec(asked.real), house.place.spec(asked.synth)
        make_review(real, synth, out, tiles=asked.tiles, size=asked.size, seed=asked.seed)
        return {"review": f"{REVIEWS}/{asked.name}"}

    @app.post("/api/reviews/begin")
    def begin(asked: ByReviewer) -> dict[str, Any]:
        return house.review(asked.review).begun(asked.reviewer)

    @app.post("/api/reviews/tile")
    def tile(asked: ByPosition) -> Response:
        content = house.review(asked.review).picture(asked.reviewer, asked.position)
        return Response(content, media_type="image/png")

    @app.post("/api/reviews/answer")
    def answer(asked: Answered) -> dict[str, Any]:
        house.review(asked.review).answer(
            asked.reviewer, asked.position, asked.answer, asked.reasons, asked.seconds
        )  # fmt: skip
        return {}

    @app.post("/api/reviews/results")
    def results(asked: ByReviewer) -> dict[str, Any]:
        return house.review(asked.review).results(asked.reviewer)
