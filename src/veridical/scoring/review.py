"""Result rows of a review by people: how often they err, how far they agree with each other and with the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.core.text import shown
from veridical.scoring.result_rows import Row, interval_row, null, row
from veridical.scoring.reviewed import Reviewed, read_review
from veridical.stats.agreement import cohen_kappa, fleiss_kappa
from veridical.stats.jackknife import Interval, jackknife
from veridical.stats.shares import exact_bound

if TYPE_CHECKING:
    from rich.table import Table

GUESSING = 0.5
HEADS = ("what", "of", "value", "95 % interval", "tiles", "remark")  # of a row as text
ERROR, MISSED, SUSPECTED = "human_error_rate", "synthetic_called_real", "real_called_synthetic"
KAPPA, REASON, AUDIT, AUDIT_KAPPA = "reviewer_kappa", "gave_it_away", "agreement_with_audit", "audit_kappa"
EXPLAINED = {
    ERROR: "mean share of tiles that reviewers took for what they are not, real and synthetic ones counted alike "
    "(HYPE-infinity, Zhou et al. 2019, arXiv:1904.01121): 0 = always seen, 0.5 = as guessing does",
    MISSED: "share of synthetic tiles that were taken for real",
    SUSPECTED: "share of real tiles that were taken for synthetic",
    KAPPA: "agreement of reviewers beyond chance (Cohen's kappa of two, Fleiss' of more): 1 full, 0 that of chance",
    REASON: "share of the synthetic tiles that were seen as such for which reviewers named this",
    AUDIT: "share of answers on synthetic tiles that agree with the audit of the single image: synthetic and fail, real and pass",
    AUDIT_KAPPA: "the same beyond chance (Cohen's kappa): majority of reviewers, verdict on each image",
}  # fmt: skip


def review(folder: str | Path, audit: str | Path | dict[str, Any] | None = None) -> list[Row]:
    """What reviewers said of real and synthetic tiles that they saw blind, as result rows.

    Parameters
    ----------
    folder : str or Path
        Of a review that `veridical studio` made, or its ``answers.jsonl``.
    audit : str, Path or dict, optional
        What `veridical audit` said of the synthetic images, or its JSON file.

    Returns
    -------
    list of dict
        Rows as `veridical.score` has them (`EXPLAINED` says what each is): all reviewers together, then each, named in
        ``settings``. ``low`` and ``high`` of all are for other tiles and other reviewers such as these; ``settings`` has those
        for other tiles alone. The interval of a reviewer is for other tiles. Answers of reviewers who are not done count.

    Raises
    ------
    InputError
        If `folder` is no review or holds no answers, or `audit` is no audit or names none of its tiles.
    """
    found = read_review(folder)
    if not found.reviewers:
        raise InputError(f"{folder} holds no answers yet: review some tiles with veridical studio first.")
    rows = [*_errors(found, range(len(found.reviewers)))]
    if len(found.reviewers) > 1:
        for k, name in enumerate(found.reviewers):
            rows += _errors(found, [k], reviewer=name)
    rows.append(_kappa(found))
    rows += _reasons(found)
    if audit is not None:
        rows += _with_audit(found, audit)
    return rows


def two_way(
    wrong: NDArray[np.float64], synthetic: NDArray[np.bool_], groups: NDArray[Any], *, reviewers: bool
) -> Interval:
    """The mean of the error rates on real and on synthetic tiles, with its interval.

    Parameters
    ----------
    wrong : (R, N), 1 where a reviewer erred, NaN without an answer
    synthetic : (N,) bool; if all tiles are of one kind, the rate on these
    groups : (N,) slice of each tile
    reviewers : whether they stand for others, as tiles do; else the interval is for these

    Notes
    -----
    Real tiles, synthetic tiles and reviewers are left out in turn, and the variances added (`stats.jackknife`); the variance of
    single answers is so counted twice, which makes intervals of many reviewers a little wide. Where every answer of every
    reviewer is right, or wrong, the limits are the exact binomial ones of the tiles: (1 - e)^n (1 - f)^n, the chance of that with
    the rates e and f on n real and n synthetic ones, is at most (1 - (e + f) / 2)^(2n).
    """
    sides = [np.flatnonzero(synthetic == side) for side in (False, True) if (synthetic == side).any()]

    def rate(*rows: NDArray[np.int_]) -> float:
        seen = rows[len(sides)] if reviewers else np.arange(len(wrong))
        parts = [wrong[np.ix_(seen, side[rows[k]])] for k, side in enumerate(sides)]
        return float(np.mean([np.nanmean(part) if np.isfinite(part).any() else np.nan for part in parts]))

    sets: list[Any] = [groups[side] for side in sides]
    if reviewers and len(wrong) > 1:
        sets.append(np.arange(len(wrong)))
    found = jackknife(rate, sets, bounds=(0, 1))
    if found.low is not None and found.value in (0, 1) and found.se == 0:
        units = len(sides) * min(len(np.unique(groups[side])) for side in sides)
        low, high = exact_bound(found.value, (0, 1), units, 0.95)
        found = found._replace(
            low=low, high=high, method=f"95% exact binomial bound of {units} tiles: all answers alike"
        )
    return found


def _errors(found: Reviewed, who: Any, reviewer: str | None = None) -> list[Row]:
    said, synthetic, groups = found.said[list(who)], found.synthetic, found.groups
    wrong = np.where(np.isnan(said), np.nan, said != synthetic)
    several = len(said) > 1
    rows = []
    for metric, which in ((ERROR, None), (MISSED, synthetic), (SUSPECTED, ~synthetic)):
        seen = np.isfinite(wrong).any(0) & (True if which is None else which)
        part = wrong[:, seen]
        told: dict[str, Any] = {"reviewer": reviewer} if reviewer else {"reviewers": len(said)}
        settings = told | {"answers": int(np.isfinite(part).sum())}
        sides = len(np.unique(synthetic[seen]))
        if sides < (2 if which is None else 1):
            rows.append(null(metric, "tiles of both kinds have to be answered", int(seen.sum()), settings))
            continue
        tiles = two_way(part, synthetic[seen], groups[seen], reviewers=False)
        interval = two_way(part, synthetic[seen], groups[seen], reviewers=True) if several else tiles
        if several:
            settings["for_other_tiles"] = [tiles.low, tiles.high]
        settings["interval_for"] = "other tiles and reviewers" if several else "other tiles"
        open_ = int(np.isnan(said).any(1).sum())
        remark = f"{open_} of {len(said)} reviewers are not done" if open_ and which is None else None
        rows.append(interval_row(metric, interval, int(seen.sum()), None, settings, (remark,)))
    return rows


def _kappa(found: Reviewed) -> Row:
    if len(found.reviewers) < 2:
        return null(KAPPA, "agreement takes two reviewers", None)
    both = np.isfinite(found.said).all(0)
    said = found.said[:, both].astype(int)
    settings: dict[str, Any] = {"reviewers": len(found.reviewers)}
    if said.shape[1] < 2:
        return null(KAPPA, "reviewers have no two tiles in common yet", int(said.shape[1]), settings)

    def kappa(rows: NDArray[np.int_]) -> float:
        return cohen_kappa(*said[:, rows]) if len(said) == 2 else fleiss_kappa(said[:, rows])

    settings |= {"estimator": "Cohen's kappa" if len(said) == 2 else "Fleiss' kappa"}
    constant = np.ptp(said, axis=1) == 0
    reason = "all answers are the same" if constant.all() else ""
    if len(said) == 2 and constant.any() and not reason:
        name = found.reviewers[int(constant.argmax())]
        reason = f"{name} gave one answer to all tiles: kappa is then 0 whatever the other says"
    return _kappa_row(KAPPA, kappa, found.groups[both], settings, reason)


def _kappa_row(metric: str, kappa: Any, groups: NDArray[Any], settings: dict[str, Any], reason: str) -> Row:
    """Kappa with its interval, or why there is none."""
    if reason:
        return null(metric, reason, len(groups), settings)
    return interval_row(metric, jackknife(kappa, [groups], bounds=(-1, 1)), len(groups), None, settings)


def _reasons(found: Reviewed) -> list[Row]:
    """How often each was named, of the synthetic tiles that were seen as such."""
    seen = [(k, tile) for k, tile in zip(*np.nonzero(found.said == 1), strict=True) if found.synthetic[tile]]
    named = Counter(reason for k, tile in seen for reason in found.reasons[k].get(int(tile), []))
    tiles = len({tile for _, tile in seen})
    return [
        row(REASON, count / len(seen), tiles, settings={"defect": name, "answers": len(seen), "interval": "none: a count"})
        for name, count in named.most_common()
    ]  # fmt: skip


def _with_audit(found: Reviewed, audit: str | Path | dict[str, Any]) -> list[Row]:
    """On the synthetic tiles that the audit names."""
    report = audit if isinstance(audit, dict) else read_json(Path(audit), dict[str, Any])
    images = report.get("images")
    if not isinstance(images, list) or not all(
        isinstance(one, dict) and {"file", "verdict"} <= {*one} for one in images
    ):
        raise InputError(f"{audit} is no audit: give the file that veridical audit --json wrote.")
    verdict = {one["file"]: one["verdict"] == "fail" for one in images if one["verdict"] != "insufficient"}
    settings: dict[str, Any] = {"audited": len(verdict)}
    if not verdict:
        return [null(AUDIT, "the audit had too few real images to judge single ones", 0, settings)]
    rows = [
        k for k, tile in enumerate(found.plan["tiles"])
        if tile["side"] == "synthetic" and tile["file"] in verdict and np.isfinite(found.said[:, k]).any()
    ]  # fmt: skip
    if not rows:
        raise InputError(f"the audit names none of the synthetic tiles of this review: audit {found.plan['synth']}.")
    said, groups = found.said[:, rows], found.groups[rows]
    failed = np.array([verdict[found.plan["tiles"][k]["file"]] for k in rows])
    agree = np.where(np.isnan(said), np.nan, said == failed)
    share = two_way(agree, np.ones(len(rows), bool), groups, reviewers=len(said) > 1)
    majority = (np.nanmean(said, 0) > 0.5).astype(int)

    def kappa(which: NDArray[np.int_]) -> float:
        return cohen_kappa(majority[which], failed[which].astype(int))

    all_or_none = ["all" if each.all() else "" if each.any() else "none" for each in (failed, majority)]
    words = ("the audit failed", "most reviewers took for synthetic")
    constant = " and ".join(f"{said} {which}" for said, which in zip(words, all_or_none, strict=True) if which)
    reason = f"{constant} of these tiles: there is nothing to agree on beyond chance" if constant else ""
    return [
        interval_row(AUDIT, share, len(rows), None, settings),
        _kappa_row(AUDIT_KAPPA, kappa, groups, settings, reason),
    ]


def format_review(rows: list[Row], titles: Mapping[str, str]) -> tuple[Table, str]:
    """Rows as a table, with titles of defects by their names, and what they say of the images in a sentence."""
    from rich.table import Column, Table

    heads = [Column(name, no_wrap=name != "remark") for name in HEADS]
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for one in rows:
        table.add_row(*(shown(text) for text in said(one, titles)))
    return table, verdict(rows)


def said(one: Row, titles: Mapping[str, str]) -> tuple[str, ...]:
    """A row as text: what, of whom, value, interval, tiles, remark."""
    settings = one["settings"]
    people = settings.get("reviewers", 0)
    who = f"{people} reviewers" if people > 1 else "all"
    value, between = ("–" if one["value"] is None else f"{one['value']:.2f}"), "–"
    if one["low"] is not None:
        between = f"{one['low']:.2f} to {one['high']:.2f}"
    defect = settings.get("defect")
    of = settings.get("reviewer") or (titles.get(defect, defect) if defect else who)
    n = "–" if one["n"] is None else str(one["n"])
    return one["metric"].replace("_", " "), of, value, between, n, one["reason"] or one["remark"] or ""


def verdict(rows: list[Row]) -> str:
    """What the error rate of all reviewers says."""
    first = rows[0]
    value, low, high = (first[key] for key in ("value", "low", "high"))
    if value is None or low is None:
        return f"Nothing can be said yet: {first['reason'] or first['remark']}."
    rate = f"{value:.0%} of their answers are wrong (95 % interval {low:.0%} to {high:.0%})"
    if high < GUESSING:
        return f"Reviewers tell synthetic tiles from real ones: {rate}, fewer than by guessing (50 %)."
    if low > GUESSING:
        return f"Reviewers take synthetic tiles for real and real ones for synthetic: {rate}, more than by guessing (50 %)."
    more = "which holds the 50 % of guessing; more tiles and reviewers say more"
    return f"That reviewers do more than guess is not shown: {rate}, {more}."
