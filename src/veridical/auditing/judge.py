"""The judgement: which images fail, whether the set fails, and what their defects are called, first those that explain best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from veridical.auditing import set_tests
from veridical.auditing.compare import Comparison
from veridical.auditing.curves import distribution
from veridical.auditing.defects import DEFECTS, KINDS, scores, title_of
from veridical.auditing.evidence import Evidence, quotable, quote
from veridical.auditing.explain import Misfits
from veridical.auditing.measure import Measured
from veridical.auditing.quoted import quote_set
from veridical.auditing.repeats import nearest_fellow
from veridical.stats.conformal import conformal_p, fields_needed

CLEARLY = 2.0  # times what the best explanation leaves: others that leave less explain about as well
UNLIKELY = 0.5  # p-value of a defect that may be the name of what is unusual for other reasons
CERTAIN = 100.0  # added to the score of what no real image can have


def certain_defects(real: np.ndarray, y: Measured, identical: np.ndarray) -> dict[str, np.ndarray]:
    """Defects that no real image can have, whatever the calibration: which images have them, (M,) bool."""
    rules = {name: row.certain for name, row in DEFECTS.items() if row.certain is not None}
    ranked = sorted(rules, key=lambda name: rules[name].rank)
    return {name: rules[name].function(real, y, identical) for name in ranked}


def pair_findings(images: np.ndarray, source: np.ndarray, real: np.ndarray) -> list[dict[str, Any] | None]:
    """What is wrong with edited images (N, C, H, W) beside their sources: a finding for each, or None.

    Parameters
    ----------
    images, source : (N, C, H, W) in [0, 1]; image k was made of source k
    real : (M, C, H, W), whose noise says what a change is
    """
    found: list[dict[str, Any] | None] = [None] * len(images)
    for name, row in DEFECTS.items():
        for k, told in enumerate(row.pair(images, source, real) if row.pair is not None else ()):
            if told is not None and found[k] is None:
                found[k] = _entry(name, None, told.explanation, told.statistic, told.expected)
    return found


def judge_images(
    c: Comparison, alpha: float, certain: dict[str, np.ndarray], names: list[str], explained: Misfits | None = None
) -> list[dict[str, Any]]:
    """Verdict and findings of every image; `certain` as from `certain_defects`.

    First comes what no real image can have, and what no other defect can bring about (`sure`); the others as by `ordered`, by
    their scores. What explains the image best by `explained` may be among them though its own score is not unusual: that of
    another defect may give it away. But it must show where it shows when planted: an image without a peak at the frequencies of
    upsampling has no pattern of upsampling, however well that would explain its noise.
    """
    worst, tests, mean = c.scored.real.max(1), list(scores()), c.scored.mean
    fold = c.scored.fold
    p_worst = conformal_p(c.scored.synth.max(2), worst, c.fields, fold)
    p = np.stack([
        conformal_p(c.scored.synth[:, :, k], worst, c.fields, fold) for k in range(len(tests))
    ], 1)  # fmt: skip
    able = int(c.fields.max()) + 1 >= fields_needed(alpha)
    values, usual = _quotable(c)
    unnamed, images = _unnamed(), []
    for j, file in enumerate(names):
        sure = [name for name, which in certain.items() if which[j]]
        mine = {key: v[j : j + 1] for key, v in values.items()}
        sure += [name for name, each in zip(tests, p[j], strict=True) if each <= alpha and _sure(name, mine, usual)]
        strength = dict(zip(tests, mean[j].tolist(), strict=True))
        p_of = dict(zip(tests, p[j].tolist(), strict=True)) | {name: 0.0 for name in certain if certain[name][j]}
        misfit = {name: -value for name, value in strength.items()}
        if explained is not None:
            misfit = {name: float(each[j]) for name, each in explained.images.items() if name in strength}
        reasons = {name for name in p_of if p_of[name] <= alpha}
        failed = p_worst[j] <= alpha or bool(reasons)
        # no name that the image shows no more of than real ones: too much black where there is none
        own = {} if explained is None else explained.own
        shown = [name for name in misfit if strength[name] > own.get(name, 0.0)]
        best = min(shown, key=misfit.__getitem__, default="")
        if failed and (reasons <= unnamed or (explained is not None and misfit.get(best, np.inf) <= explained.usual)):
            reasons |= {best} if best else unnamed
        found = []
        open_ = {name for name in reasons if p_of[name] > alpha}
        for name in ordered(reasons, sure, misfit if explained is not None else {}, strength, open_):
            words = quote(DEFECTS[name].values, mine, usual)
            if words is None or not words.outside:
                column = c.scored.real[:, tests.index(name)]
                words = Evidence("score", strength[name], None, float(np.quantile(column, 0.95)), "95 % of real images")
            entry = {"defect": name, "level": "image", "p_value": p_of[name], **told(name, words, p_of[name] <= alpha)}
            found.append(entry | {"score": strength[name] + CERTAIN * (p_of[name] == 0)})
        decided = not c.seen_slices_only or decides(found)
        verdict = "pass" if able and not failed else "fail" if failed and decided else "insufficient"
        images.append({"file": file, "verdict": verdict, "p_value": float(p_worst[j]), "findings": found})
    return images


def judge_set(
    c: Comparison, alpha: float, most: int = set_tests.WAYS, explained: Misfits | None = None
) -> list[dict[str, Any]]:
    """Findings of the whole set by at most `most` permutations; none where there are too few independent units.

    They are in the order of `ordered`, by how far they are off. If what explains the set best by `explained` explains all that is
    unusual, it is among them whatever its own p-value. What is significant and `sure` by its row (mode collapse, if images are
    much nearer to each other than any real ones are) comes before all.
    """
    if not c.units.enough:
        return []
    tests, sets = set_tests.names(c.searched), c.sets
    tested = set_tests.test_set(c, sets, most=most)
    p, values, usual = tested.p, *_quotable(c)
    crowd = (
        {"nearest_fellow": nearest_fellow(c.across, c.groups)},
        {"nearest_fellow": nearest_fellow(c.own.deep, c.fields)},
    )
    sure = [n for n in tests if DEFECTS[n].level == "set" and _sure(n, values | crowd[0], usual | crowd[1])]
    found = {name for name, value in zip(tests, p, strict=True) if value <= alpha}
    misfit = dict(zip(tests, p, strict=True))
    if explained is not None:
        misfit = {name: explained.whole[name] for name in tests if name in explained.whole}
    best = min(misfit, key=misfit.__getitem__)
    near = p[tests.index(best)] <= UNLIKELY  # what is as in most real sets is no name for what differs
    if found and explained is not None and near and (found <= _unnamed() or misfit[best] <= explained.usual):
        found.add(best)
    findings = []
    off = dict(zip(tests, tested.off.tolist(), strict=True))
    open_ = {name for name in found if p[tests.index(name)] > alpha}
    for name in ordered(found, sure, misfit if explained is not None else {}, off, open_):
        value = float(p[tests.index(name)])
        words = quote_set(name, tested, c, sets, (values, usual), alpha, most)
        entry = {"defect": name, "level": "set", "p_value": value, **told(name, words, value <= alpha, "on average ")}
        entry["p_is_least"] = value <= tested.least + 1e-12
        findings.append(entry | _shown(name, words, c, values | crowd[0], usual | crowd[1]))
    return findings


def told(name: str, words: Evidence | None, significant: bool, average: str = "") -> dict[str, Any]:
    """What a finding says of a defect: the quoted value, where it lies for real images or sets, and both in a sentence.

    A defect that is not `significant` by itself is the name of what differs otherwise, and its value may be as usual: no
    number is quoted then.
    """
    text = DEFECTS[name].what
    if words is None or not (significant or words.outside):
        text += ": it explains best what differs"
        return {"title": title_of(name), "quoted": None, "statistic": None, "expected": None, "explanation": text}
    told: dict[str, Any] = {"quoted": words.name, "statistic": words.value, "expected": [words.low, words.high]}
    told["explanation"] = f"{text}: {average}{words}"
    turned = (DEFECTS[name].low if words.too_low else DEFECTS[name].high) if words.name in DEFECTS[name].values else ""
    return {"title": turned or title_of(name), **told}


def _shown(
    name: str, words: Evidence | None, c: Comparison, mine: dict[str, np.ndarray], usual: dict[str, np.ndarray]
) -> dict[str, Any]:
    """What the page draws of a finding: the name of a curve, and the distribution of the quoted value."""
    drawn = None
    if words is not None and words.name == "score":
        k = list(scores()).index(name)
        drawn = distribution("score", c.scored.mean[:, k], c.scored.real[:, k])
    elif words is not None and words.name in mine:
        drawn = distribution(words.name, mine[words.name], usual[words.name])
    return {"curve": DEFECTS[name].curve, "distribution": drawn}


def decides(findings: list[dict[str, Any]]) -> bool:
    """Whether any finding means a fail even where slices are too few to say what they vary by.

    What no real image can have does, and so does an edit that failed, and a copy: images of another slice are no copies.
    """
    return any(not f["p_value"] or DEFECTS[f["defect"]].needs == "copies" for f in findings)


def ordered(
    found: Iterable[str], sure: list[str], misfit: dict[str, float], off: dict[str, float], open_: Iterable[str] = ()
) -> list[str]:
    """Names of defects in the order in which they are told.

    First those that are `sure`. Then what explains clearly best, before all that leaves more than `CLEARLY` times as much
    unexplained. Those that explain about equally well are told by how much they matter: significant ones before others
    (`open_`), structure before variety, texture and tone, as in `defects.KINDS`, and of one kind what is farthest off first.
    p-values say whether something differs, not how much: as long as they are significant they do not matter here.

    Parameters
    ----------
    found : names
    sure : those that come first
    misfit : what each leaves unexplained; of what is not in it nothing is explained
    off : how far each is off, in units of the range of real images or sets
    open_ : those that are not significant by themselves
    """
    found, open_ = set(found), set(open_)
    clearly = CLEARLY * min((misfit[name] for name in found if name in misfit), default=np.inf)
    return sorted(found, key=lambda name: (
        name not in sure, misfit.get(name, np.inf) > clearly, name in open_, KINDS.index(DEFECTS[name].kind),
        -off.get(name, 0.0), name,
    ))  # fmt: skip


def _sure(name: str, mine: dict[str, np.ndarray], usual: dict[str, np.ndarray]) -> bool:
    """Whether a significant defect is named before all others; by values of what is judged, and of real images."""
    sure = DEFECTS[name].sure
    return sure is not None and sure(mine, usual)


def _unnamed() -> set[str]:
    """Defects that say that something is wrong, but not what."""
    return {name for name, row in DEFECTS.items() if not row.named}


def _quotable(c: Comparison) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What explanations may quote of synthetic and of real images."""
    synth, real = c.strangeness()
    return quotable(c.synth, *synth), quotable(c.real, *real)


def _entry(
    name: str, p: float | None, text: str, statistic: float, expected: list[float | None] | list[float] | None
) -> dict[str, Any]:
    """A finding about single images that is no test."""
    said = {"defect": name, "title": title_of(name), "level": "image", "p_value": p, "explanation": text}
    return said | {"statistic": statistic, "expected": expected}


def set_findings(
    tested: list[dict[str, Any]],
    images: list[dict[str, Any]],
    certain: dict[str, np.ndarray],
    alpha: float = 0.05,
) -> list[dict[str, Any]]:
    """Findings of `judge_set` after those of defects that no real image can have, of edits, and of copies.

    Images that are copies one by one make the set fail, too: twice the mean of p-values is one, however they depend on each other
    (Vovk and Wang 2020, doi:10.1093/biomet/asaa027).
    """
    found = []
    for name, which in certain.items():
        if which.any():
            rule = DEFECTS[name].certain
            said = f" {rule.words}" if rule is not None and rule.words else f": {DEFECTS[name].what}"
            text = f"{which.sum()} of {len(which)} images{said}"
            found.append(_entry(name, 0.0, text, float(which.mean()), [0.0, 0.0]))
    for name in (name for name, row in DEFECTS.items() if row.pair is not None):
        count = sum(f["defect"] == name for image in images for f in image["findings"])
        if 2 * count > len(images):
            text = f"{count} of {len(images)} images: {DEFECTS[name].what}"
            found.append(_entry(name, None, text, count / len(images), None))
    for name in (name for name, row in DEFECTS.items() if row.needs == "copies" and row.level == "image"):
        each = [next((f["p_value"] for f in image["findings"] if f["defect"] == name), 1.0) for image in images]
        together, count = min(1.0, 2 * float(np.mean(each))), sum(p < 1 for p in each)
        if 0 < together <= alpha:
            text = f"{count} of {len(images)} images: {DEFECTS[name].what}"
            found.append(_entry(name, together, text, count / len(images), None))
    known = {f["defect"] for f in found}
    return found + [f for f in tested if f["defect"] not in known]


def with_signs(findings: list[dict[str, Any]], images: list[dict[str, Any]], c: Comparison) -> None:
    """Where all findings of a defect that say too much or too little say the same, let the others that do say so, too.

    These are of the set, whose score has no sign, and of images whose value is not far off by itself; each must lie on that side
    of the mean of real images. Of a set those images count by their scores that make its own.
    """
    values, usual = _quotable(c)
    every = [(finding, slice(None)) for finding in findings]
    every += [(finding, slice(j, j + 1)) for j, image in enumerate(images) for finding in image["findings"]]
    for name in (name for name, row in DEFECTS.items() if row.low and row.high):
        row, mine = DEFECTS[name], [(finding, rows) for finding, rows in every if finding["defect"] == name]
        signs = {finding["title"] for finding, _ in mine} & {row.low, row.high}
        if len(signs) == 1:
            side = 1 if signs == {row.high} else -1
            off = values[row.values[0]] - np.nanmean(usual[row.values[0]])
            off = side * off * c.scored.mean[:, list(scores()).index(name)].clip(1e-9)
            for finding, rows in mine:
                if np.nansum(off[rows]) > 0:
                    finding["title"] = next(iter(signs))
