"""What a bench found, in plain sentences, and the settings of its metrics."""

from typing import Any

from veridical.reporting import formats, tables
from veridical.reporting.results import Cell
from veridical.scoring.table import HEADLINE


def finding(systems: list[dict[str, Any]]) -> list[str]:
    """The result on one dataset in plain sentences; the first is the headline."""
    scored = [s for s in systems if s["rank"] and s["system"] != tables.BASELINE]
    unscored = [s for s in systems if not s["rank"]]
    missing = [f"{s['system']} ({tables.notes(s) or 'not measured'})" for s in unscored]
    missing = [f"Without a score: {'; '.join(missing)}."] if missing else []
    if not scored:
        return ["No learned system has a score.", *missing]
    best = scored[0]
    stat = best["metrics"][HEADLINE]
    seeds = f", mean of {len(stat['values'])} seeds" if len(stat["values"]) > 1 else ""
    value = formats.uncertain(stat["value"], stat["low"], stat["high"])
    if stat["low"] is None or stat["high"] is None:
        why = f" ({stat['no_interval']})" if stat["no_interval"] else ""
        return [
            f"{best['system']} has the lowest {HEADLINE}, {value}{seeds}.",
            f"It has no interval{why}, so differences between systems cannot be judged.",
            *missing,
        ]
    rivals = [s["system"] for s in scored[1:] if _overlap(stat, s["metrics"][HEADLINE])]
    lead = f"{best['system']} is the best learned system" if not rivals else f"{best['system']} has the best value"
    if len(scored) == 1:
        lead = f"{best['system']} is the only learned system with a score"
    said = [f"{lead}: {HEADLINE} {value}{seeds}, n = {formats.number(stat['n'])}."]
    if stat["high"] < 1:
        said.append("It is better than a Gaussian texture (random_phase), which scores 1.")
    elif stat["low"] > 1:
        said.append("It is worse than a Gaussian texture (random_phase), which learns nothing and scores 1.")
    else:
        said.append("Its interval contains 1, so it cannot be told from a Gaussian texture (random_phase).")
    if stat["floor"] is not None:
        floor = f"real tiles against other real tiles: {formats.fixed(stat['floor'], 3)}"
        apart = stat["low"] > max(stat["floor"], 0)
        said.append(
            f"It is still apart from the real data ({floor})." if apart else
            f"By this number it is not distinguishable from the real data ({floor})."
        )  # fmt: skip
    if rivals:
        said.append(f"{_join([best['system'], *rivals])} are not distinguishable: their intervals overlap.")
    elif len(scored) > 1:
        said.append("Its interval lies apart from those of all other systems.")
    copied = best["metrics"].get("memorised", {"value": None})
    if copied["value"] is not None:
        share = formats.uncertain(copied["value"], copied["low"], copied["high"])
        if copied["floor"] is not None:
            share += f"; {formats.fixed(copied['floor'])} is expected of new real tiles"
        said.append(f"Share of {best['system']}'s samples that count as memorised: {share}.")
    return said + missing


def _overlap(a: dict[str, Any], b: dict[str, Any]) -> bool:
    if b["low"] is None or b["high"] is None:
        return True
    return b["low"] <= a["high"] and a["low"] <= b["high"]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def settings_of(cells: list[Cell]) -> list[tuple[str, str]]:
    """(metric, settings) pairs of what was measured; what all metrics share stands once, as "all metrics"."""
    seen: dict[str, dict[str, list[Any]]] = {}
    for row in (row for cell in cells for row in cell.rows if row.get("value") is not None):
        settings = row.get("settings") or {}
        mine = seen.setdefault(row["metric"], {}) if settings else {}
        for key, value in settings.items():
            if key != "standard_error" and value not in mine.setdefault(key, []):
                mine[key].append(value)
    keys = dict.fromkeys(key for settings in seen.values() for key in settings)
    shared = {}
    for key in keys:
        having = [settings[key] for settings in seen.values() if key in settings]
        if len(having) > 1 and all(values == having[0] for values in having):
            shared[key] = having[0]
    groups = {"all that use it": shared}
    for metric, settings in seen.items():
        groups[metric] = {key: values for key, values in settings.items() if key not in shared}
    return [
        (name, "; ".join(f"{k}: {_values(v)}" for k, v in group.items())) for name, group in groups.items() if group
    ]


def _values(values: list[Any]) -> str:
    """The values of a setting over the cells: a range of numbers, or up to three texts."""
    if len(values) > 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return formats.between(values)
    return " | ".join(plain(v) for v in values[:3]) + (" | …" if len(values) > 3 else "")


def plain(value: object) -> str:
    """A setting as text without JSON's quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{k} = {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
