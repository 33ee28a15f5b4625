"""Statistical power: what would have been caught. Defects of growing severity, until the audit finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from veridical.auditing import set_tests
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, scores, title_of
from veridical.auditing.explain import Planted
from veridical.auditing.repeats import NAME, close, crowded
from veridical.auditing.set_scores import Sets
from veridical.stats.conformal import conformal_p, fields_needed

WAYS = 499  # permutations of each trial


def smallest_caught(
    planted: Planted, c: Comparison, alpha: float, *, progress: Callable[[float], None] | None = None
) -> list[dict[str, Any]]:
    """Smallest severity of each image-level defect with which at least half of the images fail.

    Parameters
    ----------
    planted : real images of `c` with defects
    alpha : level
    progress : function called with the share done

    Returns
    -------
    list of {defect, title, level, severity, unit, caught}
        `caught` is the share of images that fail at that severity; `severity` is None where not even the largest of
        the row of `DEFECTS` is caught. All empty if there are too few fields of view to fail any image.
    """
    fields, worst = c.fields, c.scored.real.max(1)
    if int(fields.max()) + 1 < fields_needed(alpha):
        return []
    rows = []
    defects = {name: how for name, how in planted.defects.items() if name in scores()}
    for k, (defect, how) in enumerate(defects.items()):
        row: dict[str, Any] = {
            "defect": defect,
            "title": title_of(defect),
            "level": "image",
            "severity": None,
            "unit": how.unit,
        }
        for severity in how.severities:
            p = conformal_p(c.scores_of(planted.beside(c, defect, severity)).max(1), worst, fields)
            row["caught"] = float((p <= alpha).mean())
            if row["caught"] >= 0.5:
                row["severity"] = severity
                break
        rows.append(row)
        if progress is not None:
            progress((k + 1) / len(defects))
    return rows


def smallest_set_defect(c: Comparison, alpha: float, *, seed: int = 0) -> list[dict[str, Any]]:
    """Smallest severity of each set-level defect that is found when it is planted in a set that passed.

    Measurements are altered, not images, so this costs little; otherwise as `smallest_caught`.
    """
    rng = np.random.default_rng(seed)
    tests, sets = set_tests.names(c.searched), c.sets
    rows = []
    for defect in DEFECTS:
        how = DEFECTS[defect].alter
        if how is None or DEFECTS[defect].level != "set" or defect not in tests:
            continue
        row: dict[str, Any] = {
            "defect": defect,
            "title": title_of(defect),
            "level": "set",
            "severity": None,
            "unit": how.unit,
            "caught": 0.0,
        }
        for severity in how.severities:
            altered = how.function(sets, severity, rng)
            p = set_tests.test_set(c, altered, most=WAYS).p[tests.index(defect)]
            row["caught"] = float(p <= alpha or (defect == NAME and _crowded(c, altered)))
            if row["caught"]:
                row["severity"] = severity
                break
        rows.append(row)
    return rows


def _crowded(c: Comparison, altered: Sets) -> bool:
    """Whether a set of planted copies fails without a test, see `repeats`."""
    across = altered.distance[len(c.real) :, len(c.real) :]
    return crowded(c, close(c, across))
