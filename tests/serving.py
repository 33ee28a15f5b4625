"""A server in a thread of the test, and pictures to send it."""

import base64
import contextlib
import functools
import io
import threading
import time

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from PIL import Image

from veridical.server.app import app_of
from veridical.server.run import Server
from veridical.server.service import Service


@contextlib.contextmanager
def running(service):
    """The address of a server of runs on a free port, while the block lasts."""
    with listening(service, functools.partial(app_of, service)) as address:
        yield f"{address}/v1"


@contextlib.contextmanager
def listening(service, app):
    """The address of any server on a free port, while the block lasts."""
    server = Server(service, app, "127.0.0.1", 0)
    with server.config.bind_socket() as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            service.worker.stop()


def png(array):
    """Bytes of a PNG file of uint8 or uint16 (H, W), or uint8 (H, W, 2 to 4)."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="png")
    return file.getvalue()


def pixels(entry):
    """The picture of an entry of an answer."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(entry.b64_json))))


def alpha_mask(hole):
    """Bytes of an RGBA file whose alpha is 0 where `hole` is true."""
    rgba = np.full((*hole.shape, 4), 255, np.uint8)
    rgba[hole, 3] = 0
    return png(rgba)


class Fake:
    """A server that knows generations and edits, ignores masks, tints, counts tokens and fails when told."""

    def __init__(self):
        self.app, self.asked, self.fail = FastAPI(), [], []
        self.tint, self.size, self.routes = 0, None, ("generations", "edits")

        @self.app.get("/v1/models")
        async def models():
            return {"object": "list", "data": [{"id": "other", "object": "model", "created": 0, "owned_by": "me"}]}

        @self.app.post("/v1/images/{route}")
        async def images(route: str, request: Request):
            if route not in self.routes:
                return JSONResponse({"error": {"message": "none", "type": "x", "param": None, "code": None}}, 404)
            json_ = request.headers["content-type"].startswith("application/json")
            fields = dict(await request.json() if json_ else await request.form())
            if "model" not in fields:
                return JSONResponse({"error": {"message": "no model", "type": "x", "param": None, "code": None}}, 400)
            if self.fail:
                return JSONResponse(
                    {"error": {"message": "busy", "type": "x", "param": None, "code": None}},
                    self.fail.pop(),
                    {"retry-after-ms": "1"},
                )
            self.asked.append(fields)
            shape = (8, 8) if json_ else Image.open(fields["image"].file).size[::-1]
            grey = np.random.default_rng(len(self.asked)).integers(0, 200, self.size or shape).astype(np.uint8)
            rgb = np.stack([grey + self.tint, grey, grey], 2)
            picture = base64.b64encode(png(rgb)).decode()
            usage = {
                "input_tokens": 7,
                "output_tokens": 5,
                "total_tokens": 12,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 7},
            }
            return {"created": 1, "data": [{"b64_json": picture}], "usage": usage}


@contextlib.contextmanager
def faked():
    """A server of that kind, and how it is named, while the block lasts."""
    fake = Fake()
    with listening(Service({}), lambda lifespan: fake.app) as url:
        yield fake, f"hosted:other@{url}/v1"
