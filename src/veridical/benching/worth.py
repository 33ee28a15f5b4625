"""What scores of edits are worth: how well each ranks systems as the truth does, in ``datasets/NAME/worth.json``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.benching.truth import read_pairs
from veridical.core.files import read_json, write_json
from veridical.metrics.distribution import frechet
from veridical.metrics.features import extract
from veridical.reporting.contents import Status
from veridical.reporting.plan import Job, jobs_of

DRAWS = 200  # resampled sets of pairs
FEWEST = 3  # systems, for a rank correlation to say anything
# Score: its name in `each.npz` and whether more is better; the Frechet distance is of the whole set.
SCORES: dict[str, tuple[str, int]] = {
    "ssim": ("ssim", 1),
    "lpips_efficientnet_lite0": ("lpips", -1),
    "fd_efficientnet_lite0": ("", -1),
    "clipscore_domain": ("clipscore", 1),
}
TRUTHS = ("good", "obeyed", "passed")  # all that an image should be, and two parts of that
Systems = Mapping[str, Mapping[str, NDArray[Any]]]


def write_worth(folder: Path, spec: dict[str, Any]) -> None:
    """Rank correlations of scores with the truth, and the cases in which a score's best is the truth's worst.

    Parameters
    ----------
    folder : Path
        Of a bench. Features of edited images are in its cache already.
    spec : dict
        Its ``spec.json``.
    """
    jobs = [job for job in jobs_of(spec) if job.kind == "edit" and _is_done(job, folder)]
    for dataset in spec.get("changes") or {}:
        mine = first_seeds(job for job in jobs if job.dataset == dataset)
        each = {_called(job): _read(job.folder(folder) / "each.npz") for job in mine}
        if not each or not all("good" in found for found in each.values()):
            continue
        truth = Job("truth", dataset, "truth", 0).folder(folder)
        pairs, real, cache = read_pairs(truth), np.load(truth / "real.npy"), folder / "cache"
        features = {
            _called(job): extract(np.load(job.folder(folder) / "edited.npy"), cache=cache).astype(np.float64)
            for job in mine
        }
        found = {"n": len(pairs), "systems": list(each), "taus": [], "cases": []}
        if len(each) >= FEWEST and len(pairs) > 1:
            lines = [_called(job) for job in mine if spec["edits"][job.name]["group"] == "line"]
            of_real = extract(real, cache=cache).astype(np.float64)
            found |= {"taus": taus(each, features, of_real), "cases": cases(each, features, of_real, lines)}
        write_json(folder / "datasets" / dataset / "worth.json", found)


def taus(
    each: Systems, features: Mapping[str, NDArray[Any]], real: NDArray[Any], draws: int = DRAWS, seed: int = 0
) -> list[dict[str, Any]]:  # fmt: skip
    """Kendall's tau-b over systems of each score with the share of images that are as they should be, that obey, that pass.

    Parameters
    ----------
    each : mapping
        System to arrays (N,): those of `TRUTHS` and scores.
    features : mapping
        System to features (N, D) of its images.
    real : ndarray, shape (M, D)
        Features of real images.
    draws, seed : int
        The interval, 95 %, is over so many sets of N pairs drawn with replacement. Where all systems are equal in a set, it
        tells no order, and tau counts as 0: else what one image says would seem certain.

    Returns
    -------
    list of dict
        score, truth, value, low, high, n (systems), reason where there is no value.
    """
    n, rng = len(next(iter(each.values()))["good"]), np.random.default_rng(seed)
    whole = _taus(each, features, real, np.arange(n))
    drawn = [_taus(each, features, real, rng.integers(n, size=n)) for _ in range(draws)]
    rows: list[dict[str, Any]] = []
    for (score, truth), value in whole.items():
        about = {"score": score, "truth": truth, "n": len(each)}
        if value is None or not np.isfinite(value):
            why = "not measured of all systems" if value is None else "all systems are equal by it, or by the truth"
            rows.append(about | {"value": None, "low": None, "high": None, "reason": why})
            continue
        found = np.nan_to_num(np.array([d[score, truth] for d in drawn], float))
        low, high = np.percentile(found, (2.5, 97.5)).tolist()
        rows.append(about | {"value": value, "low": low, "high": high, "reason": None})
    return rows


def _taus(
    each: Systems, features: Mapping[str, NDArray[Any]], real: NDArray[Any], rows: NDArray[np.int_]
) -> dict[tuple[str, str], float | None]:
    """By score and truth."""
    from scipy.stats import kendalltau

    found: dict[tuple[str, str], float | None] = {}
    for score, values in _scores(each, features, real, rows).items():
        for truth in TRUTHS:
            true = [float(each[s][truth][rows].mean()) for s in each]
            found[score, truth] = None if values is None else float(kendalltau(true, values).statistic)
    return found


def _scores(
    each: Systems, features: Mapping[str, NDArray[Any]], real: NDArray[Any], rows: NDArray[np.int_]
) -> dict[str, list[float] | None]:  # fmt: skip
    """Of every score the value of each system, more is better; None where it is not there of all."""
    found: dict[str, list[float] | None] = {}
    for score, (key, sign) in SCORES.items():
        if not key:
            found[score] = [sign * frechet(real, features[s][rows]) for s in each]
        elif all(key in each[s] for s in each):
            found[score] = [sign * float(each[s][key][rows].mean()) for s in each]
        else:
            found[score] = None
    return found


def cases(
    each: Systems, features: Mapping[str, NDArray[Any]], real: NDArray[Any], lines: Collection[str] = ()
) -> list[dict[str, Any]]:  # fmt: skip
    """Systems that a score praises most and the truth least: no other has a smaller share of images that are as they should be.

    Of each score the best of all systems, and of those that are no `lines` to beat; with the number of systems that the truth
    calls better, and the image that the score praises most of those that are not good.
    """
    names, rows = list(each), np.arange(len(next(iter(each.values()))["good"]))
    good = {s: float(each[s]["good"].mean()) for s in names}
    learned = [s for s in names if s not in lines]
    found = []
    for score, values in _scores(each, features, real, rows).items():
        if values is None:
            continue
        by_score = dict(zip(names, values, strict=True))
        told = set[str]()
        for among in (names, learned):
            best = max(among, key=lambda s: by_score[s], default="")
            of_all = [good[s] for s in among]
            if not among or best in told or good[best] > min(of_all) or min(of_all) == max(of_all):
                continue
            told.add(best)
            key, sign = SCORES[score]
            bad = np.flatnonzero(~each[best]["good"].astype(bool))
            praised = bad[np.argmax(sign * each[best][key][bad])] if key else bad[0]
            found.append({
                "score": score, "system": best, "value": sign * by_score[best], "good": good[best],
                "better": sum(good[s] > good[best] for s in among), "systems": len(among), "image": int(praised),
            })  # fmt: skip
    return found


def first_seeds(jobs: Iterable[Job]) -> list[Job]:
    """One run of each system: two seeds of one are no two systems that could be ranked."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(job.name, job)
    return list(found.values())


def _called(job: Job) -> str:
    return f"{job.name}-seed{job.seed}"


def _is_done(job: Job, folder: Path) -> bool:
    status = job.folder(folder) / "status.json"
    return status.is_file() and read_json(status, Status).get("state") == "done"


def _read(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
