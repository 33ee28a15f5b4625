"""The page of an audit: one self-contained HTML file in the style of the bench's report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from veridical.core.files import write_text
from veridical.core.text import shown
from veridical.core.version import __version__
from veridical.reporting.audit_figures import curve_plot, distribution_plot
from veridical.reporting.audit_text import counted, nearest_said, power_lines, said_p, singles, unseen
from veridical.reporting.figures import data_uri

MOST_IMAGES = 100  # of one reason that are listed
REASONS = 2  # of one image
CURVES = {
    "spectrum": "Power spectrum", "grey_levels": "Grey levels", "two_point": "Two-point correlation of the brighter phase",
}  # fmt: skip


def audit_page(
    path: Path,
    report: dict[str, Any],
    pictures: Path,
    names: dict[str, str],
    looked_for: Sequence[tuple[str, str, str]],
) -> None:
    """Write an audit with its pictures as one HTML file.

    Parameters
    ----------
    path : file to write; its folder is made
    report : what `veridical.audit` returns with `pictures`
    pictures : folder of the evidence that the report names
    names : what ``real`` and ``synth`` are called
    looked_for : name, level and meaning of all defects
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=visible,
    )  # fmt: skip
    evidence = report.get("evidence")
    text = environment.get_template("audit.html.j2").render(
        version=__version__, report=report, names=names, counted=counted(report), most=MOST_IMAGES,
        power=power_lines(report), unseen=unseen(report), findings=_findings(report), curves=_curves(report),
        reasons=_reasons(report),
        singles=singles(report), looked_for=looked_for,
        nearest=nearest_said(evidence) if evidence else "",
        evidence=evidence and {**evidence, "uri": data_uri((pictures / evidence["file"]).read_bytes())},
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def visible(value: Any) -> Any:
    """What a page says of a value: of text nothing that acts or hides; what is HTML already stays."""
    return shown(value, lines=True) if type(value) is str else value


def _findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings with the picture of each: of the first that a curve shows that curve, of others their distribution."""
    told, views = set(), []
    for finding in report["findings"]:
        view = {**finding, "p": said_p(finding).removeprefix(", "), "plot": None, "see": ""}
        name, found = finding.get("curve") or "", finding.get("distribution")
        if found is not None:
            plot = distribution_plot(found, finding["statistic"], finding["expected"])
            alt = f"{found['label']} of real and of synthetic images: {finding['explanation']}"
            view["plot"] = {"uri": _uri(plot), "alt": alt}
        if name and name in report.get("curves", {}):
            view["see"] = "" if name in told else CURVES[name]
            told.add(name)
        views.append(view)
    return views


def _reasons(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """What was found of images that do not pass, and their files, the most frequent first."""
    found: dict[str, list[str]] = {}
    for image in report["images"]:
        if image["verdict"] != "pass" and image["findings"]:
            titles = "; ".join(finding["title"] for finding in image["findings"][:REASONS])
            found.setdefault(titles, []).append(image["file"])
    return sorted(found.items(), key=lambda each: -len(each[1]))


def _curves(report: dict[str, Any]) -> list[dict[str, str]]:
    """The curves that findings name, with a pass all of them."""
    named = {finding.get("curve") for finding in report["findings"]}
    views = []
    for name, curve in report.get("curves", {}).items():
        if name in named or not report["findings"]:
            alt = f"{CURVES[name]}: the median of synthetic images over the band of 90 % of real ones"
            views.append({"title": CURVES[name], "uri": _uri(curve_plot(curve)), "alt": alt})
    return views


def _uri(figure: Figure) -> str:
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return data_uri(out.getvalue())
