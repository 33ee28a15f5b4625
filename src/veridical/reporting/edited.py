"""The review's Tables 6 to 8: its four scores of every system, beside what is true of what it made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from veridical.reporting.formats import DASH, number, uncertain
from veridical.reporting.results import Cell
from veridical.reporting.tables import aggregate, find_metric
from veridical.stats.jackknife import jackknife

GROUPS = {
    "line": "lines to beat",
    "generation": "from noise or text",
    "translation": "translation and variation",
    "inpainting": "inpainting with a mask",
}
MOST = 3  # decimals: an SSIM of 0.999998 is that of a copy
NAMES = 3  # first reasons that a row names
UNASKED = "no image is edited"
UNPAIRED = "needs pairs: it draws images that belong to none"
# What is true, then the review's four scores.
TRUE = ("obeyed", "moved", "change_outside", "structure_kept", "audit_passes")
SCORES = ("ssim", "lpips", "fd", "clipscore_domain")
TITLES = {
    "obeyed": "obeyed", "moved": "moved as asked", "change_outside": "change outside (noise)", "structure_kept": "structure kept",
    "audit_passes": "audit passes", "ssim": "SSIM", "lpips": "LPIPS", "fd": "Fréchet distance", "clipscore_domain": "CLIPScore",
}  # fmt: skip
EXPLAINED = (
    "Obeyed: share of images in which the property that was to change is, as a segmentation network measures it, "
    "nearer to that of the true after-image than half the way, and within three errors of the network. Moved as asked: "
    "it went the right way by more than three errors, or half the way if that is less; instructions name no amount. Change "
    "outside: mean change outside the true region, in units of the noise. Structure kept: Dice of the classes there. "
    "Audit passes: share of images that pass for real beside their sources. SSIM and LPIPS are to the source, the "
    "Fréchet distance is to real images, of edits and of new images not at the same n; CLIPScore is in a CLIP of the "
    "domain that no system learned from. Floor: the true after-images in place of the edited ones, of new images "
    "other real tiles. Values with 95 % intervals over images."
)


def systems(spec: dict[str, Any], cells: Sequence[Cell], edits: Sequence[Cell], dataset: str) -> list[dict[str, Any]]:
    """Rows of one dataset: group, system, seeds, metrics (name to `aggregate`), verdicts, reasons, trouble, cells."""
    rows = []
    for name, entry in (spec.get("edits") or {}).items():
        mine = [cell for cell in edits if cell.dataset == dataset and cell.recipe == name]
        if mine:
            rows.append(_row(entry.get("group") or "translation", name, mine, {}))
    reasons = dict.fromkeys(TRUE[:4], UNASKED) | dict.fromkeys(("ssim", "lpips"), UNPAIRED)
    reasons["clipscore_domain"] = "hears no words, or nobody compares its images with them"
    for name in spec.get("recipes") or {}:
        mine = [cell for cell in cells if cell.dataset == dataset and cell.recipe == name]
        if mine:
            rows.append(_row("generation", name, mine, reasons))
    order = list(GROUPS)
    return sorted(rows, key=lambda row: order.index(row["group"]) if row["group"] in order else len(order))


def _row(group: str, name: str, cells: list[Cell], reasons: dict[str, str]) -> dict[str, Any]:
    metrics = {}
    for key in (*TRUE, *SCORES):
        found = [row for cell in cells if (row := _found(cell, key)) is not None]
        stat = aggregate(found)
        if stat["value"] is None:
            stat["reason"] = reasons.get(key) or stat["reason"] or "not measured"
        metrics[key] = stat
    verdicts = Counter(v for cell in cells if cell.audit and (v := cell.audit.get("verdict")))
    first: Counter[str] = Counter()
    for cell in cells:
        for image in (cell.audit or {}).get("images") or ():
            if image.get("verdict") == "fail" and image.get("findings"):
                finding = image["findings"][0]
                first[finding.get("title") or finding.get("defect", "?")] += 1
    return {
        "group": group, "system": name, "metrics": metrics, "verdicts": verdicts, "first": first, "cells": cells,
        "trouble": next((cell.trouble for cell in cells if cell.trouble), None),
    }  # fmt: skip


def _found(cell: Cell, key: str) -> dict[str, Any] | None:
    """The row of a cell that a column is of."""
    rows = {row["metric"]: row for row in (*cell.rows, *cell.control)}
    if key in rows:
        return rows[key]
    if key == "audit_passes":
        return passes(cell)
    name = next((n for n in rows if n.startswith("lpips")), None) if key == "lpips" else None
    name = name or (find_metric(list(rows), key) if key == "fd" else None)
    return rows[name] if name else None


def passes(cell: Cell) -> dict[str, Any] | None:
    """Share of the images of a cell that the audit passes, as a result row; None where it gave no verdicts."""
    images = (cell.audit or {}).get("images") or []
    if not images:
        return None
    if any(image.get("verdict") not in ("pass", "fail") for image in images):
        why = "too few real images to judge single ones by"
        return {"metric": "audit_passes", "value": None, "low": None, "high": None, "n": len(images), "floor": None} | {
            "seed": cell.seed, "reason": why,
        }  # fmt: skip
    good = np.array([image.get("verdict") == "pass" for image in images], float)
    interval = jackknife(lambda i: float(good[i].mean()), [np.arange(len(good))], bounds=(0, 1))
    found = {"metric": "audit_passes", "value": interval.value, "low": interval.low, "high": interval.high}
    return found | {"n": len(good), "floor": None, "seed": cell.seed, "reason": None}


def table_rows(dataset: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With all digits: one row a system and metric."""
    return [
        {"dataset": dataset, "group": row["group"], "system": row["system"], "metric": key}
        | {part: stat[part] for part in ("value", "low", "high", "n", "floor")}
        | {"seeds": " ".join(map(str, stat["seeds"])), "reason": stat["reason"] if stat["value"] is None else None}
        for row in rows
        for key, stat in row["metrics"].items()
    ]


def table_shown(dataset: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As text, one row a system."""
    shown = []
    for row in rows:
        cells: dict[str, Any] = {
            "dataset": dataset,
            "group": GROUPS.get(row["group"], row["group"]),
            "system": row["system"],
        }
        cells |= {TITLES[key]: uncertain(s["value"], s["low"], s["high"], MOST) for key, s in row["metrics"].items()}
        cells["audit"] = ", ".join(
            f"{count} {v}" if len(row["verdicts"]) > 1 else v for v, count in row["verdicts"].items()
        )
        cells["first reasons"] = reasons(row)
        cells["n"] = number(max((s["n"] or 0 for s in row["metrics"].values()), default=0)) or DASH
        shown.append({key: value or DASH for key, value in cells.items()})
    return shown


def reasons(row: dict[str, Any]) -> str:
    """Why images of a system fail the audit, the most frequent first reasons; or why there is nothing of it."""
    if row["trouble"] and not any(cell.rows for cell in row["cells"]):
        return str(row["trouble"])
    return "; ".join(f"{count} {name}" for name, count in row["first"].most_common(NAMES)) or DASH


def page_rows(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """For the page: rows of cells with value, interval, what stands below, and the mark of a reason; and the reasons."""
    marks: dict[str, str] = {}
    shown = []
    for row in rows:
        cells = []
        for key, stat in row["metrics"].items():
            value, _, interval = uncertain(stat["value"], stat["low"], stat["high"], MOST).partition(" ")
            mark = None
            if stat["value"] is None and stat["reason"]:
                mark = marks.setdefault(stat["reason"], _letter(len(marks)))
            below = [] if stat["floor"] is None else [f"floor {number(round(stat['floor'], MOST))}"]
            below += [] if stat["n"] is None else [f"n = {stat['n']}"]
            cells.append({"label": TITLES[key], "value": value, "interval": interval, "mark": mark, "below": below})
        verdict = ", ".join(f"{n} {v}" if len(row["verdicts"]) > 1 else v for v, n in row["verdicts"].items()) or DASH
        trouble = row["trouble"] if row["trouble"] and not any(cell.rows for cell in row["cells"]) else None
        shown.append({
            "group": GROUPS.get(row["group"], row["group"]), "system": row["system"], "cells": cells, "verdict": verdict,
            "reasons": reasons(row), "trouble": trouble,
        })  # fmt: skip
    return shown, [(mark, reason) for reason, mark in marks.items()]


def _letter(k: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[k] if k < 26 else str(k)
