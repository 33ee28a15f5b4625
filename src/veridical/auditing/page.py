"""The audit for people: a few lines for the terminal, and one self-contained page."""

from __future__ import annotations

import base64
import html
from collections import Counter
from pathlib import Path
from typing import Any

from veridical.auditing.defects import DEFECTS
from veridical.core.files import write_text
from veridical.core.text import shown

MOST_IMAGES = 200  # rows of the table on the page
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 span { padding: 0 .6rem; border-radius: .3rem; color: white; }
.pass { background: #287a3c; } .fail { background: #b3261e; } .insufficient { background: #7a6a00; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid #ddd; } img { max-width: 100%; image-rendering: pixelated; } figure { margin: 1rem 0 2rem; }
"""


def summary(report: dict[str, Any]) -> str:
    """The verdict and its reasons, a line each."""
    lines = [f"verdict: {report['verdict']}  ({counted(report)})"]
    lines += [f"  {f['defect']}{_p(f)}: {f['explanation']}" for f in report["findings"]]
    lines.append(f"images: {image_counts(report)}")
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"would have been caught: {line}" for line in power_lines(report)]
    return "\n".join(lines)


def counted(report: dict[str, Any]) -> str:
    """How many images and independent units there are, in words."""
    units = report["independent"]
    return (
        f"{report['n_synth']} synthetic against {report['n_real']} real images; independent: {units['synth']} and "
        f"{units['real']} {units['unit']}; false alarms at most {report['alpha']:.0%}"
    )


def image_counts(report: dict[str, Any]) -> str:
    """Verdicts of single images, and their first reasons."""
    verdicts = Counter(image["verdict"] for image in report["images"])
    first = Counter(image["findings"][0]["defect"] for image in report["images"] if image["findings"])
    reasons = ", ".join(f"{n} {name}" for name, n in first.most_common())
    return ", ".join(f"{n} {name}" for name, n in verdicts.items()) + (f" ({reasons})" if reasons else "")


def power_lines(report: dict[str, Any]) -> list[str]:
    """The smallest severity of each defect that would have been caught, a line each."""
    return [
        f"{row['defect']} ({row['level']}) "
        + ("not at any severity tried" if row["severity"] is None else f"from {row['severity']:g} {row['unit']}")
        for row in report["power"] or []
    ]


def page(path: Path, report: dict[str, Any], pictures: Path, names: dict[str, str]) -> None:
    """Write the report with its pictures as one HTML file."""
    verdict = report["verdict"]
    parts = [f"<h1>Audit: <span class='{verdict}'>{verdict}</span></h1>"]
    parts.append(f"<p>{escape(names['synth'])} against {escape(names['real'])}: {escape(counted(report))}.</p>")
    parts += [f"<p>{escape(note)}.</p>" for note in report["notes"]]
    for finding in report["findings"]:
        parts.append(f"<h2>{escape(finding['defect'])}</h2><p>{escape(finding['explanation'])}.{_p(finding)}</p>")
        if finding.get("evidence"):
            data = base64.b64encode((pictures / finding["evidence"]).read_bytes()).decode()
            words = f"Above, synthetic images that show {finding['defect']}; below each, the real image nearest to it"
            parts.append(
                f"<figure><img alt='{words}' src='data:image/png;base64,{data}'><figcaption>{words}.</figcaption></figure>"
            )
    if report["power"]:
        rows = "".join(f"<li>{escape(line)}</li>" for line in power_lines(report))
        parts.append(f"<h2>What would have been caught</h2><ul>{rows}</ul>")
    parts.append(
        f"<h2>Images</h2><p>{escape(image_counts(report))}.</p><table><tr><th>image<th>verdict<th>p<th>why</tr>"
    )
    order = sorted(report["images"], key=lambda image: (image["verdict"] != "fail", image["p_value"]))
    for image in order[:MOST_IMAGES]:
        why = "<br>".join(f"{f['defect']}: {escape(f['explanation'])}" for f in image["findings"])
        cells = (escape(image["file"]), image["verdict"], f"{image['p_value']:.3f}", why)
        parts.append("<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>")
    parts.append("</table>")
    if len(order) > MOST_IMAGES:
        parts.append(f"<p>{len(order) - MOST_IMAGES} more images are in the JSON file.</p>")
    parts.append("<h2>What is looked for</h2><table>")
    parts += [f"<tr><td>{name}<td>{row.level}<td>{escape(row.what)}</tr>" for name, row in DEFECTS.items()]
    parts.append("</table>")
    head = f"<meta charset='utf-8'><title>Audit: {verdict}</title><style>{STYLE}</style>"
    text = f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def escape(text: str) -> str:
    """Text as HTML, see `veridical.core.text.shown`."""
    return html.escape(shown(text))


def _p(finding: dict[str, Any]) -> str:
    p = finding["p_value"]
    return "" if p is None else " (no real image can have it)" if p == 0 else f" (p = {p:.2g})"
