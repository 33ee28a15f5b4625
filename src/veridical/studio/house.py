"""What a studio holds while it runs: its folder, commands, reviews that are open, edits, and what the gate asks of a server."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from veridical.core.errors import InputError
from veridical.core.files import read_bytes
from veridical.core.text import shown
from veridical.server.service import Limits
from veridical.studio.painting import Painting
from veridical.studio.place import Place
from veridical.studio.reviewing import Review
from veridical.studio.workshop import Workshop

OPENED = 8  # reviews whose tiles are in memory, pages that can be looked at
TICKETS = "/page/"
SCRIPTS = ("studio.js", "core.js", "work.js", "data.js", "train.js", "results.js", "review.js", "easel.js")
OPEN = ("/", "/studio.css", "/health", *(f"/{name}" for name in SCRIPTS))


class House:
    """A studio in a folder.

    Parameters
    ----------
    place : Place
    token : bytes, optional
        What browsers have to send.
    limits : Limits, optional
    device : str
        Of edits and commands.
    """

    works = "/api/"

    def __init__(
        self, place: Place, token: bytes | None = None, limits: Limits | None = None, device: str = "auto"
    ) -> None:
        self.place, self.token, self.limits = place, token, limits or Limits()
        self.answering, self.draining = 0, False  # in the thread of the event loop
        self.painting = Painting(place, device)
        self.worker = self.painting.worker
        self.shop = Workshop(place, device)
        self._tickets: dict[str, Path] = {}
        self._reviews: dict[Path, Review] = {}
        self._lock = threading.Lock()

    @property
    def open(self) -> tuple[str, ...]:
        """For the gate: the page, which holds no data, and pages of results that somebody who may was told of."""
        return *OPEN, *(f"{TICKETS}{ticket}" for ticket in list(self._tickets))

    def ticket(self, name: str) -> str:
        """The address of a page of results for a frame or a tab, which send no token: nobody can guess it.

        Raises
        ------
        InputError
            If it is no page of an audit or a bench in the folder.
        """
        found = self.place.found()
        if name not in (*found["audits"], *found["reports"]):
            raise InputError(f"{shown(name)} is no page of an audit or a bench in this folder: choose another.")
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            while len(self._tickets) >= OPENED:
                self._tickets.pop(next(iter(self._tickets)))
            self._tickets[ticket] = self.place.path(name)
        return f"{TICKETS}{ticket}"

    def page(self, ticket: str) -> bytes:
        """The page that a ticket is for."""
        if ticket not in self._tickets:
            raise InputError("this address is not valid any more: open the page again in the studio.")
        return read_bytes(self._tickets[ticket])

    def end(self) -> None:
        """Stop what runs, as Ctrl-C does."""
        self.shop.work.end()
        self.worker.stop()

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
