"""What is quoted of a whole set: the number that was tested, in units that people read, beside where those of real sets lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from veridical.auditing.case import usual
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, Mean, Shift, Spacing
from veridical.auditing.evidence import Evidence, in_limits, in_units, known
from veridical.auditing.set_scores import Sets
from veridical.auditing.set_tests import CLIP, Tested, both, compare_blocks, sides

Values = dict[str, np.ndarray]


def quote_set(
    name: str, tested: Tested, c: Comparison, sets: Sets, values: tuple[Values, Values], alpha: float, most: int
) -> Evidence | None:
    """What the test of a defect saw: its mean over the set, beside where it lies in 1 - `alpha` of real sets by the same test.

    Of a defect of single images the mean score is tested. A measured value of its row says more; so that which differs most is
    quoted, if the same test finds that it differs, and else the score.

    Parameters
    ----------
    tested : what the tests compared
    sets : what was tested
    values : what explanations may quote of single images, (M,) each of synthetic and (N,) of real ones
    alpha, most : level, and ways to call blocks synthetic
    """
    row, of = DEFECTS[name], f"{100 * (1 - alpha):.3g} % of real sets"
    k, mean, *ends = tested.compared[name].bounds(alpha, sides(name))
    if not np.isfinite(mean):
        return None
    if isinstance(row.test, Shift):
        return _scaled(row.values[k], mean, ends, row.test.function(sets.real)[:, k], of)
    if isinstance(row.test, (Mean, Spacing)):
        units, called = row.test.units, row.values[0]
        tested_of = [None if v is None or not np.isfinite(v) else v for v in (mean, *ends)]
        if isinstance(row.test, Mean):
            centre, scale, _ = (each[0] for each in usual(row.test.function(sets.real)))
            tested_of = [None if z is None else centre + scale * z for z in tested_of]
        value, low, high = (None if v is None else in_limits(called, units(v)) for v in tested_of)
        if units(1.0) < units(0.0):
            low, high = high, low
        assert value is not None  # is finite
        return Evidence(called, value, low, high, of)
    mine_of, usual_of = values
    if names := known(row.values, mine_of, usual_of):
        synth, real = (np.stack([each[name] for name in names], 1) for each in (mine_of, usual_of))
        k, value, *found = compare_blocks(c, [both(real, synth, CLIP)], most)[0].bounds(alpha, 2)
        quoted = _scaled(names[k], value, found, real[:, k], of)
        if quoted.outside:
            return quoted
    return Evidence("score", mean, ends[0], ends[1], of)


def named_once(findings: list[dict[str, Any]]) -> None:
    """Quote each measured value once, in the first finding that it shows, with what else it may mean.

    The others, which are tests of their own, say of which finding it is (``same_as``), and are not drawn again.
    """
    first: dict[str, dict[str, Any]] = {}
    for finding in findings:
        name, finding["same_as"] = finding.get("quoted"), None
        if name is None or name == "score":
            continue
        known_by = first.setdefault(name, finding)
        if known_by is not finding:
            finding["same_as"], finding["distribution"] = known_by["defect"], None
            finding["explanation"] = (
                f"{DEFECTS[finding['defect']].what}: the same measurement as of {known_by['title']}"
            )
    for finding in first.values():
        if also := [f["title"] for f in findings if f["same_as"] == finding["defect"]]:
            finding["explanation"] += f" (it may also mean: {'; '.join(also)})"


def _scaled(name: str, mean: float, ends: list[float | None], real: np.ndarray, of: str) -> Evidence:
    """The mean and its bounds, from z-scores back to the units of real values (N,)."""
    centre, scale, _ = (each[0] for each in usual(real[:, None]))
    low, high = (None if z is None else in_units(name, centre + scale * z) for z in ends)
    return Evidence(name, in_units(name, centre + scale * mean), low, high, of)
