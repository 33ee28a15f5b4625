"""The review's Table 3 as numbers: quality, diversity, control and stability of each family, and whether its words hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from veridical.reporting.edited import passes
from veridical.reporting.formats import DASH, fixed, number, uncertain
from veridical.reporting.results import Cell
from veridical.reporting.stability import stability
from veridical.reporting.tables import aggregate, find_metric
from veridical.scoring.table import HEADLINE
from veridical.stats.jackknife import Interval, jackknife

FAMILIES = {
    "VAE": "VAE", "GAN": "GAN", "diffusion": "diffusion", "text": "diffusion, from words",
    "pipelines": "pipelines of other people", "hosted": "hosted generators",
}  # fmt: skip
DIFFUSIVE = ("diffusion", "text")
EXPLAINED = (
    "Each family by its best system, the one nearest to real tiles. Quality: distance to real (0 real, 1 random "
    "texture), and the share of images that pass the audit. Diversity: coverage of the real tiles, and spacing beside"
    " that of real ones. Controllability: of systems that hear words the mean R² of numbers asked for and measured, "
    "the mean balanced accuracy of presence, and the largest share of edits that obeyed. Stability: runs that failed "
    "or collapsed, and the standard deviation of the distance over seeds."
)
Stat = Mapping[str, Any]


def family_rows(
    spec: Mapping[str, Any], ranked: Mapping[str, list[dict[str, Any]]], edits: Sequence[Cell]
) -> list[dict[str, Any]]:  # fmt: skip
    """One row a dataset and family: best system and what Table 3 says of it, as `aggregate` gives it.

    Parameters
    ----------
    spec : mapping
        ``spec.json``.
    ranked : mapping
        Dataset to systems, from `veridical.reporting.tables.ranking`.
    edits : sequence of Cell
    """
    recipes = spec.get("recipes") or {}
    rows = []
    for dataset, systems in ranked.items():
        for family, called in FAMILIES.items():
            mine = [s for s in systems if (recipes.get(s["system"]) or {}).get("family") == family]
            scored = [s for s in mine if s["rank"]]
            if not mine:
                continue
            best = scored[0] if scored else None
            told = [cell for s in mine for cell in s["cells"] if cell.control]
            steady = stability(mine)
            rows.append({
                "dataset": dataset, "family": called, "key": family, "systems": [s["system"] for s in mine],
                "best": best["system"] if best else None,
                "distance": best["metrics"][HEADLINE] if best else aggregate([]),
                "passes": _of_cells(best, passes), "blurred": _of_cells(best, _blurred),
                "coverage": _metric(best, "coverage"), "spacing": _metric(best, "spacing"),
                "R2": _mean(told, "R2 "), "presence": _mean(told, "presence "),
                "obeyed": _obeyed(spec, edits, dataset, [s["system"] for s in mine]),
                "runs": sum(c.state in ("done", "failed") for s in mine for c in s["cells"]),
                "bad": sum(r["failed"] + (r["collapsed"] or 0) for r in steady),
                "seeded": sum(r["runs"] for r in steady),
                "spread": max((r["spread"] for r in steady if r["spread"] is not None), default=None),
            })  # fmt: skip
    return rows


def _of_cells(system: Mapping[str, Any] | None, found: Callable[[Cell], dict[str, Any] | None]) -> Stat:
    cells = system["cells"] if system else []
    return aggregate([row for cell in cells if (row := found(cell)) is not None])


def _blurred(cell: Cell) -> dict[str, Any] | None:
    """Share of images in which the audit finds blur."""
    images = (cell.audit or {}).get("images") or []
    if not images:
        return None
    seen = np.array([any(f.get("defect") == "blur" for f in image.get("findings") or ()) for image in images], float)
    interval = jackknife(lambda i: float(seen[i].mean()), [np.arange(len(seen))], bounds=(0, 1))
    found = {"value": interval.value, "low": interval.low, "high": interval.high, "n": len(seen), "floor": None}
    return found | {"seed": cell.seed}


def _metric(system: Mapping[str, Any] | None, kind: str) -> Stat:
    rows = []
    for cell in system["cells"] if system else []:
        known = {row["metric"]: row for row in cell.rows}
        name = find_metric(list(known), kind)
        rows += [known[name]] if name else []
    return aggregate(rows)


def _mean(cells: Sequence[Cell], prefix: str) -> Stat:
    """Of the system with the largest mean over what was asked: the mean, and the means of the limits."""
    best = aggregate([])
    for name in dict.fromkeys(cell.recipe for cell in cells):
        rows = [row for c in cells if c.recipe == name for row in c.control if row["metric"].startswith(prefix)]
        rows = [row for row in rows if None not in (row.get("value"), row.get("low"), row.get("high"))]
        if not rows:
            continue
        value, low, high = (float(np.mean([row[key] for row in rows])) for key in ("value", "low", "high"))
        if best["value"] is None or value > best["value"]:
            best = aggregate([rows[0] | {"value": value, "low": low, "high": high, "floor": None}])
    return best


def _obeyed(spec: Mapping[str, Any], edits: Sequence[Cell], dataset: str, systems: Sequence[str]) -> Stat:
    """The largest share of edits that obeyed, by runs of these systems."""
    best = aggregate([])
    for name, entry in (spec.get("edits") or {}).items():
        if entry.get("run") not in systems:
            continue
        mine = [c for c in edits if c.dataset == dataset and c.recipe == name]
        stat = aggregate([row for cell in mine for row in cell.rows if row["metric"] == "obeyed"])
        if stat["value"] is not None and (best["value"] is None or stat["value"] > best["value"]):
            best = stat
    return best


KEYS = ("distance", "passes", "coverage", "spacing", "R2", "presence", "obeyed")


def table_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With all digits."""
    return [
        {"dataset": row["dataset"], "family": row["family"], "best": row["best"], "systems": " ".join(row["systems"])}
        | {
            f"{key}{end}": row[key][part]
            for key in KEYS
            for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        | {
            "runs": row["runs"],
            "failed_or_collapsed": row["bad"],
            "of_runs_with_seeds": row["seeded"],
            "spread": row["spread"],
        }
        for row in rows
    ]


def table_shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As text."""
    titles = {
        "distance": "quality: distance to real", "passes": "audit passes", "coverage": "diversity: coverage",
        "spacing": "spacing", "R2": "control: R²", "presence": "presence", "obeyed": "obeyed",
    }  # fmt: skip
    return [
        {"dataset": row["dataset"], "family": row["family"], "best system": row["best"] or DASH}
        | {said: uncertain(row[key]["value"], row[key]["low"], row[key]["high"]) for key, said in titles.items()}
        | {"stability: failed or collapsed": f"{row['bad']} of {row['seeded']}" if row["seeded"] else DASH}
        | {"spread over seeds": fixed(row["spread"], 3), "runs": number(row["runs"])}
        for row in rows
    ]


SAID = {
    "distance": "distance to real", "blurred": "share that the audit calls blurred", "coverage": "coverage", "R2": "R²",
}  # fmt: skip
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"


def claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What the review says of families, and whether it holds on each dataset at this budget: claim, dataset, answer, why."""
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = {row["key"]: row for row in rows if row["dataset"] == dataset}
        for claim, judged in CLAIMS.items():
            answer, why = judged(mine)
            found.append({"the review says": claim, "dataset": dataset, "here": answer, "why": why})
    return found


def _best(mine: Mapping[str, Mapping[str, Any]], keys: Sequence[str], what: str, sign: int) -> Mapping[str, Any] | None:
    """The row of these families with the largest (sign 1) or smallest (-1) value."""
    there = [mine[key] for key in keys if key in mine and mine[key][what]["value"] is not None]
    return max(there, key=lambda row: sign * row[what]["value"], default=None)


def _compared(
    mine: Mapping[str, Mapping[str, Any]], first: Sequence[str], second: Sequence[str], what: str, sign: int
) -> tuple[str, str]:
    """Whether the best of the first families has more (sign 1) or less (-1) of something than the best of the second."""
    a, b = _best(mine, first, what, sign), _best(mine, second, what, sign)
    if a is None or b is None:
        which = first if a is None else second
        return OPEN, f"nothing was measured of {' or '.join(FAMILIES[key] for key in which)}"
    values = (
        f"{row['best'] or row['family']} {uncertain(row[what]['value'], row[what]['low'], row[what]['high'])}"
        for row in (a, b)
    )
    said = f"{SAID[what]}: {'; '.join(values)}"
    if None in (a[what]["low"], a[what]["high"], b[what]["low"], b[what]["high"]):
        return OPEN, f"{said}; without intervals"
    low, high = ("low", "high") if sign > 0 else ("high", "low")
    if sign * a[what][low] > sign * b[what][high]:
        return HOLDS, said
    if sign * b[what][low] > sign * a[what][high]:
        return FAILS, said
    return OPEN, f"{said}; the intervals overlap"


def _unstable(mine: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    gan = mine.get("GAN")
    others = [row for key, row in mine.items() if key != "GAN" and row["seeded"]]
    if gan is None or not gan["seeded"] or not others:
        return OPEN, "needs several seeds of GANs and of others"
    bad, runs = sum(row["bad"] for row in others), sum(row["seeded"] for row in others)
    ours, theirs = _share(gan["bad"], gan["seeded"]), _share(bad, runs)
    widest = max((row["spread"] for row in others if row["spread"] is not None), default=None)
    said = f"{gan['bad']} of {gan['seeded']} runs of GANs failed or collapsed, {bad} of {runs} of others"
    said += f"; spread over seeds up to {fixed(gan['spread'], 3)}, of others {fixed(widest, 3)}"
    if ours.low is None or ours.high is None or theirs.low is None or theirs.high is None:
        return OPEN, f"{said}: without intervals"
    if ours.low > theirs.high:
        return HOLDS, said
    if theirs.low > ours.high:
        return FAILS, said
    return OPEN, f"{said}: the intervals of the shares overlap"


def _share(some: int, n: int) -> Interval:
    """`some` of `n` runs with their interval."""
    which = np.arange(n) < some
    return jackknife(lambda i: float(which[i].mean()), [np.arange(n)], bounds=(0, 1))


CLAIMS: dict[str, Callable[[Mapping[str, Mapping[str, Any]]], tuple[str, str]]] = {
    "diffusion models give the highest quality": lambda m: _compared(m, DIFFUSIVE, ("GAN", "VAE"), "distance", -1),
    "VAEs yield blurrier images than the others": lambda m: _compared(m, ("VAE",), ("GAN", *DIFFUSIVE), "blurred", 1),
    "GANs generate a wider variety than VAEs": lambda m: _compared(m, ("GAN",), ("VAE",), "coverage", 1),
    "diffusion models generate a wider variety than VAEs": lambda m: _compared(m, DIFFUSIVE, ("VAE",), "coverage", 1),
    "diffusion models offer the most control": lambda m: _compared(m, DIFFUSIVE, ("GAN", "VAE"), "R2", 1),
    "GANs are less stable in training than the others": _unstable,
}
