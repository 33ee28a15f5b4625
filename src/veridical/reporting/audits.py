"""What the audit says of each cell: `audit.json` and the pictures beside it, as rows and figures of the report."""

from collections import Counter
from typing import Any, Literal

from veridical.reporting.contents import Audited, Found
from veridical.reporting.figures import data_uri
from veridical.reporting.formats import DASH
from veridical.reporting.results import Cell, Files, read_picture

EXPLAINED = (
    "Verdict of veridical audit on the samples against held-out real tiles: do they pass for real, and if not, why. An audit "
    "fails real images in at most 5 % of the cases; single images are judged one by one, so a few fail by chance."
)
NAMES = 3  # defects of single images that the table names


def audit_rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """One row a cell that was audited: verdict, findings of the set, images that fail and their first reasons."""
    return [_row(cell, cell.audit, "defect") for cell in cells if cell.audit is not None]


def audit_shown(cells: list[Cell]) -> list[dict[str, Any]]:
    """The same as text, with defects by their titles."""
    shown = []
    for row in [_row(cell, cell.audit, "title") for cell in cells if cell.audit is not None]:
        reasons = "; ".join(f"{count} {name}" for name, count in list(row["reasons"].items())[:NAMES])
        shown.append({
            "dataset": row["dataset"], "system": row["system"], "seed": row["seed"], "verdict": row["verdict"] or DASH,
            "the set": "; ".join(row["findings"]) or row["remark"] or DASH,
            "failed images": f"{row['failed']} of {row['images']}" if row["images"] else DASH,
            "first reasons": reasons or DASH,
        })  # fmt: skip
    return shown


def _row(cell: Cell, report: Audited, by: Literal["defect", "title"]) -> dict[str, Any]:
    images = report.get("images") or []
    failed = [image for image in images if image.get("verdict") == "fail"]
    first = Counter(_called(image["findings"][0], by) for image in failed if image.get("findings"))
    return {
        "dataset": cell.dataset, "system": cell.recipe, "seed": cell.seed, "verdict": report.get("verdict"),
        "findings": [_called(finding, by) for finding in report.get("findings") or []],
        "images": len(images), "failed": len(failed), "reasons": dict(first.most_common()),
        "remark": report.get("reason"),
    }  # fmt: skip


def _called(finding: Found, by: Literal["defect", "title"]) -> str:
    """The name of a defect, or its title, which not every version wrote."""
    return finding.get(by) or finding.get("defect", "?")


def verdict_of(cells: list[Cell]) -> str:
    """Verdicts over seeds, the frequent ones first; a dash where nothing was audited."""
    verdicts = Counter(row["verdict"] for row in audit_rows(cells) if row["verdict"])
    if len(verdicts) < 2:
        return next(iter(verdicts), DASH)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


def evidence(files: Files, cells: list[Cell]) -> list[dict[str, str]]:
    """The evidence of each cell in which something was found, with the first explanation."""
    found = []
    for cell in cells:
        place = ((cell.audit or {}).get("evidence") or {}).get("file")
        for finding in (cell.audit or {}).get("findings", [])[:1]:
            picture = read_picture(files, cell.folder / "audit" / place) if place else None
            if picture is not None:
                called, why = _called(finding, "title"), finding.get("explanation", "")
                said = f"{cell.recipe}, seed {cell.seed}: {called}: {why}"
                found.append({"uri": data_uri(picture), "said": said})
    return found
