"""What would have been caught: defects of growing severity, until the audit with these real images finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from veridical.auditing import set_tests
from veridical.auditing.compare import Comparison
from veridical.auditing.explain import Planted
from veridical.auditing.image_scores import SCORES, nearness
from veridical.auditing.measure import PROPERTIES, SHAPES
from veridical.auditing.plant import PLANTS
from veridical.stats.conformal import conformal_p, fields_needed

WAYS = 299  # permutations of each trial
SETS = {
    "mode_collapse": ((0.3, 0.6, 1.0), "of the images copies of three"),
    "memorised": ((0.1, 0.3, 0.6), "of the images copies of training images"),
    "low_coverage": ((0.6, 0.4, 0.2), "of the kinds of images left"),
    "property_shift": ((0.25, 0.5, 1.0), "standard deviations between real images, of every property"),
    "spectrum_shift": ((0.25, 0.5, 1.0), "standard deviations between real images, of every frequency"),
}


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
    list of {defect, level, severity, unit, caught}
        `caught` is the share of images that fail at that severity; `severity` is None where not even the largest of
        `PLANTS` is caught. All empty if there are too few fields of view to fail any image.
    """
    fields, real, scored = c.fields, c.real, c.scored
    if int(fields.max()) + 1 < fields_needed(alpha):
        return []
    worst = scored.real.max(1)
    rows = []
    defects = [name for name in SCORES if name in planted.defects]
    for k, defect in enumerate(defects):
        row: dict[str, Any] = {"defect": defect, "level": "image", "severity": None, "unit": PLANTS[defect].unit}
        for severity in PLANTS[defect].severities:
            x = planted(defect, severity)
            x = x if real.copy_distance is None else x.with_copies(real.copy_distance[planted.rows])
            z = scored.of(x, real, nearness(x, real), c.own, fold=0)
            p = conformal_p(z.max(1), worst, fields)
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
    tests = set_tests.names(c.searched)
    rows = []
    for defect, (severities, unit) in SETS.items():
        if defect not in tests:
            continue
        row: dict[str, Any] = {"defect": defect, "level": "set", "severity": None, "unit": unit, "caught": 0.0}
        for severity in severities:
            altered, far = _altered(defect, severity, c, rng)
            p, _ = set_tests.test_set(altered, distance=far, most=WAYS)
            row["caught"] = float(p[tests.index(defect)] <= alpha)
            if row["caught"]:
                row["severity"] = severity
                break
        rows.append(row)
    return rows


def _altered(defect: str, severity: float, c: Comparison, rng) -> tuple[Comparison, np.ndarray]:
    """The comparison and the distances with a defect."""
    real, synth, distance = c.real, c.synth, c.distance
    n, m = len(real), len(synth)
    if defect == "memorised":
        copies = np.array(c.fair)
        copies[rng.permutation(m)[: round(severity * m)]] = 0.05
        return replace(c, fair=copies), distance
    if defect in ("mode_collapse", "low_coverage"):
        rows = np.arange(m)
        if defect == "mode_collapse":
            chosen = rng.permutation(m)[: round(severity * m)]
            rows[chosen] = rows[:3][np.arange(len(chosen)) % 3]
        else:  # the share of the images that are nearest to the first one takes the places of all
            nearest = np.argsort(distance[n, n:])[: max(4, round(severity * m))]
            rows = nearest[np.arange(m) % len(nearest)]
        take = np.concatenate([np.arange(n), n + rows])
        far = distance[np.ix_(take, take)]
        # copies of a generator are never equal
        near = np.quantile(far[far > 0], 0.01)
        same = (take[:, None] == take) & ~np.eye(n + m, dtype=bool)
        fair = None if c.fair is None else c.fair[rows]
        return replace(c, synth=synth[rows], fair=fair), np.where(same, near / 2, far)
    if defect == "property_shift":
        values = dict(synth.values)
        for name in (*PROPERTIES, *SHAPES):
            values[name] = values[name] + severity * np.nanstd(real.values[name])
        return replace(c, synth=replace(synth, values=values)), distance
    return replace(c, synth=replace(synth, bands=synth.bands + severity * real.bands.std(0))), distance
