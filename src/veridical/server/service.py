"""What a server holds: runs, the worker, limits, and whether it still takes requests."""

from __future__ import annotations

import functools
import math
import secrets
import threading
import time
from dataclasses import dataclass

from veridical.server.errors import ApiError, shortened
from veridical.server.metrics import Metrics
from veridical.server.served import Served, do
from veridical.server.worker import Worker


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes
    ----------
    body : int
        Bytes of a request.
    pixels : int
        Of an image or a mask in it.
    waiting : int
        Requests for images that have no answer yet.
    batch : int
        Images that are drawn together.
    """

    body: int = 32 * 2**20
    pixels: int = 2**22
    waiting: int = 64
    batch: int = 8


class Service:
    """Runs by name, and one thread that draws.

    Parameters
    ----------
    runs : dict of str to Served
    limits : Limits
    token : bytes, optional
        What clients have to send.
    """

    open: tuple[str, ...] = ("/health",)  # for the gate
    works = "/v1/images/"

    def __init__(self, runs: dict[str, Served], limits: Limits | None = None, token: bytes | None = None) -> None:
        self.runs, self.limits, self.token = runs, limits or Limits(), token
        self.started = int(time.time())
        self.answering, self.draining = 0, False  # in the thread of the event loop
        self._seconds = 0.0  # an image, a moving mean
        self._seed, self._next = secrets.randbelow(2**31), 0
        self._lock = threading.Lock()
        self.worker = Worker(functools.partial(do, batch=self.limits.batch), self.limits.batch, self._seen)
        self.metrics = Metrics(lambda: self.worker.rows, lambda: self.answering)

    def find(self, name: str | None) -> Served:
        """The run that a request names; an `ApiError` for any other."""
        if name is None and len(self.runs) == 1:
            return next(iter(self.runs.values()))
        if name not in self.runs:
            known = ", ".join(self.runs)
            raise ApiError(
                400,
                f"There is no model '{shortened(name)}' here: use one of {known}.",
                param="model",
                code="model_not_found",
            )
        return self.runs[name]

    def numbers(self, seed: int | None, number: int | None, n: int) -> tuple[int, tuple[int, ...]]:
        """A seed and the numbers of `n` images: those of the request, else the server's and numbers not given before.

        Requests without a seed can so be drawn together, and yet each image again, by its seed and number.
        """
        if seed is not None:
            first = number or 0
            return seed, tuple(range(first, first + n))
        if number is not None:
            raise ApiError(400, "number goes with a seed: give both, or none.", param="number", code="invalid_value")
        with self._lock:
            first, self._next = self._next, self._next + n
        return self._seed, tuple(range(first, first + n))

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self.metrics.answered(path, status, seconds)

    def patience(self) -> int:
        """Seconds after which there may be room, 1 to 60."""
        return min(60, max(1, math.ceil(self._seconds * self.worker.rows / 2)))

    def _seen(self, images: int, seconds: float) -> None:
        self.metrics.drawn(images, seconds)
        self._seconds += 0.2 * (seconds / images - self._seconds)
