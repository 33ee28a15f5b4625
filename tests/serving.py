"""A server in a thread of the test, and pictures to send it."""

import contextlib
import functools
import io
import threading
import time

import numpy as np
from PIL import Image

from veridical.server.app import app_of
from veridical.server.run import Server


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


def alpha_mask(hole):
    """Bytes of an RGBA file whose alpha is 0 where `hole` is true."""
    rgba = np.full((*hole.shape, 4), 255, np.uint8)
    rgba[hole, 3] = 0
    return png(rgba)
