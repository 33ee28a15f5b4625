"""The report of a bench: reads its output folder, writes tables, figures and one self-contained HTML page."""

from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from veridical.core.errors import InputError
from veridical.core.files import write_text
from veridical.core.version import __version__
from veridical.reporting import audits, facts, figures, formats, reviews, tables
from veridical.reporting.audit_page import visible
from veridical.reporting.contents import Difference, Summary
from veridical.reporting.findings import finding, proven, settings_of
from veridical.reporting.pictures import TILE, first_look, losses, pairs, strips
from veridical.reporting.results import Cell, Files, bench_spec, inside, read, read_cells, read_edits, read_images
from veridical.reporting.review import review
from veridical.reporting.stability import EXPLAINED as STABILITY
from veridical.reporting.stability import stability_rows, stability_shown
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE, METRICS


def report(folder: str | Path) -> Path:
    """Write the report of a bench into its folder.

    Works on whatever is there: cells that failed, still run or have not started are listed with their reason.

    Parameters
    ----------
    folder : path
        Output folder of ``veridical bench``. ``report.html``, ``tables/`` (CSV, Markdown, LaTeX) and ``figures/`` (PNG)
        are written into it.

    Returns
    -------
    Path
        The page: one file that needs no other.

    Raises
    ------
    InputError
        If the folder is not the output of a bench.
    """
    folder = Path(folder)
    spec = bench_spec(folder)
    _check_outputs(folder)
    files = Files(folder)
    cells, edits = read_cells(files, spec), read_edits(files, spec)
    columns = tables.metric_columns(cells)
    by_dataset = {d: [c for c in cells if c.dataset == d] for d in [*spec["datasets"], *(c.dataset for c in cells)]}
    ranked = {dataset: tables.ranking(mine, columns) for dataset, mine in by_dataset.items()}
    _write_tables(folder / "tables", ranked, cells)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=visible,
    )  # fmt: skip
    datasets = [_dataset(files, spec, d, ranked[d], by_dataset[d]) for d in by_dataset]
    page = environment.get_template("report.html.j2").render(
        title=spec.get("title") or "Image generators compared",
        created=facts.date(spec.get("created")),
        today=datetime.now().strftime("%Y-%m-%d"),
        version=__version__,
        bench_version=spec.get("version") or __version__,
        waiting=[c for c in (*cells, *edits) if c.state not in ("done", "failed", "skipped")],
        skipped=[c for c in (*cells, *edits) if c.state == "skipped"],
        cells=cells,
        edits=edits,
        spec_size=spec.get("size"),
        review=review(files, spec, cells, edits, ranked),
        headline=HEADLINE,
        headline_title=tables.title(HEADLINE),
        headline_scale=HEADLINE_SCALE,
        several=len({c.seed for c in cells}) > 1,
        datasets=datasets,
        reviews=reviews.reviews(files),
        reviewed=reviews.EXPLAINED,
        damaged=files.damaged,
        stability=STABILITY,
        audited=audits.EXPLAINED,
        metrics=[(tables.title(kind), name, METRICS[kind].explained()) for kind, name in columns.items() if name],
        settings=settings_of(cells),
        spec=facts.spec(spec),
        recipes=facts.recipes(spec),
        citations={name: recipe.get("citation") for name, recipe in spec.get("recipes", {}).items()},
    )
    target = folder / "report.html"
    write_text(target, page)
    return target


def _check_outputs(folder: Path) -> None:
    """Refuse links and pipes in the places of what is written: through them, the report would write elsewhere."""
    for name in ("tables", "figures", "paper"):
        inside(folder, folder / name)
    for path in (folder / "report.html", *(p for of in ("tables", "figures", "paper") for p in folder.glob(f"{of}/*"))):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InputError(f"{path}: is no file of its own, but the report has to be written there: take it away")


def _write_tables(folder: Path, ranked: dict[str, list[dict[str, Any]]], cells: list[Cell]) -> None:
    rows = [row for dataset, systems in ranked.items() for row in tables.ranking_rows(dataset, systems)]
    shown = [row for dataset, systems in ranked.items() for row in tables.ranking_shown(dataset, systems)]
    interval = "values with 95 % intervals"
    caption = f"Systems ranked by {tables.title(HEADLINE)} ({HEADLINE}: {HEADLINE_SCALE}); {interval}."
    formats.write_tables(folder, "ranking", rows, shown, caption)
    formats.write_tables(folder, "cost", tables.cost_rows(cells), tables.cost_shown(cells), "What each run took.")
    rows = [row for dataset, systems in ranked.items() for row in stability_rows(dataset, systems)]
    if rows:
        shown = [row for dataset, systems in ranked.items() for row in stability_shown(dataset, systems)]
        formats.write_tables(folder, "stability", rows, shown, STABILITY)
    if rows := audits.audit_rows(cells):
        formats.write_tables(folder, "audit", rows, audits.audit_shown(cells), audits.EXPLAINED)
    rows, shown = tables.metric_rows(cells), tables.metric_shown(cells)
    formats.write_tables(folder, "metrics", rows, shown, f"All metrics; {interval}.", long=True)


def _dataset(
    files: Files, spec: dict[str, Any], name: str, systems: list[dict[str, Any]], cells: list[Cell]
) -> dict[str, Any]:
    """Everything the page shows of one dataset; its figures are written on the way."""
    source, out, size = files.folder / "datasets" / name, files.folder / "figures", spec.get("size")
    test, train = (read_images(files, source / f"{which}.npy", size) for which in ("test", "train"))
    summary: Any = read(files, source / "summary.json", Summary) or {}
    rows, footnotes = _ranking_rows(systems)
    side = next((x.shape[-1] for x in (test, train) if x is not None), size or 64)
    scale = max(1, round(TILE / side))
    differences = read(files, source / "differences.json", list[Difference]) or []
    best = tables.best_learned(systems)
    return {
        "name": name,
        "look": first_look(files, out, name, systems, test, side),
        "proven": proven(systems, audits.verdict_of(best["cells"]) if best else formats.DASH, differences),
        "finding": finding(systems, differences),
        "ranking": rows,
        "columns": [cell["label"] for row in rows[-1:] for cell in row["cells"]],
        "footnotes": footnotes,
        "plot": _ranking_plot(out / f"{name}-ranking.png", name, systems),
        "scale": scale,
        "stability": _columns(stability_shown(name, systems)),
        "audit": _columns(audits.audit_shown(cells)),
        "evidence": audits.evidence(files, cells),
        "strips": strips(files, out, name, systems, test, side, scale),
        "pairs": [pairs(files, out, name, system, side, scale) for system in systems],
        "losses": [loss for system in systems for loss in losses(files, out, name, system)],
        "cost": _columns(tables.cost_shown(cells)),
        "facts": facts.facts(files, source, summary, facts.source(spec, name), test, train),
        "notes": summary.get("notes") or [],
        "metrics": _columns(tables.metric_shown(cells)),
    }


def _columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the dataset, which the heading names, and without notes if there are none."""
    hidden = {"dataset"} | ({"notes"} if all(row.get("notes") == formats.DASH for row in rows) else set())
    return [{key: value for key, value in row.items() if key not in hidden} for row in rows]


# --- ranking --------------------------------------------------------------------------------------------------------


def _ranking_rows(systems: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows of the ranking for the page, and the reasons of its dashes as footnotes."""
    marks: dict[str, str] = {}
    rows = []
    for system in systems:
        row = {"rank": system["rank"], "system": system["system"], "floor": False, "cells": []}
        row["baseline"] = system["system"] == tables.BASELINE
        row["remarks"] = [*system["problems"], *system["slowed"]]
        rows.append(row)
        if not any(cell.rows for cell in system["cells"]):
            continue
        for kind, stat in system["metrics"].items():
            row["cells"].append(_cell(tables.title(kind), stat, marks))
            if kind == HEADLINE:
                if spread := tables.spread(stat):
                    row["cells"][-1]["below"].append(f"seeds {', '.join(map(str, stat['seeds']))}: {spread}")
                row["cells"].append(_plain_cell("floor", formats.fixed(stat["floor"], 3)))
        row["cells"].append(_plain_cell("audit", audits.verdict_of(system["cells"])))
        steps = f"{tables.steps_text(system)} steps" if any(system["steps"]) else None
        row["cells"].append(
            _plain_cell("training min", formats.minutes(system["minutes"])) | {"below": [steps] if steps else []}
        )
    if any(row["cells"] for row in rows):
        rows.append(_floor_row(systems))
    return rows, [(mark, reason) for reason, mark in marks.items()]


def _cell(label: str, stat: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    value, _, interval = formats.uncertain(stat["value"], stat["low"], stat["high"]).partition(" ")
    missing = stat["no_interval"] if stat["value"] is not None else stat["reason"] or "not measured"
    mark = marks.setdefault(missing, _letter(len(marks))) if missing else None
    below = [counted] if (counted := tables.counted(stat)) else []
    return _plain_cell(label, value) | {"interval": interval, "mark": mark, "below": below}


def _plain_cell(label: str, text: str) -> dict[str, Any]:
    return {"label": label, "value": text, "interval": "", "mark": None, "below": []}


def _floor_row(systems: list[dict[str, Any]]) -> dict[str, Any]:
    """Real tiles in the place of the samples: the best that can be reached."""
    cells = []
    for kind in systems[0]["metrics"]:
        floors = [s["metrics"][kind]["floor"] for s in systems if s["metrics"][kind]["floor"] is not None]
        cells.append(_plain_cell(tables.title(kind), tables.floor_text(kind, floors)))
        if kind == HEADLINE:
            cells.append(_plain_cell("floor", ""))
    cells += [_plain_cell("audit", ""), _plain_cell("training min", "")]
    row = {"rank": None, "system": "real against real", "cells": cells, "remarks": []}
    return row | {"baseline": False, "floor": True}


def _letter(k: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[k] if k < 26 else str(k)


def _ranking_plot(path: Path, dataset: str, systems: list[dict[str, Any]]) -> dict[str, Any] | None:
    if all(s["rank"] is None for s in systems):
        return None
    entries = [
        {"name": s["system"], **s["metrics"][HEADLINE], "baseline": s["system"] == tables.BASELINE,
         "remark": "no score" if any(c.rows for c in s["cells"]) else _states(s)}
        for s in systems
    ]  # fmt: skip
    said = [
        f"{e['name']} {formats.uncertain(e['value'], e['low'], e['high'])}" if e["value"] is not None
        else f"{e['name']}: {e['remark']}"
        for e in entries
    ]  # fmt: skip
    png = figures.save(path, figures.ranking_plot(entries, f"{tables.title(HEADLINE)}: {HEADLINE_SCALE}"))
    return {
        "uri": figures.data_uri(png),
        "alt": f"Ranking on {dataset} by {tables.title(HEADLINE)}, best first: {'; '.join(said)}.",
    }


def _states(system: dict[str, Any]) -> str:
    return " / ".join(dict.fromkeys(cell.state for cell in system["cells"])).replace("missing", "not started")
