"""An audit in a few lines for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any


def summary(report: dict[str, Any]) -> str:
    """The verdict, the sentence that sums it up, and the reasons, a line each."""
    lines = [f"verdict: {report['verdict']}  ({counted(report)})", report["lead"]]
    if blind := unseen(report):
        lines.append(blind)
    lines += [f"  {f['title']} ({f['defect']}{said_p(f)}): {f['explanation']}" for f in report["findings"]]
    lines.append(f"images: {image_counts(report)}")
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"would have been caught: {line}" for line in power_lines(report)]
    return "\n".join(lines)


def counted(report: dict[str, Any]) -> str:
    """How many images and independent units there are, in words."""
    units = report["independent"]
    return (
        f"{report['n_synth']} synthetic images against {report['n_real']} real ones, which count as {units['synth']} against "
        f"{units['real']} independent {units['unit']}; false alarms at most {report['alpha']:.0%}"
    )


def image_counts(report: dict[str, Any]) -> str:
    """Verdicts of single images, and what those fail for first, in words."""
    verdicts = Counter(image["verdict"] for image in report["images"])
    first = Counter(image["findings"][0]["title"] for image in report["images"] if image["findings"])
    reasons = ", ".join(f"{n} {name}" for name, n in first.most_common())
    return ", ".join(f"{n} {name}" for name, n in verdicts.items()) + (
        f" (first reasons: {reasons})" if reasons else ""
    )


def singles(report: dict[str, Any]) -> str:
    """How single images fare, in a sentence for the page, whose list says what was found of them."""
    verdicts = Counter(image["verdict"] for image in report["images"])
    n, failed, open_ = len(report["images"]), verdicts["fail"], verdicts["insufficient"]
    said = [f"{failed or 'None'} of {n} fail{', by what was found of them' if failed else ''}"]
    units = report["independent"]
    if open_ and units.get("fields_of_view", 0) < units.get("fields_of_view_needed", 0):
        said.append(f"of {open_} nothing can be said: there are too few real ones to judge single images")
    elif open_:
        said.append(f"{open_} differ{'s' * (open_ == 1)} from the real ones, which another slice may do, too")
    return "; ".join(said) + "."


def power_lines(report: dict[str, Any]) -> list[str]:
    """The smallest severity of each defect that would have been caught, a line each."""
    return [
        f"{row['title']} ({row['level']}), from {row['severity']:g} {row['unit']}"
        for row in report["power"] or []
        if row["severity"] is not None
    ]


def unseen(report: dict[str, Any]) -> str:
    """What a pass does not rule out, in a sentence; an empty text where there is nothing."""
    titles = [row["title"] for row in report["power"] or [] if row["severity"] is None]
    return (
        f"Not ruled out, since they would not have been caught at any severity tried: {'; '.join(titles)}."
        if titles
        else ""
    )


def said_p(finding: dict[str, Any]) -> str:
    """The p-value of a finding, after a comma."""
    p = finding["p_value"]
    sign = "<=" if finding.get("p_is_least") else "="  # the test can give no smaller one
    return "" if p is None else ", no real image can have it" if p == 0 else f", p {sign} {p:.2g}"


def nearest_said(evidence: dict[str, Any]) -> str:
    """How many real images are the nearest to those shown, in a sentence; an empty text where each has its own."""
    n, shown = evidence.get("different"), len(evidence["images"])
    if n is None or n == shown:
        return ""
    one = "They are one and the same real image" if n == 1 else f"They are {n} different real images"
    return (
        f"{one}: that several synthetic images have the same nearest one does not make them copies, which would be a "
        "finding."
    )
