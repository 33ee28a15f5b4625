"""What Prometheus is told of a server."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

ROUTES = ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/models", "/health", "/metrics")


class Metrics:
    """Counters of one server; `waiting` is asked when they are read."""

    def __init__(self, waiting: Callable[[], int], answering: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("veridical_requests", "Requests.", ("route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "veridical_request_seconds", "From request to answer.", ("route",), registry=self._registry,
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
        )  # fmt: skip
        self._batches = Histogram(
            "veridical_batch_images", "Images drawn together.", registry=self._registry, buckets=(1, 2, 4, 8, 16, 32)
        )
        self._busy = Counter("veridical_busy_seconds", "Seconds of drawing.", registry=self._registry)
        gauge = Gauge("veridical_waiting_images", "Images that wait.", registry=self._registry)
        gauge.set_function(waiting)
        gauge = Gauge("veridical_answering_requests", "Requests for images without an answer.", registry=self._registry)
        gauge.set_function(answering)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        route = path if path in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def drawn(self, images: int, seconds: float) -> None:
        """Images were drawn together."""
        self._batches.observe(images)
        self._busy.inc(seconds)

    def text(self) -> bytes:
        """As Prometheus reads them."""
        return generate_latest(self._registry)
