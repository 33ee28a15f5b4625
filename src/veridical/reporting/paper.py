"""A paper to be written of a bench: LaTeX with its tables and figures in place, and the references as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.core.files import write_text
from veridical.reporting.formats import latex_escape

PART = re.compile(r"(?:(?P<authors>\D.*?) )?(?P<year>\d{4}),? (?P<where>[^\s{}\\^]+).*")
READABLE = re.compile(r"[\w .,+=@()-]+")  # names of files that LaTeX takes as they are
FOLLOWED = (
    "Synthetic Scientific Image Generation with VAE, GAN, and Diffusion Model Architectures",
    "@article{review2025,\n  title = {%s},\n  journal = {Journal of Imaging},\n  year = {2025},\n  volume = {11},\n"
    "  number = {8},\n"
    "  pages = {252}\n}\n",
)
HEAD = r"""\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx,longtable,textcomp}
% A table that is wider than the page is made as narrow as that.
\newcommand{\wide}[1]{\begingroup\let\oldtabular\tabular\let\oldendtabular\endtabular
\renewenvironment{tabular}[1]{\begin{lrbox}{\tablebox}\oldtabular{##1}}{\oldendtabular\end{lrbox}%
\ifdim\wd\tablebox>\linewidth\resizebox{\linewidth}{!}{\usebox{\tablebox}}\else\usebox{\tablebox}\fi}\input{#1}\endgroup}
\newsavebox{\tablebox}
"""


class Reference(NamedTuple):
    """A paper as a citation of a recipe says it."""

    key: str
    authors: str
    year: str
    where: str

    def entry(self) -> str:
        """For BibTeX."""
        kind, _, place = self.where.partition(":")
        authors = latex_escape(self.authors)
        fields = {"author": f"{{{authors}}}" if " and " not in authors else authors, "year": self.year}
        if kind == "arXiv":
            fields |= {"eprint": place, "archiveprefix": "arXiv"}
        elif kind == "doi":
            fields["doi"] = place
        else:
            fields["howpublished"] = f"\\url{{{self.where}}}"
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{lines}\n}}\n"


def references(citations: Iterable[str]) -> dict[str, list[Reference]]:
    """Of each citation, ``Ho, Jain and Abbeel 2020, arXiv:2006.11239; ...``, its papers; equal papers have one key.

    A part without authors is by those of the part before it; one that does not read as a paper is left out.
    """
    found: dict[str, list[Reference]] = {}
    known: dict[tuple[str, str, str], Reference] = {}
    keys: set[str] = set()
    for citation in dict.fromkeys(citations):
        mine, authors = [], ""
        for part in citation.split(";"):
            match = PART.fullmatch(part.strip())
            if match is None:
                continue
            authors = (match["authors"] or authors).removeprefix("with ").strip(" ,")
            who = (authors, match["year"], match["where"].rstrip(",."))
            if who not in known:
                name = re.sub(r"\W", "", re.split(r",| and | et ", authors)[0]) or "anonymous"
                key = next(k for k in (name + who[1] + end for end in ("", *"abcdefghijklmnop")) if k not in keys)
                keys.add(key)
                written = re.sub(r",? et al\.?", " and others", authors).replace(", ", " and ")
                known[who] = Reference(key, written, *who[1:])
            mine.append(known[who])
        found[citation] = mine
    return found


def write_paper(folder: Path, spec: Mapping[str, Any], tables: Sequence[str], pictures: Mapping[str, str]) -> Path:
    """Write ``paper/paper.tex`` and ``paper/paper.bib``.

    Parameters
    ----------
    folder : Path
        Of the bench; ``tables/`` and ``figures/`` are there.
    spec : mapping
        Its ``spec.json``.
    tables : sequence of str
        Names of the tables, without ``.tex``, in their order. Those of a dataset whose name LaTeX cannot read are left out.
    pictures : mapping
        File in ``figures/`` to what it shows.
    """
    rows = [
        (name, row.get("summary") or f"edits by {row.get('how', '')}", row.get("citation") or "")
        for part in ("recipes", "edits")
        for name, row in (spec.get(part) or {}).items()
    ]
    cited = references(citation for *_, citation in rows)
    systems = [
        f"\\item[{{{latex_escape(name)}}}] {latex_escape(summary)}"
        + (f" \\cite{{{','.join(r.key for r in cited[citation])}}}" if cited.get(citation) else "")
        for name, summary, citation in rows
    ]
    data = [
        f"\\item[{{{latex_escape(name)}}}] {latex_escape(_source(entry))}" for name, entry in spec["datasets"].items()
    ]
    budget = ", ".join(f"{value:g} {name}" for name, value in (spec.get("budget") or {}).items() if value is not None)
    lines = [
        HEAD + f"\\title{{{latex_escape(spec.get('title') or 'Image generators compared')}}}",
        "\\author{}\n\\begin{document}\n\\maketitle",
        "\\section{Question}\nWhich generators can be trusted with scientific images, and do the scores that praise them "
        "say so? We follow "
        "\\cite{review2025}.",
        _list("Data", data),
        _list("Systems", systems),
        f"Each system was trained for {latex_escape(budget)} unless its settings say otherwise, on tiles of "
        f"{spec.get('size')} pixels.",
        "\\section{Results}",
        *(f"\\wide{{../tables/{name}}}" for name in tables if READABLE.fullmatch(name)),
        *(
            f"\\begin{{figure}}\n\\centering\n\\includegraphics[width=\\linewidth]{{../figures/{file}}}\n"
            f"\\caption{{{latex_escape(said)}}}\n\\end{{figure}}"
            for file, said in pictures.items()
            if READABLE.fullmatch(file)
        ),
        "\\section{What holds and what does not}\n% To be written.",
        "\\section{Limits}\n% Few fields of view, the budget, no web-trained weights unless they were given.",
        "\\bibliographystyle{plain}\n\\bibliography{paper}\n\\end{document}",
    ]
    target = folder / "paper" / "paper.tex"
    target.parent.mkdir(exist_ok=True)
    write_text(target, "\n\n".join(lines) + "\n")
    title, entry = FOLLOWED
    papers = dict.fromkeys(reference for some in cited.values() for reference in some)
    write_text(target.with_suffix(".bib"), "\n".join([entry % title, *(paper.entry() for paper in papers)]))
    return target


def _list(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"\\section{{{title}}}", "\\begin{description}", *items, "\\end{description}"])


def _source(entry: Mapping[str, Any] | str) -> str:
    """Data without the way to it."""
    data = entry if isinstance(entry, str) else str(entry.get("data", ""))
    return data if data.startswith(("phantom:", "skimage:")) else Path(data).name
