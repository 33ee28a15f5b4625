"""The tables of docs/audit.md, from what benchmarks/audit_power.py left.

    python benchmarks/audit_tables.py runs/power_sandstone.json runs/power_roots_osr.json runs/power_fibres.json

One file a dataset. Printed are a table with the peers for each dataset, at middle severity, and one of all severities.
"""

import argparse
import json
from pathlib import Path

from veridical.auditing.defects import DEFECTS

PEERS = {"ssim": "SSIM", "lpips_efficientnet_lite0": "LPIPS form", "frechet": "Fréchet", "kid": "KID", "c2st": "C2ST"}
BY_IMAGE = ("ssim", "lpips_efficientnet_lite0", "c2st")


def number(value: float | None) -> str:
    """Two digits, or nothing."""
    return "" if value is None else f"{value:.2f}"


def line(cells: list[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def named(row: dict) -> str:
    """The first reason of the set, where it is another one than the planted defect."""
    firsts = list(row["names_set"])
    if not firsts:
        return "missed"
    return "yes" if firsts == [row["defect"]] else f"`{firsts[0]}`"


def grouped(rows: list[dict]) -> dict[str, list[dict]]:
    """Rows of each defect by severity, the weakest first."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(row["defect"], []).append(row)
    return {name: sorted(each, key=lambda r: falls(name) * r["severity"]) for name, each in found.items()}


def falls(defect: str) -> int:
    """-1 if a stronger defect has a smaller number (fewer images are left by a low coverage), otherwise 1."""
    how = DEFECTS[defect.split("/")[0]].alter
    return -1 if how is not None and how.severities[0] > how.severities[-1] else 1


def peers(rows: list[dict]) -> None:
    """At middle severity, beside the peers."""
    print(line(["defect, severity", *(f"AUC: {name}" for name in ("audit", *(PEERS[p] for p in BY_IMAGE))),
                *(f"power: {name}" for name in ("audit", *PEERS.values())), "named first: images", "set"]))  # fmt: skip
    print("|" + "---|" * (3 + len(BY_IMAGE) + len(PEERS) + 2))
    for name, each in grouped(rows).items():
        row = each[len(each) // 2]
        image = row["level"] == "image"
        areas = [number(row["auc"][p]) if image else "" for p in ("audit", *BY_IMAGE)]
        powers = [number(row["power"][p]) for p in ("audit", *PEERS)]
        print(line([f"`{name}` {row['severity']:g}", *areas, *powers, number(row["named"]), named(row)]))


def severities(tables: dict[str, list[dict]]) -> None:
    """All severities of all datasets."""
    heads = ["AUC", "failed images", "named first: images", "set"]
    print(line(["defect, severities", *(f"{name}: {head}" for name in tables for head in heads)]))
    print("|" + "---|" * (1 + len(heads) * len(tables)))
    by = {dataset: grouped(rows) for dataset, rows in tables.items()}
    for name, each in max(by.values(), key=len).items():
        cells = [f"`{name}` " + " ".join(f"{row['severity']:g}" for row in each)]
        for dataset in tables:
            rows = by[dataset].get(name, [])
            image = rows and rows[0]["level"] == "image"
            areas, shares = (" ".join(number(v) for v in values) if image else "" for values in (
                [row["auc"]["audit"] for row in rows], [row["failed_images"] for row in rows]))  # fmt: skip
            firsts = " ".join(number(row["named"]) or "–" for row in rows) if image else ""
            sets = list(dict.fromkeys(map(named, rows)))
            cells += [areas, shares, firsts, sets[0] if len(sets) == 1 else ", ".join(map(named, rows))]
        print(line(cells))


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    read = [json.loads(path.read_text()) for path in parser.parse_args().files]
    tables = {rows[0]["dataset"]: rows for rows in read}
    for dataset, rows in tables.items():
        print(f"\n{dataset}\n")
        peers(rows)
    print()
    severities(tables)


if __name__ == "__main__":
    main()
