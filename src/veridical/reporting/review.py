"""The part of the report that tells of edits: tables as the review has them, what scores are worth, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.images import to_grid
from veridical.reporting import edited, families, figures, formats
from veridical.reporting.contents import Told, Worth
from veridical.reporting.paper import write_paper
from veridical.reporting.plan import edit_seeds
from veridical.reporting.results import Cell, Files, inside, read, read_images
from veridical.reporting.tables import paid
from veridical.scoring.table import METRICS

SCALE = 2  # how much pictures of edits are enlarged
CASES = 4  # that a dataset shows
WORTH = (
    "Kendall's tau between the order in which a score puts the systems and that of the truth: 1 the same order, 0 none, "
    "−1 the reverse. As it should be: the share of images that obey, keep their structure outside the change (Dice above "
    "0.8) and pass the audit; and two parts of that. Intervals, 95 %, are over resampled pairs; "
    "pairs in which all systems are equal count as 0."
)
TRUTHS = {"good": "as it should be", "obeyed": "obeyed", "passed": "audit passes"}
COSTS = "What each system took: training with its stages, and drawing or editing. The review's Table 5."


def review(
    files: Files,
    spec: dict[str, Any],
    cells: Sequence[Cell],
    edits: Sequence[Cell],
    ranked: Mapping[str, list[dict[str, Any]]],
) -> dict[str, Any] | None:
    """What the page shows of edits; tables and figures are written on the way. None for a bench without edits."""
    if not spec.get("edits"):
        return None
    tables, out = files.folder / "tables", files.folder / "figures"
    rows = families.family_rows(spec, ranked, edits)
    shown = families.table_shown(rows)
    if rows:
        formats.write_tables(tables, "families", families.table_rows(rows), shown, families.EXPLAINED)
    said = families.claims(rows)
    if said:
        formats.write_tables(
            tables, "claims", said, said, "What the review says of families, and what was measured here."
        )
    costs = cost_rows(spec, cells, edits)
    formats.write_tables(tables, "costs", costs, cost_shown(costs), COSTS)
    datasets = []
    for dataset in spec.get("changes") or {}:
        mine = edited.systems(spec, cells, edits, dataset)
        place = files.folder / "datasets" / dataset
        worth: Any = read(files, place / "worth.json", Worth) or {}
        known, told = _pairs(files, place / "truth")
        name = f"edits-{dataset}"
        text = edited.table_shown(dataset, mine)
        formats.write_tables(tables, name, edited.table_rows(dataset, mine), text, f"{dataset}. {edited.EXPLAINED}")
        taus = taus_shown(worth.get("taus") or [])
        if taus:
            formats.write_tables(tables, f"worth-{dataset}", worth["taus"], taus, f"{dataset}. {WORTH}")
        page, reasons = edited.page_rows(mine)
        datasets.append({
            "name": dataset, "rows": page, "reasons": reasons, "taus": taus,
            "cases": cases(files, out, dataset, spec, worth, known, told),
            "figure": figure(files, out, dataset, spec, edits, known, told),
        })  # fmt: skip
    names = ["families"] * bool(rows) + ["claims"] * bool(said) + ["costs"]
    names += [n for d in datasets for n in (f"edits-{d['name']}", *([f"worth-{d['name']}"] if d["taus"] else []))]
    shown_in = {
        f"{d['name']}-edits.png": f"{d['name']}: the first image of each change, one row a system"
        for d in datasets
        if d["figure"]
    }
    write_paper(files.folder, spec, names, shown_in)
    hidden = [{key: value for key, value in row.items() if key != "dataset"} for row in cost_shown(costs)]
    return {
        "families": shown, "families_said": families.EXPLAINED, "claims": said, "costs": hidden, "costs_said": COSTS,
        "datasets": datasets, "explained": edited.EXPLAINED, "worth": WORTH,
        "columns": [edited.TITLES[key] for key in (*edited.TRUE, *edited.SCORES)],
    }  # fmt: skip


def taus_shown(taus: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a score, as text: tau with each truth."""
    shown = []
    for score in dict.fromkeys(tau["score"] for tau in taus):
        mine = {tau["truth"]: tau for tau in taus if tau["score"] == score}
        row = {"score": _title(score)}
        for truth, title in TRUTHS.items():
            tau = mine.get(truth)
            row[title] = formats.uncertain(tau["value"], tau["low"], tau["high"]) if tau else formats.DASH
        why = dict.fromkeys(tau["reason"] for tau in mine.values() if tau["reason"])
        shown.append(row | {"systems": next(iter(mine.values()))["n"], "reason": "; ".join(why) or formats.DASH})
    return shown


def _title(score: str) -> str:
    found = next((t for key, t in edited.TITLES.items() if score.startswith(key)), None)
    return found or (METRICS[score].title if score in METRICS else "") or score


def cost_rows(spec: Mapping[str, Any], cells: Sequence[Cell], edits: Sequence[Cell]) -> list[dict[str, Any]]:
    """One row a system, means over datasets and seeds of what is done."""
    rows = []
    for what, group in (("recipes", cells), ("edits", edits)):
        for name in spec.get(what) or {}:
            done = [cell for cell in group if cell.recipe == name and cell.cost]
            entry = spec[what][name]
            kind = entry.get("group") if what == "edits" else "generation"
            row: dict[str, Any] = {"system": name, "category": edited.GROUPS.get(kind or "", kind), "runs": len(done)}
            for key in ("parameters", "train_seconds", "seconds_per_image", "evaluations", "peak_memory_mb"):
                known = [cell.cost[key] for cell in done if cell.cost.get(key) is not None]
                row[key] = float(np.mean(known)) if known else None
            row["device"] = next((cell.cost["device"] for cell in done if cell.cost.get("device")), None)
            row["images"] = next((r["n"] for cell in done for r in cell.rows if r.get("n")), None)
            row["resolution"] = spec.get("size")
            trouble = (cell.trouble for cell in group if cell.recipe == name and cell.trouble)
            row["notes"] = paid([cell.cost for cell in done]) if done else next(trouble, "")
            rows.append(row)
    return rows


def cost_shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same in units that people use."""
    return [
        {
            "system": row["system"], "category": row["category"], "runs": row["runs"],
            "parameters": formats.DASH if row["parameters"] is None else f"{formats.number(row['parameters'] / 1e6)} M",
            "training min": formats.minutes(None if row["train_seconds"] is None else row["train_seconds"] / 60),
            "s per image": formats.number(row["seconds_per_image"], 2),
            "evaluations an image": formats.number(row["evaluations"]),
            "peak memory": formats.DASH if row["peak_memory_mb"] is None else f"{round(row['peak_memory_mb'])} MB",
            "device": row["device"] or formats.DASH, "images": formats.number(row["images"]),
            "resolution": f"{row['resolution']} × {row['resolution']}" if row["resolution"] else formats.DASH,
            "notes": row["notes"].partition(":")[0] or formats.DASH,  # skipped or failed; why is said elsewhere
        }
        for row in rows
    ]  # fmt: skip


def _arrays(files: Files, path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some arrays of an NPZ file of the bench, those that are there; none where it is missing or damaged."""
    if not path.is_file():
        return {}
    try:
        with np.load(inside(files.folder, path), allow_pickle=False) as file:
            return {name: file[name] for name in names if name in file.files}
    except Exception:  # whatever a damaged archive makes numpy raise: nothing to show
        return {}


def _pairs(files: Files, folder: Path) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Before, after and region of the pairs of a dataset, and what is told of them; nothing where these do not fit together."""
    arrays = _arrays(files, folder / "pairs.npz", ("before", "after", "region"))
    told: Any = read(files, folder / "pairs.json", Told) or {}
    if "before" not in arrays or not told.get("names"):
        return {}, {}
    n, *shape = arrays["before"].shape or (0,)
    shapes = {"before": (n, *shape), "after": (n, *shape), "region": (n, *shape[1:])}
    fits = len(shape) == 3 and shape[0] in (1, 3) and all(len(texts) == n for texts in told.values())
    if not fits or any(a.shape != shapes[name] or a.dtype.kind not in "fb" for name, a in arrays.items()):
        files.tell(InputError(f"{folder}: what is told of the pairs is not of their images; run the bench again"))
        return {}, {}
    return arrays, told


def _called(system: str, spec: Mapping[str, Any]) -> str:
    """``NAME-seedK`` as people say it: the seed where there are several."""
    name, _, seed = system.rpartition("-seed")
    row = (spec.get("edits") or {}).get(name) or {}
    return name if len(edit_seeds(spec, row)) < 2 else f"{name}, seed {seed},"


def cases(
    files: Files, out: Path, dataset: str, spec: Mapping[str, Any], worth: Mapping[str, Any],
    pairs: Mapping[str, np.ndarray], told: Mapping[str, list[str]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Pictures of what a score praises most and the truth least: source, edited, difference, true after-image."""
    found = []
    for case in (worth.get("cases") or [])[:CASES]:
        images = read_images(files, files.folder / "edits" / dataset / case["system"] / "edited.npy", None)
        k = case["image"]
        if images is None or "after" not in pairs or images.shape != pairs["before"].shape or k >= len(images):
            continue
        before, image, after = pairs["before"][k], np.asarray(images[k]), pairs["after"][k]
        change = np.broadcast_to(np.abs(image - before).mean(0), before.shape)
        shown = np.clip(np.stack([before, image, change, after]), 0, 1).astype(np.float32)
        grid = to_grid(shown, columns=4, scale=SCALE)
        png = figures.save(out / f"{dataset}-case-{case['score']}-{case['system']}.png", grid)
        said = (told.get("instructions") or told.get("prompts") or told["names"])[k]
        text = (
            f"{_title(case['score'])} praises {_called(case['system'], spec)} most ({formats.number(case['value'])}); by truth "
            f"{case['better']} of {case['systems']} systems are better and {100 * case['good']:.0f} % of its "
            f"{len(images)} images are as they should be"
        )
        found.append(
            {"uri": figures.data_uri(png), "said": text, "asked": said, "width": grid.shape[1], "height": grid.shape[0]}
        )
    return found


def figure(
    files: Files, out: Path, dataset: str, spec: Mapping[str, Any], edits: Sequence[Cell],
    pairs: Mapping[str, np.ndarray], told: Mapping[str, list[str]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of the review's figures 20 to 22: the first image of each change, one row a system, and where it changed."""
    if not pairs:
        return []
    names = told["names"]
    picked = [names.index(name) for name in dict.fromkeys(names)]
    before = pairs["before"][picked]
    asked = [(told.get("instructions") or told.get("prompts") or names)[k] or names[k] for k in picked]
    rows: list[tuple[str, np.ndarray, np.ndarray | None, list[str]]] = [("source", before, None, asked)]
    if "after" in pairs:
        rows.append(
            ("true after-image", pairs["after"][picked], pairs["region"][picked] if "region" in pairs else None, [])
        )
    for name in spec.get("edits") or {}:
        cell = next((c for c in edits if c.dataset == dataset and c.recipe == name and c.state == "done"), None)
        images = None if cell is None else read_images(files, cell.folder / "edited.npy", None)
        if cell is None or images is None or images.shape != pairs["before"].shape:
            continue
        shown = np.asarray(images[picked])
        each = _arrays(files, cell.folder / "each.npz", ("obeyed",))
        verdicts = [_verdict(cell, each, k) for k in picked]
        rows.append((name, shown, (np.abs(shown - before) > 0.5 / 65535).any(1), verdicts))
    views, sheet = [], []
    for name, images, changed, said in rows:
        shown = np.clip(images, 0, 1).astype(np.float32)
        grid = to_grid(shown, columns=len(picked), scale=SCALE)
        png = figures.save(out / f"{dataset}-edits-{name.replace(' ', '_')}.png", grid)
        view = {
            "name": name,
            "uri": figures.data_uri(png),
            "width": grid.shape[1],
            "height": grid.shape[0],
            "said": said,
            "mask": "",
        }
        if changed is not None:
            mask = np.broadcast_to(np.asarray(changed, np.float32)[:, None], shown.shape)
            small = to_grid(mask, columns=len(picked), scale=SCALE)
            view["mask"] = figures.data_uri(
                figures.save(out / f"{dataset}-edits-{name.replace(' ', '_')}-changed.png", small)
            )
        views.append(view)
        sheet.append((name, shown))
    figures.save(out / f"{dataset}-edits.png", figures.sample_sheet(sheet, len(picked), SCALE))
    return views


def _verdict(cell: Cell, each: Mapping[str, np.ndarray], k: int) -> str:
    """Whether an image obeyed and passed, and if not, why."""
    parts = []
    if "obeyed" in each and each["obeyed"].ndim == 1 and k < len(each["obeyed"]):
        parts.append("obeys" if each["obeyed"][k] else "does not obey")
    images = (cell.audit or {}).get("images") or []
    if k < len(images):
        findings = images[k].get("findings") or []
        first = (findings[0].get("title") or findings[0].get("defect", "")) if findings else ""
        parts.append("passes" if images[k].get("verdict") == "pass" else f"fails: {first}" if first else "fails")
    return ", ".join(parts)
