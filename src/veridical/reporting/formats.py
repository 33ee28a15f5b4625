"""Numbers as people read them, and lists of dictionaries as CSV, Markdown and LaTeX."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veridical.core.files import write_text

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


def uncertain(value: float | None, low: float | None = None, high: float | None = None, most: int = 6) -> str:
    """`value (low–high)`, with as many decimals as the width of the interval warrants, at `most` so many: 0.42 (0.31–0.55)."""
    if value is None or low is None or high is None or not high > low:
        return number(value)
    decimals = min(max(1 - math.floor(math.log10(high - low)), 0), most)
    value_text, low_text, high_text = (_sign(f"{x:.{decimals}f}") for x in (value, low, high))
    return f"{value_text} ({low_text}{' to ' if low_text.startswith('−') else '–'}{high_text})"


def fixed(value: float | None, decimals: int = 2) -> str:
    """`value` with that many decimals, a dash for None."""
    return DASH if value is None else _sign(f"{value:.{decimals}f}")


def minutes(value: float | None) -> str:
    """Minutes of training to a tenth."""
    return "<0.1" if value is not None and 0 < value < 0.05 else fixed(value, 1)


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
    folder: Path, name: str, rows: list[dict[str, Any]], shown: list[dict[str, Any]], caption: str, long: bool = False
) -> None:
    """Write `name`.csv from `rows` (numbers) and `name`.md and `name`.tex from `shown` (text)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.csv", to_csv(rows))
    write_text(folder / f"{name}.md", to_markdown(shown))
    write_text(folder / f"{name}.tex", to_latex(shown, caption, f"tab:{name}", long))


def to_csv(rows: list[dict[str, Any]]) -> str:
    """CSV with a header; numbers with all their digits, None as an empty field, lists and dictionaries as JSON."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()})
    return out.getvalue()


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A GitHub-flavoured pipe table."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(_markdown_cell(cell) for cell in line)} |\n" for line in lines)


def _markdown_cell(value: object) -> str:
    return " ".join(_text(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split("\n"))


def to_latex(rows: list[dict[str, Any]], caption: str, label: str, long: bool = False) -> str:
    """A booktabs table (``\\usepackage{booktabs}``), or a longtable that breaks over pages if `long`."""
    if not rows:
        return ""
    columns = list(rows[0])
    align = "".join("r" if all(re.match(r"[−–\d]", _text(row[c])) for row in rows) else "l" for c in columns)
    head = " & ".join(latex_escape(c) for c in columns) + r" \\"
    body = [" & ".join(latex_escape(_text(row[c])) for c in columns) + r" \\" for row in rows]
    label = re.sub(r"[^\w:.-]", "-", label)
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


def _text(value: object) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(value)
