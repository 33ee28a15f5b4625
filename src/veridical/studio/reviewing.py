"""A review as reviewers see it: an order of their own, tiles without names, answers that are kept at once."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from veridical.auditing.defects import DEFECTS, title_of
from veridical.core.errors import InputError
from veridical.core.files import open_regular, read_json
from veridical.scoring.review import review, said, verdict
from veridical.scoring.reviewed import REVIEW, TILES, Answer, Plan, Side, append_answers, read_answers

LONGEST = 40  # characters of a name


class Review:
    """One folder of `veridical.studio.making.make_review`.

    A tile has no other name in here than its position in the order of a reviewer, which differs from that of every other.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If it is no review.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_json(folder / REVIEW, Plan)
        self._lock = threading.Lock()

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        path = self.folder / TILES
        with open_regular(path) as file:
            found: NDArray[np.uint8] = np.load(file, allow_pickle=False)
        if found.dtype != np.uint8 or found.ndim != 4 or len(found) != len(self.plan["tiles"]):
            raise InputError(f"{path} is not of the review beside it: make the review again.")
        return found

    @cached_property
    def choices(self) -> dict[str, str]:
        """What may give a tile away: defects of single images that can be seen, and their titles."""
        coloured = self._pixels.shape[-1] == 3
        return {
            name: title_of(name) for name, row in DEFECTS.items()
            if row.level == "image" and row.score is not None and row.named and row.needs != "copies"
            and (row.needs != "grey" or coloured)
        }  # fmt: skip

    def begun(self, reviewer: str) -> dict[str, Any]:
        """What a reviewer needs to begin, or to go on: own answers by position, nothing of what tiles are."""
        order = self._order(reviewer)
        place = {int(tile): k for k, tile in enumerate(order)}
        with self._lock:
            given = self._answers(reviewer)
        answers = {place[one["tile"]]: {"answer": one["answer"], "reasons": one["reasons"]} for one in given}
        height, width = self._pixels.shape[1:3]
        return {
            "count": len(order), "answers": answers, "width": width, "height": height,
            "choices": [{"name": name, "title": title} for name, title in self.choices.items()],
        }  # fmt: skip

    def picture(self, reviewer: str, position: int) -> bytes:
        """The tile at a position as PNG, with nothing in the file but pixels."""
        pixels = self._pixels[self._tile(reviewer, position)]
        return bytes(imagecodecs.png_encode(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))

    def answer(self, reviewer: str, position: int, answer: Side, reasons: list[str], seconds: float) -> None:
        """Keep an answer; it is on the disk when this returns.

        Raises
        ------
        InputError
            For reasons that are none of `choices`, or reasons why a tile is real; and once all tiles have an answer: who has
            seen the results could change answers by them.
        """
        strange = [reason for reason in reasons if reason not in self.choices]
        if strange or (reasons and answer == "real"):
            raise InputError(f"a tile that is {answer} has no reason {(strange or reasons)[0]!r}: leave it out.")
        one: Answer = {
            "reviewer": reviewer, "tile": self._tile(reviewer, position), "answer": answer, "reasons": reasons,
            "seconds": round(seconds, 2), "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        with self._lock:
            if not self._left(reviewer):
                raise InputError(f"all tiles have an answer of {reviewer}: they stay what they are.")
            append_answers(self.folder, [one])

    def results(self, reviewer: str) -> dict[str, Any]:
        """The rows for somebody who has answered everything.

        Raises
        ------
        InputError
            For others: who knows how many of the answers are wrong sees what is left with other eyes.
        """
        with self._lock:
            left = self._left(reviewer)
        if left:
            raise InputError(f"{left} tiles have no answer of {reviewer}: results are shown after the last.")
        rows = review(self.folder)
        return {"rows": [said(one, self.choices) for one in rows], "sentence": verdict(rows)}

    def _answers(self, reviewer: str) -> list[Answer]:
        return [one for one in read_answers(self.folder, len(self.plan["tiles"])) if one["reviewer"] == reviewer]

    def _left(self, reviewer: str) -> int:
        """Tiles without an answer."""
        return len(self.plan["tiles"]) - len({one["tile"] for one in self._answers(reviewer)})

    def _order(self, reviewer: str) -> NDArray[np.int_]:
        if (
            not reviewer.strip()
            or len(reviewer) > LONGEST
            or not reviewer.isprintable()
            or reviewer != reviewer.strip()
        ):
            raise InputError(f"a reviewer has a name of 1 to {LONGEST} letters: give one.")
        own = int.from_bytes(hashlib.sha256(reviewer.encode()).digest()[:8])
        return np.random.default_rng([self.plan["seed"], own]).permutation(len(self.plan["tiles"]))

    def _tile(self, reviewer: str, position: int) -> int:
        order = self._order(reviewer)
        if not 0 <= position < len(order):
            raise InputError(f"there is no tile at position {position}: there are {len(order)}.")
        return int(order[position])
