"""Tables of a bench: lists of dictionaries, written as CSV (all digits), Markdown and LaTeX (as people print them)."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

HEADLINE = "kid_over_random_phase"
BASELINE = "random_phase"
# Columns of the ranking: a metric's name, or what its name begins with before the extractor.
RANKING_METRICS = (HEADLINE, "fd", "precision", "recall", "coverage", "memorised")
COST_KEYS = (
    "parameters", "train_seconds", "steps", "batch", "seconds_per_image", "peak_memory_mb", "device", "threads",
)  # fmt: skip
DASH = "–"


# --- numbers as people read them ------------------------------------------------------------------------------------


def number(value: float | int | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits (whole numbers in full, groups of three), a dash for None."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, int) or value == 0 or abs(value) >= 10**digits:
        return _sign(f"{value:,.0f}".replace(",", "\u202f"))
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return _sign(f"{value:.{digits - 1}e}")
    return _sign(f"{value:.{max(digits - 1 - magnitude, 0)}f}")


def uncertain(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """`value (low–high)`, with as many decimals as the width of the interval warrants: 0.42 (0.31–0.55)."""
    if value is None or low is None or high is None or not high > low:
        return number(value)
    decimals = min(max(1 - math.floor(math.log10(high - low)), 0), 6)
    value_text, low_text, high_text = (_sign(f"{x:.{decimals}f}") for x in (value, low, high))
    return f"{value_text} ({low_text}{' to ' if low_text.startswith('−') else '–'}{high_text})"


def fixed(value: float | None, decimals: int = 2) -> str:
    """`value` with that many decimals, a dash for None."""
    return DASH if value is None else _sign(f"{value:.{decimals}f}")


def minutes(value: float | None) -> str:
    """Minutes of training to a tenth."""
    return "<0.1" if value is not None and 0 < value < 0.05 else fixed(value, 1)


def floor_text(kind: str, values: Sequence[float]) -> str:
    """Floors of a column of the ranking: one number, or smallest to largest."""
    if not values:
        return DASH
    if kind == "fd":
        return between(values)
    low, high = (fixed(x, 3 if kind == HEADLINE else 2) for x in (min(values), max(values)))
    return low if low == high else f"{low}{' to ' if low.startswith('−') else '–'}{high}"


def between(values: Sequence[float], digits: int = 2) -> str:
    """Smallest to largest of `values`, or the one number that they all are."""
    low, high = (number(x, digits) for x in (min(values), max(values)))
    if low == high:
        return low
    return f"{low}{' to ' if low.startswith('−') else '–'}{high}"


def _sign(text: str) -> str:
    """A true minus sign, and no minus before zero."""
    return text.replace("-", "−", 1) if text.startswith("-") and re.search(r"[1-9]", text) else text.lstrip("-")


# --- writers --------------------------------------------------------------------------------------------------------


def write_tables(
    folder: Path, name: str, rows: list[dict], shown: list[dict], caption: str, long: bool = False
) -> None:
    """Write `name`.csv from `rows` (numbers) and `name`.md and `name`.tex from `shown` (text)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(to_csv(rows), encoding="utf-8", newline="")
    (folder / f"{name}.md").write_text(to_markdown(shown), encoding="utf-8")
    (folder / f"{name}.tex").write_text(to_latex(shown, caption, f"tab:{name}", long), encoding="utf-8")


def to_csv(rows: list[dict]) -> str:
    """CSV with a header; numbers with all their digits, None as an empty field, lists and dictionaries as JSON."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
    return out.getvalue()


def to_markdown(rows: list[dict]) -> str:
    """A GitHub-flavoured pipe table."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(_markdown_cell(cell) for cell in line)} |\n" for line in lines)


def _markdown_cell(value) -> str:
    return " ".join(_text(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split("\n"))


def to_latex(rows: list[dict], caption: str, label: str, long: bool = False) -> str:
    """A booktabs table (``\\usepackage{booktabs}``), or a longtable that breaks over pages if `long`."""
    if not rows:
        return ""
    columns = list(rows[0])
    align = "".join("r" if all(re.match(r"[−–\d]", _text(row[c])) for row in rows) else "l" for c in columns)
    head = " & ".join(latex_escape(c) for c in columns) + r" \\"
    body = [" & ".join(latex_escape(_text(row[c])) for c in columns) + r" \\" for row in rows]
    title = rf"\caption{{{latex_escape(caption)}}}\label{{{label}}}"
    if long:
        lines = [
            rf"\begin{{longtable}}{{{align}}}", rf"{title} \\", r"\toprule", head, r"\midrule", r"\endhead",
            r"\bottomrule", r"\endfoot", *body, r"\end{longtable}",
        ]  # fmt: skip
    else:
        lines = [
            r"\begin{table}", r"\centering", title, rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule",
            *body, r"\bottomrule", r"\end{tabular}", r"\end{table}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "−": "$-$", "×": r"$\times$", "≈": r"$\approx$", "±": r"$\pm$", "µ": r"\textmu{}", "\u202f": r"\,",
}  # fmt: skip


def latex_escape(text: str) -> str:
    """`text` so that LaTeX prints it as it is, on one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(re.split(r"[ \t\r\n]+", text)))


def _text(value) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(value)


# --- what the tables hold -------------------------------------------------------------------------------------------


def find_metric(names: Sequence[str], kind: str) -> str | None:
    """The first of `names` that is `kind` or `kind` with an extractor behind it (``fd_...``; ``fid`` counts as fd)."""
    kinds = (kind, "fid") if kind == "fd" else (kind,)
    return next((n for n in names if n in kinds or n.startswith(tuple(f"{k}_" for k in kinds))), None)


def aggregate(rows: list[dict]) -> dict:
    """One metric of one system over its seeds.

    Returns
    -------
    dict
        value (mean over seeds), low and high (the widest reach of the seeds' intervals), values and seeds (those that
        have a number), floor (mean), n (smallest), reason (of the first row without a value, or None).
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
        "reason": next((row.get("reason") or "not measured" for row in rows if row.get("value") is None), None),
    }


def metric_columns(cells: list) -> dict[str, str | None]:
    """Which metric stands in each column of the ranking (None: nobody measured it)."""
    names = list(dict.fromkeys(row["metric"] for cell in cells for row in cell.rows))
    return {kind: find_metric(names, kind) for kind in RANKING_METRICS}


def ranking(cells: list, columns: dict[str, str | None]) -> list[dict]:
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
        problems (what happened to cells that are not done, one text a reason), cells.
    """
    systems = []
    for recipe in dict.fromkeys(cell.recipe for cell in cells):
        mine = [cell for cell in cells if cell.recipe == recipe]
        metrics = {}
        for kind, name in columns.items():
            rows = [row for cell in mine for row in cell.rows if row["metric"] == name]
            metrics[kind] = {"metric": name, **aggregate(rows)}
        spent = [cell.cost["train_seconds"] / 60 for cell in mine if cell.cost.get("train_seconds") is not None]
        systems.append({
            "system": recipe,
            "metrics": metrics,
            "minutes": sum(spent) / len(spent) if spent else None,
            "problems": _problems(mine),
            "cells": mine,
        })  # fmt: skip
    systems.sort(key=lambda s: math.inf if (v := s["metrics"][HEADLINE]["value"]) is None else v)
    for k, system in enumerate(systems):
        system["rank"] = None if system["metrics"][HEADLINE]["value"] is None else k + 1
    return systems


def _problems(cells: list) -> list[str]:
    seeds: dict[str, list[str]] = {}
    for cell in cells:
        if cell.trouble:
            seeds.setdefault(cell.trouble, []).append(str(cell.seed))
    return [f"seed{'s' * (len(s) > 1)} {', '.join(s)} {trouble}" for trouble, s in seeds.items()]


def notes(system: dict) -> str:
    """Why cells or numbers of a system are missing, in one line."""
    parts = list(system["problems"])
    if any(cell.rows for cell in system["cells"]):
        for stat in system["metrics"].values():
            if stat["metric"] and stat["reason"]:
                parts.append(f"{stat['metric']}: {stat['reason']}")
    return "; ".join(dict.fromkeys(parts))


def ranking_rows(dataset: str, systems: list[dict]) -> list[dict]:
    """The ranking with all digits."""
    rows = []
    for system in systems:
        row = {"dataset": dataset, "rank": system["rank"], "system": system["system"]}
        headline = system["metrics"][HEADLINE]
        row |= {"seeds": " ".join(map(str, headline["seeds"])), "n": headline["n"]}
        for kind, stat in system["metrics"].items():
            name = stat["metric"] or kind
            row |= {name: stat["value"], f"{name}_low": stat["low"], f"{name}_high": stat["high"]}
            row |= {f"{name}_seed_min": min(stat["values"], default=None)}
            row |= {f"{name}_seed_max": max(stat["values"], default=None), f"{name}_floor": stat["floor"]}
        rows.append(row | {"training_minutes": system["minutes"], "notes": notes(system)})
    return rows


def ranking_shown(dataset: str, systems: list[dict]) -> list[dict]:
    """The ranking as text: value with interval, spread over seeds where there are several."""
    rows = []
    for system in systems:
        headline = system["metrics"][HEADLINE]
        row = {"dataset": dataset, "rank": system["rank"], "system": system["system"], HEADLINE: _shown(headline)}
        row |= {"floor": fixed(headline["floor"], 3), "n": headline["n"]}
        row |= {"seeds": ", ".join(map(str, headline["seeds"])) or DASH, "spread over seeds": spread(headline) or DASH}
        row |= {s["metric"] or kind: _shown(s) for kind, s in system["metrics"].items() if kind != HEADLINE}
        rows.append(row | {"training min": minutes(system["minutes"]), "notes": notes(system) or DASH})
    return rows


def _shown(stat: dict) -> str:
    return uncertain(stat["value"], stat["low"], stat["high"])


def spread(stat: dict) -> str | None:
    """Smallest to largest value over the seeds, None for a single seed."""
    return between(stat["values"], 3) if len(stat["values"]) > 1 else None


def cost_rows(cells: list) -> list[dict]:
    """One row a cell: what it took, in the units of cost.json."""
    return [
        {"dataset": cell.dataset, "system": cell.recipe, "seed": cell.seed, "state": cell.state}
        | {key: cell.cost.get(key) for key in COST_KEYS}
        | {"notes": cell.trouble or ""}
        for cell in cells
    ]


def cost_shown(cells: list) -> list[dict]:
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


METRIC_KEYS = ("dataset", "recipe", "seed", "metric", "value", "low", "high", "n", "floor", "reason", "settings")


def metric_rows(cells: list) -> list[dict]:
    """Every result row; a cell without any keeps one row with its reason."""
    rows = []
    for cell in cells:
        blank = {"dataset": cell.dataset, "recipe": cell.recipe, "seed": cell.seed}
        for row in cell.rows or [{"reason": cell.trouble or "no results"}]:
            rows.append(dict.fromkeys(METRIC_KEYS) | {k: row[k] for k in METRIC_KEYS if k in row} | blank)
    return rows


def metric_shown(cells: list) -> list[dict]:
    """Every result row as text."""
    return [
        {"dataset": row["dataset"], "system": row["recipe"], "seed": row["seed"], "metric": row["metric"] or DASH}
        | {"value (95 % interval)": _shown(row), "floor": number(row["floor"]), "n": number(row["n"])}
        | {"reason": row["reason"] or DASH}
        for row in metric_rows(cells)
    ]
