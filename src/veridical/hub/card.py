"""What an exported model says of itself: a model card for people, and a manifest in the manner of bioimage.io."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.core.parse import listed
from veridical.core.version import __version__
from veridical.reporting.contents import Audited, ResultRow
from veridical.reporting.formats import number, to_markdown, uncertain
from veridical.reporting.paper import references
from veridical.runs.run import Run
from veridical.scoring.table import find

REVIEW = (
    "@article{review2025,\n  title = {Synthetic Scientific Image Generation with VAE, GAN, and Diffusion Model Architectures},\n"
    "  journal = {Journal of Imaging},\n  year = {2025},\n  volume = {11},\n  number = {8},\n  pages = {252}\n}\n"
)
NOBODY = "nobody has said under which licence these weights may be used; ask whoever gave them to you"
OWN = "LicenseRef-"  # how licences begin that are none of SPDX's list
LETTERS = string.ascii_letters + string.digits + "_+- ()"  # of names in bioimage.io


@dataclass(frozen=True)
class About:
    """What is known of a run beyond its folder.

    Attributes
    ----------
    licence : str
        Of the weights, an identifier of SPDX such as CC-BY-4.0; "" where nobody has said.
    authors : sequence of str
    scores : list of rows, or None
        As ``veridical score --json`` or a bench writes them.
    audit : dict, or None
        As ``veridical audit --json`` writes it.
    """

    licence: str = ""
    authors: Sequence[str] = ()
    scores: list[ResultRow] | None = None
    audit: Audited | None = None


def gathered(
    run: Path, scores: str | Path | None, audit: str | Path | None, licence: str, authors: Sequence[str]
) -> About:
    """What there is to tell of a run: the files that were named, or those of the cell of a bench that the run belongs to.

    Raises
    ------
    InputError
        If a file is missing or is no such, the licence is no identifier, or an author no name.
    """
    for author in authors:
        if not author.strip() or set(author) & set("/\\"):  # which bioimage.io refuses
            raise InputError(f"author={author!r} is no name: give one without slashes, such as 'A. Name'.")
    licence = _identifier(licence)
    cell = run.resolve().parent
    of_cell = (cell / "status.json").is_file()
    scores = scores or (cell / "rows.json" if of_cell and (cell / "rows.json").is_file() else None)
    audit = audit or (cell / "audit.json" if of_cell and (cell / "audit.json").is_file() else None)
    return About(
        licence,
        tuple(authors),
        None if scores is None else read_json(Path(scores), list[ResultRow]),
        None if audit is None else read_json(Path(audit), Audited),
    )


def _identifier(licence: str) -> str:
    """The licence as SPDX writes it."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if not licence:
        return ""
    try:
        found = str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        found = ""
    if not all(letter.isalnum() or letter in "-.+" for letter in found) or not found:
        raise InputError(f"licence={licence!r} is no identifier: give one of SPDX, such as CC-BY-4.0 or Apache-2.0.")
    return found


def card(run: Run, about: About, name: str, usage: str, task: str) -> str:
    """The model card, Markdown under a head that the Hugging Face hub reads.

    Parameters
    ----------
    run : Run
    about : About
    name : str
    usage : str
        Python that loads it and draws an image.
    task : str
        What the Hugging Face hub calls what it does.
    """
    head = [
        "---",
        f"license: {about.licence.lower() or 'unknown'}",
        "library_name: diffusers",
        f"pipeline_tag: {task}",
        "tags: [veridical, synthetic, scientific-imaging]",
        "---",
    ]
    parts = [
        "\n".join(head), f"# {name}",
        f"Weights of the recipe `{run.info.recipe}` of veridical {__version__}: {run.row.summary}. "
        "**Every image that they draw is synthetic.**",
        f"```python\n{usage}```", _data(run), _scores(run, about), _audit(about),
        f"## Licence\n\n{about.licence or NOBODY[0].upper() + NOBODY[1:]}." + _by(about.authors), _cite(run),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _by(authors: Sequence[str]) -> str:
    return f" By {', '.join(authors)}." if authors else ""


def called(spec: object) -> str:
    """The name of data without where they lie on a machine."""
    text = str(spec)
    return text if text.partition(":")[0] in ("phantom", "skimage") else PurePath(text).name or text


def _data(run: Run) -> str:
    info, data = run.info, run.info.dataset
    window = info.window
    rows = {
        "data": f"`{called(data.get('spec'))}`",
        "fingerprint": f"`{data.get('fingerprint')}`",
        "amount": f"{number(data.get('slices'))} images, {number(data.get('n_train_tiles'))} training tiles",
        "tiles": f"{info.size} x {info.size} pixels, {'grey' if info.channels == 1 else 'RGB'}",
        "pixel size": "not known" if not data.get("pixel_size") else f"{listed(data['pixel_size'])} micrometres",
        "counts": f"{window.dtype}; 0 is {window.low:g} and 1 is {window.high:g}",
        "training": f"{number(info.cost.steps)} steps of {info.cost.batch} tiles, seed {info.config.seed}",
    }
    table = to_markdown([{"": key, "what": value} for key, value in rows.items()])
    return f"## Trained on\n\n{table}"


def _scores(run: Run, about: About) -> str:
    head = "## Scores\n\n"
    if about.scores is None:
        best = run.info.best
        if best is None:
            return (
                head + "None were given. Measure: `veridical score REAL SAMPLES`, on images that were not trained on."
            )
        value = uncertain(best.value, best.low, best.high)
        return (
            f"{head}Its best preview, at step {number(best.step)}: `{best.metric}` {value} (95 % interval), {best.n} samples "
            f"against {best.tiles} validation tiles. {_means(best.metric)}"
        )
    shown = [
        {
            "metric": f"`{row['metric']}`",
            "value (95 % interval)": uncertain(row["value"], row.get("low"), row.get("high")),
            "floor": number(row.get("floor")),
            "n": number(row.get("n")),
            "what": _means(row["metric"]),
        }
        for row in about.scores
        if row.get("value") is not None
    ]
    floor = "\n\nThe floor is the same metric between real images and other real images."
    return head + (to_markdown(shown) + floor if shown else "Nothing could be measured.")


def _means(metric: str) -> str:
    row = find(metric)
    return "" if row is None else f"{row.explanation[0].upper()}{row.explanation[1:]}."


def _audit(about: About) -> str:
    head = "## Audit\n\n"
    if about.audit is None or not about.audit.get("verdict"):
        return head + "None was given. Look: `veridical audit REAL SAMPLES`."
    found: Mapping[str, Any] = about.audit
    titles = dict.fromkeys(str(one.get("title") or one.get("defect")) for one in found.get("findings") or ())
    lines = [f"**{str(found['verdict']).capitalize()}.** {found.get('lead') or ''}".strip()]
    return head + "\n".join([*lines, *(f"- {title}" for title in titles)])


def _cite(run: Run) -> str:
    papers = references([run.row.citation])[run.row.citation]
    entries = "\n".join([*(paper.entry() for paper in papers), REVIEW])
    return (
        f"## Citation\n\n{run.row.citation}. veridical follows the review J. Imaging 2025, 11(8), 252.\n\n```bibtex\n"
        f"{entries}```"
    )


def manifest(run: Run, about: About, name: str, task: str) -> str:
    """A description of type ``generic`` as bioimage.io has it (format 0.3.0), in YAML, of which JSON is a part.

    Descriptions of type ``model`` are of networks from arrays to arrays with a file of each; a pipeline is none. Names there have
    five characters at least, of a few kinds; licences of one's own (``LicenseRef-``) need a file, and are left to the card.
    """
    listed_there = about.licence and not about.licence.startswith(OWN)
    plain = "".join(letter if letter in LETTERS else "-" for letter in name)[:64]
    papers = references([run.row.citation])[run.row.citation]
    cite = [
        {"text": f"{paper.authors} {paper.year}", "url": _address(paper.where)}
        for paper in papers
        if _address(paper.where)
    ]
    said: dict[str, Any] = {
        "format_version": "0.3.0",
        "type": "generic",
        "name": plain if len(plain) >= 5 else f"{plain} ({run.info.recipe})",
        "description": f"{run.row.summary[0].upper()}{run.row.summary[1:]}. Every image that it draws is synthetic.",
        "authors": [{"name": author} for author in about.authors],
        "cite": cite,
        "documentation": "README.md",
        "attachments": [{"source": "veridical.json"}],
        "tags": ["veridical", "synthetic", "diffusers", task, run.info.recipe],
        **({"license": about.licence} if listed_there else {}),
        "config": {"veridical": {"version": __version__, "fingerprint": run.info.dataset.get("fingerprint")}},
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _address(where: str) -> str:
    kind, _, place = where.partition(":")
    return {"arXiv": f"https://arxiv.org/abs/{place}", "doi": f"https://doi.org/{place}"}.get(kind, "")
