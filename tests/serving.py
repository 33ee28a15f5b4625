"""A server in a thread of the test, and pictures to send it."""

import contextlib
import io
import threading
import time

import numpy as np
from PIL import Image

from veridical.server.run import Server


@contextlib.contextmanager
def running(service):
    """The address of a server on a free port, while the block lasts."""
    server = Server(service, "127.0.0.1", 0)
    with server.config.bind_socket() as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
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
