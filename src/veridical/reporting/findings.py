"""What a bench found, in plain sentences, and the settings of its metrics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from veridical.reporting import formats, tables
from veridical.reporting.contents import Difference
from veridical.reporting.results import Cell
from veridical.scoring.table import HEADLINE, HEADLINE_SCALE


def finding(systems: list[dict[str, Any]], differences: Sequence[Difference] = ()) -> list[str]:
    """The result on one dataset in plain sentences; the first is the headline.

    Parameters
    ----------
    systems : list of dict
        From `veridical.reporting.tables.ranking`.
    differences : sequence of Difference
        Of the best system and others. Where there are none of a pair, systems are told apart only if their intervals lie apart.
    """
    scored = [s for s in systems if s["rank"] and s["system"] != tables.BASELINE]
    unscored = [s for s in systems if not s["rank"]]
    missing = [f"{s['system']} ({tables.notes(s) or 'not measured'})" for s in unscored]
    name = tables.title(HEADLINE)
    missing = [f"Without a {name}: {'; '.join(missing)}."] if missing else []
    if not scored:
        return [f"No learned system has a {name}.", *missing]
    best = scored[0]
    stat = best["metrics"][HEADLINE]
    seeds = f", mean of {len(stat['values'])} seeds" if len(stat["values"]) > 1 else ""
    value = f"{name} ({HEADLINE_SCALE}) {formats.uncertain(stat['value'], stat['low'], stat['high'])}{seeds}"
    if stat["low"] is None or stat["high"] is None:
        why = f" ({stat['no_interval']})" if stat["no_interval"] else ""
        return [
            f"{best['system']} has the lowest {value}.",
            f"It has no interval{why}, so differences between systems cannot be judged.",
            *missing,
        ]
    others = [s for s in systems if s["rank"] and s is not best]
    judged = [compare(best, other, differences) for other in others]
    rivals = [c.other for c in judged if not c.apart and c.other != tables.BASELINE]
    lead = f"{best['system']} is the best learned system" if not rivals else f"{best['system']} has the best value"
    if len(scored) == 1:
        lead = f"{best['system']} is the only learned system with a {name}"
    said = [f"{lead}: {value}, {tables.counted(stat)}."]
    if tables.BASELINE not in [c.other for c in judged]:
        said.append(_against_texture(stat["low"], stat["high"]))
    if better := [c for c in judged if c.apart and c.value > 0]:
        said.append(f"It is better than {_join([c.shown() for c in better])}.")
    if worse := [c for c in judged if c.apart and c.value < 0]:
        said.append(f"It is worse than {_join([c.shown() for c in worse])}.")
    if alike := [c for c in judged if not c.apart]:
        said.append(f"It is not distinguishable from {_join([c.shown() for c in alike])}.")
    if stat["floor"] is not None:
        floor = f"real tiles against other real tiles: {formats.fixed(stat['floor'], 3)}"
        apart = stat["low"] > max(stat["floor"], 0)
        said.append(
            f"It is still apart from the real data ({floor})." if apart else
            f"By this number it is not distinguishable from the real data ({floor})."
        )  # fmt: skip
    copied = best["metrics"].get("memorised", {"value": None})
    if copied["value"] is not None:
        share = formats.uncertain(copied["value"], copied["low"], copied["high"])
        if copied["floor"] is not None:
            share += f"; {formats.fixed(copied['floor'])} is expected of new real tiles"
        said.append(f"Share of {best['system']}'s samples that count as memorised: {share}.")
    return said + missing


def proven(systems: list[dict[str, Any]], verdict: str, differences: Sequence[Difference] = ()) -> str | None:
    """One sentence on what is proven of the best learned system, and what is not; None without one that has an interval.

    `verdict` is that of the audit on its samples, a dash where there is none. Nearer than a random texture means below 1, and
    better than the random textures among the systems, if there are any: see `finding` for `differences`.
    """
    best = tables.best_learned(systems)
    stat = best and best["metrics"][HEADLINE]
    if best is None or stat is None or stat["low"] is None or stat["high"] is None:
        return None
    value = f"{tables.title(HEADLINE)} {formats.uncertain(stat['value'], stat['low'], stat['high'])}, {HEADLINE_SCALE}"
    real = "they are not yet like real tiles as a set" if stat["low"] > max(stat["floor"] or 0, 0) else (
        "this number no longer tells them from real tiles"
    )  # fmt: skip
    texture = next((s for s in systems if s["rank"] and s["system"] == tables.BASELINE), None)
    than_texture = None if texture is None else compare(best, texture, differences)
    if stat["high"] < 1 and (than_texture is None or (than_texture.apart and than_texture.value > 0)):
        shown = f"Proven: samples of {best['system']} are nearer to real tiles than a random texture is ({value})"
    else:
        shown = (
            f"Not proven: that samples of {best['system']} are nearer to real tiles than a random texture is ({value})"
        )
    audit = {"pass": "the audit found nothing against them", "fail": "the audit found defects"}.get(
        verdict, "the audit gave no verdict"
    )
    return f"{shown}; {real}, {audit}, and nothing here shows that they serve as real tiles in a measurement of yours."


def _against_texture(low: float, high: float) -> str:
    if high < 1:
        return "Its interval lies below 1: it is better than a random texture."
    if low > 1:
        return "Its interval lies above 1: it is worse than a random texture, which learns nothing."
    return "Its interval contains 1, so it cannot be told from a random texture."


class Comparison(NamedTuple):
    """Two systems: are they told apart, by how much (positive: the other one is farther from real), and how that is known."""

    other: str
    apart: bool
    value: float
    why: str

    def shown(self) -> str:
        """The other system, with what tells the two apart or does not."""
        return f"{self.other} ({self.why})"


def compare(best: dict[str, Any], other: dict[str, Any], differences: Sequence[Difference]) -> Comparison:
    """Compare two systems by the paired differences of all their seeds, else by whether their intervals overlap."""
    a, b = best["metrics"][HEADLINE], other["metrics"][HEADLINE]
    asked = {(seed, theirs) for seed in a["seeds"] for theirs in b["seeds"]}
    rows = {
        (row["seed"], row["other_seed"]): row
        for row in differences
        if (row["system"], row["other"]) == (best["system"], other["system"])
    }
    paired = [rows[key] for key in asked if key in rows]
    lows = [low for row in paired if (low := row["low"]) is not None]
    highs = [high for row in paired if (high := row["high"]) is not None]
    if asked and len(lows) == len(highs) == len(asked):
        value, low, high = sum(row["value"] or 0.0 for row in paired) / len(paired), min(lows), max(highs)
        apart = low > 0 or high < 0
        why = f"difference {formats.uncertain(value, low, high)} on the same real tiles"
        return Comparison(other["system"], apart, value, why)
    if b["low"] is None or b["high"] is None:
        return Comparison(other["system"], False, 0, "which has no interval")
    apart = b["low"] > a["high"] or a["low"] > b["high"]
    why = formats.uncertain(b["value"], b["low"], b["high"]) + ("" if apart else ": the intervals overlap")
    return Comparison(other["system"], apart, b["value"] - a["value"], why)


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
