"""What a dataset, a specification and a bench are, as (name, text) for the report."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from veridical.reporting import formats
from veridical.reporting.findings import plain
from veridical.reporting.results import Files, read


def facts(
    files: Files,
    source: Path,
    summary: dict[str, Any],
    given: str,
    test: np.ndarray | None,
    train: np.ndarray | None,
) -> list[tuple[str, str]]:
    """What the dataset is, as (name, text)."""
    shapes = Counter(" × ".join(map(str, reversed(shape[:2]))) for shape in summary.get("shapes") or [])
    window = summary.get("window") or {}
    facts = [("source", given or _near(summary.get("spec") or "") or None)]
    facts.append(("kind", summary.get("kind")))
    facts.append(("slices", summary.get("slices")))
    facts.append(("slice size", f"{', '.join(shapes)} px" if shapes else None))
    facts.append(("stored as", summary.get("dtype")))
    facts.append(("channels", {1: "1 (grey)", 3: "3 (RGB)"}.get(summary.get("channels", 0))))
    size = summary.get("pixel_size")
    facts.append(("pixel size of the tiles", f"{formats.number(size, 4)} µm" if size else "not stated in the files"))
    scaled = summary.get("scale")
    facts.append(("scaled by", formats.number(scaled) if scaled and scaled != 1 else None))
    facts.append(("grey window", f"{plain(window['low'])} to {plain(window['high'])}" if window else None))
    facts.append(("turns and flips in training", summary.get("augment")))
    facts.append(("split", plain(summary["split"]) if summary.get("split") else None))
    for which, images in (("training tiles", train), ("held-out tiles", test)):
        groups = read(files, source / f"{'train' if images is train else 'test'}_groups.json", list[str | int])
        independent = f" from {len(set(map(str, groups)))} independent slices or regions" if groups else ""
        facts.append((which, None if images is None else f"{len(images)}{independent}"))
    facts.append(("fingerprint", summary.get("fingerprint")))
    return [(name, str(value)) for name, value in facts if value is not None]


def source(spec: dict[str, Any], name: str) -> str:
    """Where a dataset comes from, with the settings that it was opened with."""
    entry: dict[str, Any] | str = spec["datasets"].get(name) or ""
    if not isinstance(entry, dict):
        return _near(entry)
    return "; ".join(
        [_near(str(entry.get("data", ""))), *(f"{k} = {plain(v)}" for k, v in entry.items() if k != "data")]
    )


def _near(data: str) -> str:
    """Data without the way to it on this computer, which says nothing to other readers of the page; ``spec.json`` has it."""
    path = Path(data)
    return f"…/{path.name}" if path.is_absolute() else data


def spec(spec: dict[str, Any]) -> list[tuple[str, str]]:
    """What was asked of all cells."""
    budget = spec.get("budget") or {}
    facts = [("tile size", f"{spec['size']} px" if spec.get("size") else None)]
    facts.append(("samples a cell", spec.get("samples")))
    facts.append(("seeds", plain(spec.get("seeds") or [0])))
    facts.append(("training budget a cell", ", ".join(f"{plain(v)} {k}" for k, v in budget.items() if v is not None)))
    facts += [(f"dataset {name}", source(spec, name)) for name in spec["datasets"]]
    return [(name, str(value)) for name, value in facts if value]


def recipes(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each system."""
    rows = []
    for name, r in spec.get("recipes", {}).items():
        limits = {f"only {k}" if k == "datasets" else k: r[k] for k in ("recipe", "datasets", "seeds") if r.get(k)}
        rows.append({
            "system": name, "family": r.get("family") or formats.DASH, "what it is": r.get("summary") or formats.DASH,
            "arguments": plain(limits | (r.get("args") or {})) or formats.DASH,
        })  # fmt: skip
    return rows


def date(text: object) -> str:
    """A date as people read it."""
    try:
        return datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return str(text or "unknown")
