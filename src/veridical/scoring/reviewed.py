"""What a review by people leaves on the disk: the tiles that were shown with what they are, and an answer a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from veridical.core.errors import InputError
from veridical.core.files import parse_json, read_json, read_text

REVIEW, ANSWERS, TILES = "review.json", "answers.jsonl", "tiles.npy"
Side = Literal["real", "synthetic"]


class Tile(TypedDict):
    """One that is shown: its name in the set it comes from, what it is, and its slice."""

    file: str
    side: Side
    group: str


class Plan(TypedDict):
    """``review.json``."""

    schema: Literal[1]
    version: str
    created: str
    real: str
    synth: str
    seed: int
    window: dict[str, Any]
    tiles: Annotated[list[Tile], Field(min_length=2)]


class Answer(TypedDict):
    """A line of ``answers.jsonl``: `tile` is its row in the plan."""

    reviewer: str
    tile: int
    answer: Side
    reasons: list[str]
    seconds: float
    at: str


class Reviewed(NamedTuple):
    """A plan, and what each reviewer said of each tile last.

    Attributes
    ----------
    plan : Plan
    reviewers : list of str
        In the order in which they began.
    said : ndarray of float, shape (R, N)
        1 where a tile was called synthetic, 0 where real, NaN where it was not answered.
    reasons : list of dict of int to list of str
        Of each reviewer, by tile: what gave it away.
    """

    plan: Plan
    reviewers: list[str]
    said: NDArray[np.float64]
    reasons: list[dict[int, list[str]]]

    @property
    def synthetic(self) -> NDArray[np.bool_]:
        """Which tiles are, (N,)."""
        return np.array([tile["side"] == "synthetic" for tile in self.plan["tiles"]])

    @property
    def groups(self) -> NDArray[np.str_]:
        """The slice of each tile, (N,)."""
        return np.array([tile["group"] for tile in self.plan["tiles"]])


def is_review(folder: Path) -> bool:
    """Whether a folder is a review."""
    return (folder / REVIEW).is_file() and (folder / TILES).is_file()


def read_review(folder: str | Path) -> Reviewed:
    """Read a review.

    Parameters
    ----------
    folder : str or Path
        Of the review, or its ``answers.jsonl``.

    Raises
    ------
    InputError
        If it is none, or damaged: the message names file and line.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == ANSWERS else folder
    if not (folder / REVIEW).is_file():
        raise InputError(f"{folder} is no review: make one with veridical studio, and give its folder.")
    plan = read_json(folder / REVIEW, Plan)
    answers = read_answers(folder, len(plan["tiles"]))
    reviewers = list(dict.fromkeys(answer["reviewer"] for answer in answers))
    said = np.full((len(reviewers), len(plan["tiles"])), np.nan)
    reasons: list[dict[int, list[str]]] = [{} for _ in reviewers]
    for answer in answers:  # who went back answered again: the last one holds
        row, tile = reviewers.index(answer["reviewer"]), answer["tile"]
        said[row, tile] = answer["answer"] == "synthetic"
        reasons[row][tile] = answer["reasons"]
    return Reviewed(plan, reviewers, said, reasons)


def read_answers(folder: Path, tiles: int) -> list[Answer]:
    """Answers in the order in which they came; a last line that was cut short by a sudden end is left out."""
    path = folder / ANSWERS
    if not path.exists():
        return []
    text = read_text(path)
    found = []
    for k, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        answer: Answer = parse_json(line, Answer, f"{path}, line {k}")
        if not 0 <= answer["tile"] < tiles:
            raise InputError(f"{path}, line {k}: there is no tile {answer['tile']}; it is of another review.")
        found.append(answer)
    return found


def append_answers(folder: Path, answers: Sequence[Answer]) -> None:
    """Write answers behind those that are there; on return they are on the disk."""
    import os

    path = folder / ANSWERS
    lines = "".join(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n" for answer in answers)
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        if whole < end:  # what a sudden end cut short
            file.truncate(whole)
        file.seek(0, os.SEEK_END)
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())
