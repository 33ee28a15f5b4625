"""Reviews by people in a bench folder, ``reviews/NAME/``: their rows and what they say."""

from __future__ import annotations

from typing import Any

from veridical.core.errors import InputError
from veridical.reporting.results import Files, inside
from veridical.scoring.review import HEADS, review, said, verdict
from veridical.scoring.reviewed import ANSWERS, REVIEW

EXPLAINED = (
    "What people said of real and synthetic tiles that they saw blind (veridical studio). Error rates: 0 is "
    "always seen, 0.5 as guessing does; intervals are for other tiles and, of several reviewers, for others."
)


def reviews(files: Files) -> list[dict[str, Any]]:
    """Name, sentence and rows as text of each that has answers; what cannot be read is told."""
    found = []
    for path in sorted(files.folder.glob(f"reviews/*/{ANSWERS}")):
        try:
            for part in (path, path.with_name(REVIEW)):
                inside(files.folder, part)
            rows = review(path)
        except InputError as error:
            files.tell(error)
            continue
        table = [dict(zip(HEADS, said(one, {}), strict=True)) for one in rows]
        found.append({"name": path.parent.name, "sentence": verdict(rows), "rows": table})
    return found
