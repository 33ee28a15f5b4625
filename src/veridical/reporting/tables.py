"""What the tables of a bench hold: lists of dictionaries with all digits, and as people print them."""

import math
from collections.abc import Sequence
from typing import Any

from veridical.core.pace import slowed
from veridical.reporting.formats import DASH, between, fixed, minutes, number, uncertain
from veridical.reporting.results import Cell
from veridical.scoring.result_rows import real_of
from veridical.scoring.table import HEADLINE, METRICS, find

BASELINE = "random_phase"
COST_KEYS = (
    "parameters", "train_seconds", "steps", "batch", "seconds_per_image", "peak_memory_mb", "device", "threads",
)  # fmt: skip


def floor_text(kind: str, values: Sequence[float]) -> str:
    """Floors of a column of the ranking: one number, or smallest to largest."""
    if not values:
        return DASH
    decimals = METRICS[kind].decimals
    if decimals is None:
        return between(values)
    low, high = (fixed(x, decimals) for x in (min(values), max(values)))
    return low if low == high else f"{low}{' to ' if low.startswith('−') else '–'}{high}"


def counted(stat: dict[str, Any]) -> str:
    """How many images a number is of: samples, and real ones where that is known."""
    real = "" if stat["n_real"] is None else f", {number(stat['n_real'])} real"
    return "" if stat["n"] is None else f"n = {number(stat['n'])}{real}"


def title(kind: str) -> str:
    """What a column of the ranking is called."""
    return METRICS[kind].title or kind


def find_metric(names: Sequence[str], kind: str) -> str | None:
    """The first of `names` that is one of the metric `kind`, whatever the extractor (``fd_...``, ``fid``)."""
    return next((name for name in names if find(name) is METRICS[kind]), None)


def aggregate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One metric of one system over its seeds.

    Returns
    -------
    dict
        value (mean over seeds), low and high (the widest reach of the seeds' intervals), values and seeds (those that
        have a number), floor (mean), n and n_real (smallest; of samples and of real tiles), reason (of the first row without
        a value, or None), no_interval (why a value has no interval, or None).
    """
    good = [row for row in rows if row.get("value") is not None]
    lows = [row["low"] for row in good if row.get("low") is not None]
    highs = [row["high"] for row in good if row.get("high") is not None]
    floors = [row["floor"] for row in rows if row.get("floor") is not None]
    return {
        "value": sum(row["value"] for row in good) / len(good) if good else None,
        "low": min(lows) if lows and len(lows) == len(good) else None,
        "high": max(highs) if highs and len(highs) == len(good) else None,
        "values": [row["value"] for row in good],
        "seeds": [row["seed"] for row in good],
        "floor": sum(floors) / len(floors) if floors else None,
        "n": min((row["n"] for row in good if row.get("n") is not None), default=None),
        "n_real": min((real for row in good if (real := real_of(row)) is not None), default=None),
        "reason": next((row.get("reason") or "not measured" for row in rows if row.get("value") is None), None),
        "no_interval": next((row["remark"] for row in good if row.get("low") is None and row.get("remark")), None),
    }


def metric_columns(cells: list[Cell]) -> dict[str, str | None]:
    """Which metric stands in each column of the ranking (None: nobody measured it); the headline first."""
    names = list(dict.fromkeys(row["metric"] for cell in cells for row in cell.rows))
    kinds = dict.fromkeys([HEADLINE, *(kind for kind, metric in METRICS.items() if metric.ranked)])
    return {kind: find_metric(names, kind) for kind in kinds}


def ranking(cells: list[Cell], columns: dict[str, str | None]) -> list[dict[str, Any]]:
    """Systems of one dataset in the order of the headline; those without one come last.

    Parameters
    ----------
    cells : list of Cell
        All cells of the dataset.
    columns : dict
        From `metric_columns`, over all datasets, so that their tables have the same columns.

    Returns
    -------
    list of dict
        rank (None without a headline), system, metrics (kind -> `aggregate`, with the metric's full name), minutes,
        steps (one a cell), slowed and problems (what happened to cells that are not done, one text a reason), cells.
    """
    systems: list[dict[str, Any]] = []
    for recipe in dict.fromkeys(cell.recipe for cell in cells):
        mine = [cell for cell in cells if cell.recipe == recipe]
        metrics = {}
        for kind, name in columns.items():
            rows = [row for cell in mine for row in cell.rows if row["metric"] == name]
            metrics[kind] = {"metric": name, **aggregate(rows)}
        steps = [cell.cost["steps"] for cell in mine if cell.cost.get("steps") is not None]
        spent = [cell.cost["train_seconds"] / 60 for cell in mine if cell.cost.get("train_seconds") is not None]
        systems.append({
            "system": recipe,
            "metrics": metrics,
            "minutes": sum(spent) / len(spent) if spent else None,
            "steps": steps,
            "slowed": _by_seed([(cell.seed, said) for cell in mine if (said := slowed(cell.cost))]),
            "problems": _problems(mine),
            "cells": mine,
        })  # fmt: skip
    systems.sort(key=lambda s: math.inf if (v := s["metrics"][HEADLINE]["value"]) is None else v)
    for k, system in enumerate(systems):
        system["rank"] = None if system["metrics"][HEADLINE]["value"] is None else k + 1
    return systems


def best_learned(systems: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first system of a `ranking` that is not the line to beat; None where none has a headline."""
    return next((s for s in systems if s["rank"] and s["system"] != BASELINE), None)


def _problems(cells: list[Cell]) -> list[str]:
    return _by_seed([(cell.seed, cell.trouble) for cell in cells if cell.trouble])


def _by_seed(told: list[tuple[int, str]]) -> list[str]:
    """Sentences about seeds, each once."""
    seeds: dict[str, list[str]] = {}
    for seed, trouble in told:
        seeds.setdefault(trouble, []).append(str(seed))
    return [f"seed{'s' * (len(s) > 1)} {', '.join(s)} {trouble}" for trouble, s in seeds.items()]


def notes(system: dict[str, Any]) -> str:
    """Why cells, numbers or intervals of a system are missing, in one line."""
    parts = [*system["problems"], *system["slowed"]]
    if any(cell.rows for cell in system["cells"]):
        for stat in system["metrics"].values():
            said = stat["reason"] or stat["no_interval"]
            if stat["metric"] and said:
                parts.append(f"{stat['metric']}: {said}")
    return "; ".join(dict.fromkeys(parts))


def ranking_rows(dataset: str, systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ranking with all digits."""
    rows = []
    for system in systems:
        row = {"dataset": dataset, "rank": system["rank"], "system": system["system"]}
        headline = system["metrics"][HEADLINE]
        row |= {"seeds": " ".join(map(str, headline["seeds"]))}
        for kind, stat in system["metrics"].items():
            name = stat["metric"] or kind
            row |= {name: stat["value"], f"{name}_low": stat["low"], f"{name}_high": stat["high"]}
            row |= {f"{name}_seed_min": min(stat["values"], default=None)}
            row |= {f"{name}_seed_max": max(stat["values"], default=None), f"{name}_floor": stat["floor"]}
            row |= {f"{name}_n": stat["n"], f"{name}_n_real": stat["n_real"]}
        rows.append(
            row
            | {
                "training_minutes": system["minutes"],
                "training_steps": " ".join(map(str, system["steps"])),
                "notes": notes(system),
            }
        )
    return rows


def ranking_shown(dataset: str, systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ranking as text: value with interval, spread over seeds where there are several."""
    rows = []
    for system in systems:
        headline = system["metrics"][HEADLINE]
        row = {"dataset": dataset, "rank": system["rank"], "system": system["system"], HEADLINE: _shown(headline)}
        row |= {"floor": fixed(headline["floor"], 3), "n": counted(headline).removeprefix("n = ") or DASH}
        row |= {"seeds": ", ".join(map(str, headline["seeds"])) or DASH, "spread over seeds": spread(headline) or DASH}
        others = {kind: s for kind, s in system["metrics"].items() if kind != HEADLINE}
        row |= {s["metric"] or kind: "; ".join(filter(None, (_shown(s), counted(s)))) for kind, s in others.items()}
        rows.append(
            row
            | {"training min": minutes(system["minutes"]), "steps": steps_text(system), "notes": notes(system) or DASH}
        )
    return rows


def steps_text(system: dict[str, Any]) -> str:
    """Steps of training, smallest to largest over the seeds; a dash for a system that takes none."""
    low, high = min(system["steps"], default=0), max(system["steps"], default=0)
    return DASH if not high else number(high) if low == high else f"{number(low)}–{number(high)}"


def _shown(stat: dict[str, Any]) -> str:
    return uncertain(stat["value"], stat["low"], stat["high"])


def spread(stat: dict[str, Any]) -> str | None:
    """Smallest to largest value over the seeds, None for a single seed."""
    return between(stat["values"], 3) if len(stat["values"]) > 1 else None


def cost_rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """One row a cell: what it took, in the units of cost.json."""
    return [
        {"dataset": cell.dataset, "system": cell.recipe, "seed": cell.seed, "state": cell.state}
        | {key: cell.cost.get(key) for key in COST_KEYS}
        | {"notes": cell.trouble or slowed(cell.cost) or paid([cell.cost])}
        for cell in cells
    ]


def paid(costs: Sequence[dict[str, Any]]) -> str:
    """What cells took of a hosted generator, "" of others."""
    found = [cost["paid"] for cost in costs if cost.get("paid")]
    requests = sum(one.get("requests") or 0 for one in found)
    tokens = sum((one.get("usage") or {}).get("total_tokens") or 0 for one in found)
    said = f"{number(requests)} requests" if requests else ""
    return f"{said}, {number(tokens)} tokens" if said and tokens else said


def cost_shown(cells: list[Cell]) -> list[dict[str, Any]]:
    """One row a cell, in units that people use."""
    rows = []
    for row in cost_rows(cells):
        seconds, memory, count = row["train_seconds"], row["peak_memory_mb"], row["parameters"]
        rows.append({
            "dataset": row["dataset"], "system": row["system"], "seed": row["seed"],
            "parameters": f"{number(count / 1e6)} M" if count and count >= 1e5 else number(count),
            "training min": minutes(None if seconds is None else seconds / 60),
            "steps": number(row["steps"]), "batch": number(row["batch"]),
            "s per image": number(row["seconds_per_image"], 2),
            "peak memory": DASH if memory is None else f"{number(round(memory))} MB",
            "device": row["device"] or DASH, "threads": number(row["threads"]), "notes": row["notes"] or DASH,
        })  # fmt: skip
    return rows


METRIC_KEYS = (
    "dataset", "recipe", "seed", "metric", "value", "low", "high", "n", "floor", "reason", "remark", "settings",
)  # fmt: skip


def metric_rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """Every result row; a cell without any keeps one row with its reason."""
    rows = []
    for cell in cells:
        blank = {"dataset": cell.dataset, "recipe": cell.recipe, "seed": cell.seed}
        for row in cell.rows or [{"reason": cell.trouble or "no results"}]:
            rows.append(dict.fromkeys(METRIC_KEYS) | {k: row[k] for k in METRIC_KEYS if k in row} | blank)
    return rows


def metric_shown(cells: list[Cell]) -> list[dict[str, Any]]:
    """Every result row as text."""
    return [
        {"dataset": row["dataset"], "system": row["recipe"], "seed": row["seed"], "metric": row["metric"] or DASH}
        | {"value (95 % interval)": _shown(row), "floor": number(row["floor"]), "n": number(row["n"])}
        | {"real": number(real_of(row))}
        | {key: row[key] or DASH for key in ("reason", "remark")}
        for row in metric_rows(cells)
    ]
