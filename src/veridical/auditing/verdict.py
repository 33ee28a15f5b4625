"""The audit: can these synthetic images be trusted, and if not, why?

Measure both sets, score and test them (`scored`, `set_tests`), explain what is unusual (`explain`), judge (`judge`), and
with a pass say what would have been caught (`power`). What is looked for is a table (`defects`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from veridical.auditing import set_tests
from veridical.auditing.compare import Comparison, compare, independent
from veridical.auditing.copies import with_copies
from veridical.auditing.explain import Planted, chosen_rows, misfits, patterns
from veridical.auditing.independence import FEWEST_SLICES, choose_units, continues, joined, same_place
from veridical.auditing.inputs import CALLED, open_sides, with_groups
from veridical.auditing.judge import (
    certain_defects,
    decides,
    judge_images,
    judge_set,
    pair_findings,
    set_findings,
    with_signs,
)
from veridical.auditing.measure import fit_segmentation, measure
from veridical.auditing.quoted import named_once
from veridical.auditing.repeats import repeats
from veridical.core.arrays import Groups, ImageSet
from veridical.core.errors import InputError
from veridical.core.notes import heard
from veridical.data.images import ImageSet as Opened
from veridical.data.pixel_size import pixel_size_remarks
from veridical.data.readers.runs import drawn_independently
from veridical.metrics.same import numbered, simple
from veridical.stats.conformal import fields_needed
from veridical.stats.groups import components
from veridical.stats.permutation import blocks_needed

NAMED = 3  # findings that the lead sentence names


def audit(
    real: ImageSet | Opened,
    synth: ImageSet | Opened,
    train: ImageSet | None = None,
    source: ImageSet | Opened | None = None,
    alpha: float = 0.05,
    *,
    real_groups: Groups | None = None,
    synth_groups: Groups | None = None,
    field: str | None = None,
    size: int | None = None,
    power: bool = True,
    copies: tuple[np.ndarray, np.ndarray] | None = None,
    cache: str | Path | None = None,
    pictures: str | Path | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Judge synthetic images by real ones.

    Parameters
    ----------
    real, synth : (N, C, H, W) arrays in [0, 1], or anything that `veridical.data.readers.open.open_slices` opens, or
        what `veridical.data.images.read_images` gives
    train : the images that the generator was trained on, to search for copies; by default they are searched for in `real`.
        Real images that are among them, or cut out of them, are compared with the others of them
    source : for edited images, what they were made of; images of one name belong together
    alpha : chance that real images unseen by the calibration fail
    real_groups, synth_groups : a label an image, its slice; by default the file name without the place of the tile, which is
        believed of what `veridical sample` drew without conditions. Labels of
        synthetic images that all differ say that they are independent of each other; names that all differ say nothing
    field : instead, a regular expression that finds the slice in a file name
    size : cut images to this size (large ones into tiles); by default the largest that fits if sizes differ
    power : with a pass, find the smallest severity of each defect that would have been caught
    copies : distances (N,) and (M,) of `real` and `synth` to the training data by `novelty.nearest_crop`, if they are known;
        no real image may be among the training images
    cache : folder where measurements of `real` are kept for the next audit, or None
    pictures : folder for a picture of evidence, ``evidence.png``, with which the report gets curves, too; by default neither
    progress : function called with (share done, what is going on)

    Returns
    -------
    dict
        ``schema``, ``verdict`` ("pass", "fail", "insufficient"), ``lead`` (the result in a sentence), ``alpha``, ``n_real``,
        ``n_synth``, ``independent`` (how the images were counted), ``findings`` of the set, ``images`` with their own, ``power``,
        ``notes``; with pictures ``evidence`` and ``curves``.

    Raises
    ------
    InputError
        Fewer than 8 images or real ones of one place only, another size or modality, NaN, or a source that does not pair up.

    Notes
    -----
    The set fails if step-down min-p finds any defect at family-wise level alpha, or if something is there that no real image can
    have (colour in grey images, constant images, files of the real set). Slices are exchanged (`stats.permutation`), or if they
    are few, what they vary by is estimated (`stats.rotation`). An image fails if its most suspicious score, over all defects, is
    higher than those of real images, by conformal rank over fields of view. With fewer than `FEWEST_SLICES` slices, what differs
    from them may be what another slice differs by: copies fail, everything else is listed but is no fail ("insufficient").
    """  # fmt: skip
    say = progress or (lambda share, note: None)
    with heard() as of_data:
        sides = open_sides(real, synth, train, source, field, size)
    side, other = with_groups(sides["real"], real_groups), with_groups(sides["synth"], synth_groups)
    say(0.0, "counting fields of view")
    told = synth_groups is not None or (field is None and drawn_independently(synth))
    if not told:
        other = other._replace(groups=joined(other.images, other.groups))
    exactly = simple(side.images)
    same = numbered(side.images, exactly=exactly)  # the same image twice, turned perhaps, is no second place
    linked = same_place(side.images) | (same[:, None] == same)
    fields, slices = components(linked), components(linked | continues(side.images), side.groups)
    if not fields.max():
        raise InputError(f"all {len(fields)} real images show one place; an audit needs real images of several")
    segmentation = fit_segmentation(side.images)
    total = len(side.images) + len(other.images)
    x = measure(
        side.images, segmentation, cache=cache, progress=lambda k, n: say(0.7 * k / total, "measuring real images")
    )
    done = 0.7 * len(side.images) / total
    y = measure(
        other.images, segmentation, progress=lambda k, n: say(done + 0.7 * k / total, "measuring synthetic images")
    )
    say(0.7, "searching for copies")
    units = choose_units(slices, fields, other.groups, len(set_tests.names(True)), alpha, told=told)
    copied = with_copies(side, other, sides.get("train"), copies, independent(units, fields, slices), exactly, x, y)
    x, y = copied.real, copied.synth
    say(0.85, "comparing")
    c = compare(x, y, fields, slices, other.groups, units, fair=copied.fair)
    say(0.9, "looking for what explains it")
    planted = Planted(side.images, chosen_rows(c.scored.fold), segmentation, cache=cache)
    explained = misfits(c, patterns(c, planted), len(planted.rows))
    certain = certain_defects(side.images, y, copied.identical)
    images = judge_images(c, alpha, certain, other.names, explained)
    if "source" in sides:
        for entry, found in zip(images, pair_findings(other.images, sides["source"].images, side.images), strict=True):
            if found is not None:
                entry["findings"].insert(0, found)
                entry["verdict"] = "fail"
    tested = judge_set(c, alpha, explained=explained)
    names = {finding["defect"] for finding in tested}
    copies_within = [finding for finding in repeats(c, other.images) if finding["defect"] not in names]
    findings = set_findings([*copies_within, *tested], images, certain, alpha)
    with_signs(findings, images, c)
    named_once(findings)
    decided = decides(findings) or (bool(findings) and not c.seen_slices_only)
    verdict = "fail" if decided else "insufficient" if findings or not units.enough else "pass"
    counted, notes = _counted(c, alpha, told, real_groups is not None)
    notes = _how_to_read(findings, images) + notes
    notes += pixel_size_remarks({CALLED[name]: each.pixel_size for name, each in sides.items()}) + copied.notes
    report: dict[str, Any] = {
        "schema": 1, "verdict": verdict, "alpha": alpha, "n_real": len(x), "n_synth": len(y), "independent": counted,
        "findings": findings, "images": images, "power": None, "notes": [*of_data, *notes],
    }  # fmt: skip
    report["lead"] = lead(report)
    if verdict == "pass" and power:
        from veridical.auditing.power import smallest_caught, smallest_set_defect

        report["power"] = smallest_set_defect(c, alpha)
        report["power"] += smallest_caught(
            planted, c, alpha, progress=lambda share: say(0.93 + 0.06 * share, "asking what would have been caught")
        )
    if pictures is not None:
        from veridical.auditing.curves import curves
        from veridical.auditing.pictures import write_evidence

        write_evidence(Path(pictures), report, side.images, other.images, c.near)
        report["curves"] = curves(side.images, other.images, segmentation)
    say(1.0, verdict)
    return report


def lead(report: dict[str, Any]) -> str:
    """Verdict, images and set in a sentence that says how they go together."""
    n = len(report["images"])
    failed = sum(image["verdict"] == "fail" for image in report["images"])
    one = "fails on its own" if failed == 1 else "fail on their own"
    alone = f"{failed} of {n} images {one}" if failed < n else f"all {n} images {one}"
    if not failed:
        unknown = any(image["verdict"] == "insufficient" for image in report["images"])
        alone = "of single images too little is known" if unknown else "each image passes on its own"
    # what quotes the same measurement as another finding is another name of the same
    titles = list(dict.fromkeys(f["title"] for f in report["findings"] if not f.get("same_as")))
    named = "; ".join(titles[:NAMED]) + (f"; and {len(titles) - NAMED} more" if len(titles) > NAMED else "")
    if report["verdict"] == "pass":
        usual = f"; {alone}, where of real ones up to {report['alpha']:.0%} do" if failed else f"; {alone}"
        text = f"no defect was found in the set{usual}"
    elif report["verdict"] == "insufficient":
        seen = (
            f"; what differs from those there are: {named}"
            if named
            else "; nothing was found that differs from those there are"
        )
        few = (
            "there are too few independent images"
            if report["independent"]["unit"] == "slices"
            else "real slices are too few"
        )
        text = f"{few} to say whether these pass for real{seen}"
    else:
        both = "and" if failed else "but"
        text = f"{alone}, {both} as a set they differ from real ones: {named}"
    return text[0].upper() + text[1:] + "."


def _how_to_read(findings: list[dict[str, Any]], images: list[dict[str, Any]]) -> list[str]:
    """What verdicts and p-values do not say, where there are such."""
    notes = []
    if findings and any(image["verdict"] == "pass" for image in images):
        notes.append(
            "an image that passes was not caught when looked at alone; what the whole set shows may be in it, too"
        )
    if least := {f["p_value"] for f in findings if f.get("p_is_least")}:
        notes.append(
            f"p <= {max(least):.2g} is the least that the test can give: such findings are equally certain, and their order "
            "does not come from it"
        )
    return notes


def _counted(c: Comparison, alpha: float, told: bool, real_told: bool) -> tuple[dict[str, Any], list[str]]:
    """How many independent images there are, how many are needed, and what that means in words.

    `told` and `real_told` say whether the slices of synthetic and of real images were given.
    """
    units, places, slices = c.units, int(c.fields.max()) + 1, int(c.slices.max()) + 1
    needed = blocks_needed(len(set_tests.names(True)), alpha)
    counted: dict[str, Any] = {
        "unit": units.kind, "real": units.sizes[0], "synth": units.sizes[1],
        "needed": FEWEST_SLICES if units.way == "rotate" else needed,
        "fields_of_view": places, "fields_of_view_needed": fields_needed(alpha),
    }  # fmt: skip
    notes = []
    if not units.enough:
        notes.append(
            f"too few independent images to say: {counted['real']} real and {counted['synth']} synthetic "
            f"{units.kind}; {counted['needed']} of each are enough"
        )
    if units.way == "rotate":
        notes.append(
            f"{slices} real slices: what they vary by is estimated, and only differences beyond that are found; the more slices, "
            "the smaller ones"
        )
    if c.seen_slices_only:
        notes.append(
            f"only {slices} independent slice{'s' * (slices > 1)}, so places in them were counted instead: a pass is about more "
            "images of these slices, and what differs from them may be what another slice differs by, so it is listed but is no "
            f"fail; {FEWEST_SLICES} slices are enough to say more"
        )
    if slices == len(c.real) and not real_told:
        notes.append(
            "neither the names nor the borders of the real images say which are of one slice, so each counts as a slice of its "
            "own; if they are not, tell their slices (--field or real_groups)"
        )
    elif not told and units.way == "rotate" and len(np.unique(c.groups)) == len(c.groups):
        notes.append(
            "the names of the synthetic images say nothing of slices, so all are taken for images of one slice; if they are "
            "independent of each other, say so (synth_groups) and smaller differences are found"
        )
    if places < counted["fields_of_view_needed"]:
        notes.append(
            f"{places} independent fields of view are too few to judge single images; "
            f"{counted['fields_of_view_needed']} are enough"
        )
    return counted, notes
