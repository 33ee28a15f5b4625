"""The page of an audit, of whatever was audited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from veridical.auditing.defects import DEFECTS, title_of
from veridical.core.errors import InputError
from veridical.reporting import audit_page as pages


def audit_page(
    path: str | Path, report: dict[str, Any], pictures: str | Path, *, real: str = "real", synth: str = "synthetic"
) -> Path:
    """Write what `veridical.audit` or `veridical.audit_run` found as one HTML file, for a screen, a phone or paper.

    Parameters
    ----------
    path : str or Path
        The file; its folder is made.
    report : dict
        What they returned, with `pictures` given to them.
    pictures : str or Path
        The same folder.
    real, synth : str
        What the two sets are called on the page.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If `pictures` does not hold the evidence that the report names.
    """
    evidence = report.get("evidence")
    if evidence and not (Path(pictures) / evidence["file"]).is_file():
        raise InputError(
            f"{pictures} does not hold {evidence['file']}: give the folder that the audit was given as pictures."
        )
    looked_for = [(title_of(name), row.level, row.what) for name, row in DEFECTS.items()]
    pages.audit_page(Path(path), report, Path(pictures), {"real": real, "synth": synth}, looked_for)
    return Path(path)
