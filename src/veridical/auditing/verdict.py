"""The audit: can these synthetic images be trusted, and if not, why?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from veridical.auditing import set_tests
from veridical.auditing.compare import Comparison, compare, independent
from veridical.auditing.copies import with_copies
from veridical.auditing.defects import DEFECTS, quotable, quote
from veridical.auditing.edited import pair_findings
from veridical.auditing.explain import Misfits, Planted, chosen_rows, misfits, patterns
from veridical.auditing.image_scores import SCORES
from veridical.auditing.independence import Units, choose_units, same_place
from veridical.auditing.inputs import open_sides, with_groups
from veridical.auditing.measure import Measured, fit_segmentation, measure
from veridical.core.errors import InputError
from veridical.stats.conformal import conformal_p, fields_needed
from veridical.stats.groups import components, folds
from veridical.stats.permutation import blocks_needed

COLOUR = 3 / 255  # a grey image with more than that between its channels has colour
SURE = ("copied", "blank")  # nothing else makes a copy of a training crop, or takes so much of the contrast
UNNAMED = {"unlikely"}  # what says that something is wrong, but not what
CONSTANT = 1e-4  # standard deviation below which there is nothing in an image
CERTAIN = 100.0  # added to the score of what no real image can have
CLOSE = 0.6  # times the least distance of a real image to a fellow: nearer ones are copies of each other
PARTS = 10  # of the real images, one of which is left out in the search for copies
CROWDED = 0.1  # share of images with a copy: what the set is called for first


def audit(
    real,
    synth,
    train=None,
    source=None,
    alpha: float = 0.05,
    *,
    real_groups=None,
    synth_groups=None,
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
    real, synth : (N, C, H, W) arrays in [0, 1], or anything that `veridical.data.readers.open.open_slices` opens
    train : the images that the generator was trained on, to search for copies; by default they are searched for in `real`
    source : for edited images, what they were made of; images of one name belong together
    alpha : chance that real images unseen by the calibration fail
    real_groups, synth_groups : a label an image, its slice; by default the file name without the place of the tile
    field : instead, a regular expression that finds the slice in a file name
    size : cut images to this size (large ones into tiles); by default the largest that fits if sizes differ
    power : with a pass, find the smallest severity of each defect that would have been caught
    copies : distances (N,) and (M,) of `real` and `synth` to the training data by `novelty.nearest_crop`, if they are known
    cache : folder where measurements of `real` are kept for the next audit, or None
    pictures : folder for evidence pictures; none are made by default
    progress : function called with (share done, what is going on)

    Returns
    -------
    dict
        ``schema``, ``verdict`` ("pass", "fail", "insufficient"), ``alpha``, ``n_real``, ``n_synth``, ``independent`` (how
        the images were counted), ``findings`` of the set, ``images`` with their own, ``power``, ``notes``.

    Raises
    ------
    InputError
        Fewer than 8 images or real ones of one place only, another size or modality, NaN, or a source that does not pair up.

    Notes
    -----
    The set fails if step-down min-p over permuted blocks finds any defect at family-wise level alpha, or if something is
    there that no real image can have (colour in grey images, constant images, files of the real set). An image fails if its
    most suspicious score, over all defects, is higher than those of real images, by conformal rank over fields of view.
    """  # fmt: skip
    say = progress or (lambda share, note: None)
    sides = open_sides(real, synth, train, source, field, size)
    side, other = with_groups(sides["real"], real_groups), with_groups(sides["synth"], synth_groups)
    say(0.0, "counting fields of view")
    linked = same_place(side.images)
    fields, slices = components(linked), components(linked, side.groups)
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
    units = choose_units(slices, fields, other.groups, len(set_tests.names(True)), alpha)
    part = folds(independent(units, fields, slices), PARTS)
    x, y, fair, identical = with_copies(side, other, sides.get("train"), copies, part, x, y)
    say(0.85, "comparing")
    c = compare(x, y, fields, slices, other.groups, units, fair=fair)
    say(0.9, "looking for what explains it")
    planted = Planted(side.images, chosen_rows(c.scored.fold), segmentation, cache=cache)
    explained = misfits(c, patterns(c, planted), len(planted.rows))
    certain = certain_defects(side.images, y, identical)
    images = judge_images(c, alpha, certain, other.names, explained)
    if "source" in sides:
        for entry, found in zip(images, pair_findings(other.images, sides["source"].images, side.images), strict=True):
            if found is not None:
                entry["findings"].insert(0, found)
                entry["verdict"] = "fail"
    findings = set_findings(judge_set(c, alpha, explained=explained), images, certain)
    verdict = "fail" if findings else "pass" if units.enough else "insufficient"
    counted, notes = _counted(c, alpha)
    report: dict[str, Any] = {
        "schema": 1, "verdict": verdict, "alpha": alpha, "n_real": len(x), "n_synth": len(y), "independent": counted,
        "findings": findings, "images": images, "power": None, "notes": notes,
    }  # fmt: skip
    if verdict == "pass" and power:
        from veridical.auditing.power import smallest_caught, smallest_set_defect

        report["power"] = smallest_set_defect(c, alpha)
        report["power"] += smallest_caught(
            planted, c, alpha, progress=lambda share: say(0.93 + 0.06 * share, "asking what would have been caught")
        )
    if pictures is not None:
        from veridical.auditing.pictures import write_evidence

        write_evidence(Path(pictures), report, side.images, other.images, c.near)
    say(1.0, verdict)
    return report


def _counted(c: Comparison, alpha: float) -> tuple[dict[str, Any], list[str]]:
    """How many independent images there are, how many are needed, and what that means in words."""
    units = c.units
    counted: dict[str, Any] = {
        "unit": units.kind, "real": units.sizes[0], "synth": units.sizes[1],
        "needed": blocks_needed(len(set_tests.names(True)), alpha),
        "fields_of_view": int(c.fields.max()) + 1, "fields_of_view_needed": fields_needed(alpha),
    }  # fmt: skip
    notes = []
    if not units.enough:
        notes.append(
            f"too few independent images to say: {counted['real']} real and {counted['synth']} synthetic "
            f"{units.kind}; {counted['needed']} of each are enough"
        )
    if units.kind != "slices":
        notes.append(
            f"only {int(c.slices.max()) + 1} independent slices, so places in them were counted instead: the verdict is "
            "about more images of these slices, not about slices that nobody has seen"
        )
    if counted["fields_of_view"] < counted["fields_of_view_needed"]:
        notes.append(
            f"{counted['fields_of_view']} independent fields of view are too few to judge single images; "
            f"{counted['fields_of_view_needed']} are enough"
        )
    return counted, notes


def certain_defects(real: np.ndarray, y: Measured, identical: np.ndarray) -> dict[str, np.ndarray]:
    """Defects that no real image can have, whatever the calibration: which images have them, (M,) bool."""
    constant = real.std((1, 2, 3)).min() > CONSTANT
    return {
        "colour_in_grey": y.values["colour"] > COLOUR if real.shape[1] == 1 else np.zeros(len(y), bool),
        "blank": (y.values["contrast"] < CONSTANT) & constant,
        "copied": identical,
    }


def judge_images(
    c: Comparison, alpha: float, certain: dict[str, np.ndarray], names: list[str], explained: Misfits | None = None
) -> list[dict[str, Any]]:
    """Verdict and findings of every image; `certain` as from `certain_defects`.

    First comes what no real image can have, and what no other defect can bring about (`SURE`), then what explains the image
    best by `explained`. If it explains all that is unusual, its own score need not be: that of another defect may give it
    away. Without it findings are in the order of their scores.
    """
    worst = c.scored.real.max(1)
    fold = c.scored.fold
    p_worst = conformal_p(c.scored.synth.max(2), worst, c.fields, fold)
    p = np.stack([
        conformal_p(c.scored.synth[:, :, k], worst, c.fields, fold) for k in range(len(SCORES))
    ], 1)  # fmt: skip
    able = int(c.fields.max()) + 1 >= fields_needed(alpha)
    values, usual = _quotable(c)
    mean, tests = c.scored.mean, list(SCORES)
    images = []
    for j, file in enumerate(names):
        sure = [name for name, which in certain.items() if which[j]]
        sure += [name for name in SURE if p[j, tests.index(name)] <= alpha and name not in sure]
        strength = dict(zip(SCORES, mean[j].tolist(), strict=True))
        p_of = dict(zip(SCORES, p[j].tolist(), strict=True)) | {name: 0.0 for name in certain if certain[name][j]}
        misfit = {name: -value for name, value in strength.items()}
        if explained is not None:
            misfit = {name: float(each[j]) for name, each in explained.images.items() if name in SCORES}
        reasons = {name for name in p_of if p_of[name] <= alpha}
        failed = p_worst[j] <= alpha or bool(reasons)
        # no name of which the image has less than half of the real ones: too much black where there is none
        best = min((name for name in misfit if strength[name] > 0), key=misfit.__getitem__, default="unlikely")
        if failed and (reasons <= UNNAMED or (explained is not None and misfit.get(best, np.inf) <= explained.usual)):
            reasons.add(best)
        found = []
        for name in ordered(reasons, sure, misfit):
            words = quote(DEFECTS[name].values, {key: v[j : j + 1] for key, v in values.items()}, usual)
            text = f"{DEFECTS[name].what}: {words}" if words else DEFECTS[name].what
            statistic = strength[name] + CERTAIN * (p_of[name] == 0)
            entry = {"defect": name, "level": "image", "p_value": p_of[name], "statistic": statistic}
            found.append(entry | {"expected": [words.low, words.high] if words else None, "explanation": text})
        verdict = "fail" if failed else "pass" if able else "insufficient"
        images.append({"file": file, "verdict": verdict, "p_value": float(p_worst[j]), "findings": found})
    return images


def crowded(nearest: np.ndarray, usual: np.ndarray, contrast: float) -> bool:
    """Whether a set holds copies, which have the peculiarities of what they are copies of, too: that they are copies comes first.

    Parameters
    ----------
    nearest, usual : (M,) and (N,) distances of synthetic and of real images to their nearest fellows
    contrast : that of synthetic images over that of real ones; images of nothing are near to each other, too
    """
    return bool(np.mean(nearest < CLOSE * min(contrast, 1) * np.nanmin(usual)) > CROWDED)


def judge_set(
    c: Comparison, alpha: float, most: int = set_tests.WAYS, explained: Misfits | None = None
) -> list[dict[str, Any]]:
    """Findings of the whole set by at most `most` permutations; none where there are too few independent units.

    If there are any, what explains the set best by `explained` comes first; if it explains all that is unusual, whatever its own
    p-value. Without it, the smallest p-value comes first. A significant mode collapse comes before all if images are much
    nearer to each other than any real ones are.
    """
    if not c.units.enough:
        return []
    tests, distance = set_tests.names(c.searched), c.distance
    p, _ = set_tests.test_set(c, distance=distance, most=most)
    values, usual = _quotable(c)
    others = np.unique(c.groups, return_inverse=True)[1]
    values["nearest_fellow"] = _nearest_fellow(c.across, others)
    usual["nearest_fellow"] = _nearest_fellow(c.own.deep, c.fields)
    contrast = np.median(c.synth.values["contrast"]) / np.median(c.real.values["contrast"])
    copies = crowded(values["nearest_fellow"], usual["nearest_fellow"], contrast)
    usual = _medians_of_sets(usual, c.units)
    found = {name for name, value in zip(tests, p, strict=True) if value <= alpha}
    misfit = dict(zip(tests, p, strict=True))
    if explained is not None:
        misfit = {name: explained.whole[name] for name in tests if name in explained.whole}
    best = min(misfit, key=misfit.__getitem__)
    if found and explained is not None and (found <= UNNAMED or misfit[best] <= explained.usual):
        found.add(best)
    findings = []
    for name in ordered(found, ["mode_collapse"] if copies else [], misfit):
        value = float(p[tests.index(name)])
        if name == "low_coverage":
            everyone = np.arange(len(distance)) >= len(c.real)
            share = set_tests.coverage(np.where(np.eye(len(distance), dtype=bool), np.inf, distance), everyone)
            text = f"{DEFECTS[name].what}: {share:.0%} of the real images have a synthetic one as near as their fellows"
            entry: dict[str, Any] = {"statistic": share, "expected": None}
        else:
            words = quote(DEFECTS[name].values, values, usual, "sets")
            text = f"{DEFECTS[name].what}: in a typical image of the set {words}" if words else DEFECTS[name].what
            entry = {"statistic": words.value, "expected": [words.low, words.high]} if words else {
                "statistic": None, "expected": None}  # fmt: skip
        findings.append({"defect": name, "level": "set", "p_value": value, **entry, "explanation": text})
    return findings


def ordered(found: Iterable[str], sure: list[str], misfit: dict[str, float]) -> list[str]:
    """Names of defects, those that are `sure` first, then those that explain best."""
    return sorted(found, key=lambda name: (name not in sure, misfit.get(name, np.inf), name))


def _quotable(c: Comparison) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What explanations may quote of synthetic and of real images."""
    synth, real = c.strangeness()
    return quotable(c.synth, *synth), quotable(c.real, *real)


def _medians_of_sets(usual: dict[str, np.ndarray], units: Units, draws: int = 200) -> dict[str, np.ndarray]:
    """Medians (draws,) of real sets: as many blocks as SYNTH has, drawn from the real ones with replacement."""
    rng, table = np.random.default_rng(0), np.stack(list(usual.values()), 1)
    real, synth = units.sizes
    rows = [np.flatnonzero(units.real == k) for k in range(real)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what no real image has, such as branch points, stays NaN
        medians = [
            np.nanmedian(table[np.concatenate([rows[k] for k in rng.integers(real, size=synth)])], 0)
            for _ in range(draws)
        ]
    return dict(zip(usual, np.stack(medians, 1), strict=True))


def _nearest_fellow(distance: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Distance to the nearest image of another label, (N,); NaN where there is none."""
    nearest = np.where(labels[:, None] == labels, np.inf, distance).min(1)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def set_findings(
    tested: list[dict[str, Any]], images: list[dict[str, Any]], certain: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Findings of `judge_set` after those of defects that no real image can have, and of edits."""
    found = []
    for name, which in certain.items():
        if which.any():
            text = f"{which.sum()} of {len(which)} images: {DEFECTS[name].what}"
            if name == "copied":
                text = f"{which.sum()} of {len(which)} images are, pixel by pixel, files of the real or training images"
            found.append({"defect": name, "level": "image", "p_value": 0.0, "statistic": float(which.mean()),
                          "expected": [0.0, 0.0], "explanation": text})  # fmt: skip
    for name in ("unchanged", "structure_lost"):
        count = sum(f["defect"] == name for image in images for f in image["findings"])
        if 2 * count > len(images):
            text = f"{count} of {len(images)} images: {DEFECTS[name].what}"
            found.append({"defect": name, "level": "image", "p_value": None, "statistic": count / len(images),
                          "expected": None, "explanation": text})  # fmt: skip
    known = {f["defect"] for f in found}
    return found + [f for f in tested if f["defect"] not in known]
