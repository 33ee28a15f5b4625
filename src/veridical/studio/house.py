"""What a studio holds while it runs: its folder, reviews that are open, edits, and what the gate asks of a server."""

from __future__ import annotations

import threading
from pathlib import Path

from veridical.core.errors import InputError
from veridical.server.service import Limits
from veridical.studio.painting import Painting
from veridical.studio.place import Place
from veridical.studio.reviewing import Review

OPENED = 8  # reviews whose tiles are in memory


class House:
    """A studio in a folder.

    Parameters
    ----------
    place : Place
    token : bytes, optional
        What browsers have to send.
    limits : Limits, optional
    device : str
        Of edits.
    """

    open: tuple[str, ...] = ("/", "/studio.css", "/studio.js", "/health")  # for the gate: the page holds no data
    works = "/api/"

    def __init__(
        self, place: Place, token: bytes | None = None, limits: Limits | None = None, device: str = "auto"
    ) -> None:
        self.place, self.token, self.limits = place, token, limits or Limits()
        self.answering, self.draining = 0, False  # in the thread of the event loop
        self.painting = Painting(place, device)
        self.worker = self.painting.worker
        self._reviews: dict[Path, Review] = {}
        self._lock = threading.Lock()

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Nothing is counted."""

    def patience(self) -> int:
        """Seconds after which there may be room."""
        return 1

    def review(self, name: str) -> Review:
        """A review by its name; one at a time for all who answer it."""
        path = self.place.path(name)
        with self._lock:
            if path not in self._reviews:
                if len(self._reviews) >= OPENED:
                    self._reviews.pop(next(iter(self._reviews)))
                self._reviews[path] = Review(path)
            return self._reviews[path]

    def check_whole(self) -> None:
        """Refuse what is for those alone who may see everything: in a folder that is a review there is nothing else."""
        if self.place.review_alone:
            raise InputError("this studio shows one review: start veridical studio in the folder above for the rest.")
