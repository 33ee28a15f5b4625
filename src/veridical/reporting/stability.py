"""How steadily a system trains: over seeds, the share of runs that failed or collapsed, and the spread of the score."""

import statistics
from typing import Any

from veridical.reporting.formats import DASH, fixed
from veridical.reporting.results import Cell
from veridical.reporting.tables import find_metric, spread, title
from veridical.scoring.table import HEADLINE

COLLAPSED = 0.4  # of the real tiles' spacing; one to eight repeated images stay below 0.37, working systems above 0.49
EXPLAINED = (
    f"Failed: training diverged or the process ended. Collapsed: the samples' spacing (median distance to the nearest other "
    f"sample, in image features) is below {COLLAPSED:g} of that of real tiles, which means one image or a few repeated. Spread "
    f"and range are of {title(HEADLINE)} ({HEADLINE}) over the seeds that have a score."
)


def stability(systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Systems of one dataset that ran with more than one seed.

    Parameters
    ----------
    systems : list of dict
        From `veridical.reporting.tables.ranking`.

    Returns
    -------
    list of dict
        system, runs (finished), failed and collapsed (counts; collapsed is None if nobody measured it), mean and spread
        (standard deviation over seeds; None below two scores), stat (the headline, from `aggregate`).
    """
    rows = []
    for system in systems:
        ended = [cell for cell in system["cells"] if cell.state in ("done", "failed")]
        if len(ended) < 2:
            continue
        spacings = [s for cell in ended if (s := _spacing(cell)) is not None]
        stat = system["metrics"][HEADLINE]
        rows.append({
            "system": system["system"],
            "runs": len(ended),
            "failed": sum(cell.state == "failed" for cell in ended),
            "collapsed": sum(s < COLLAPSED for s in spacings) if spacings else None,
            "mean": stat["value"],
            "spread": statistics.stdev(stat["values"]) if len(stat["values"]) > 1 else None,
            "stat": stat,
        })  # fmt: skip
    return rows


def _spacing(cell: Cell) -> float | None:
    values = {row["metric"]: row["value"] for row in cell.rows}
    name = find_metric(list(values), "spacing")
    return values[name] if name else None


def stability_rows(dataset: str, systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table with all digits; shares of the runs."""
    return [
        {"dataset": dataset, "system": row["system"], "runs": row["runs"], "failed_share": row["failed"] / row["runs"]}
        | {"collapsed_share": None if row["collapsed"] is None else row["collapsed"] / row["runs"]}
        | {HEADLINE: row["mean"], "standard_deviation": row["spread"]}
        | {"smallest": min(row["stat"]["values"], default=None), "largest": max(row["stat"]["values"], default=None)}
        for row in stability(systems)
    ]


def stability_shown(dataset: str, systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table as text."""
    return [
        {"dataset": dataset, "system": row["system"], "runs": row["runs"]}
        | {"failed": _share(row["failed"], row["runs"]), "collapsed": _share(row["collapsed"], row["runs"])}
        | {HEADLINE: fixed(row["mean"]), "spread": fixed(row["spread"], 3), "range": spread(row["stat"]) or DASH}
        for row in stability(systems)
    ]


def _share(count: int | None, runs: int) -> str:
    return DASH if count is None else f"{100 * count / runs:.0f} % ({count} of {runs})"
