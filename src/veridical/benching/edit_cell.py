"""What a bench does of edits: the truth of a dataset once, then of each system what it makes of the images and what that is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.benching.adherence import adherence, adherence_rows, asked_of
from veridical.benching.changes import NAMED, phantom_of
from veridical.benching.drawing import Redraw
from veridical.benching.edit_rows import COPY
from veridical.benching.editing import Made, make
from veridical.benching.obeying import Each, audited, first_reasons, good, known_of, overlap, scored
from veridical.benching.ruler import HELD_OUT, MATERIALS, OTHERS, Ruler, errors_of, make_ruler, phantoms
from veridical.benching.truth import Pairs, all_pairs, read_pairs, told_pairs, write_pairs
from veridical.conditions.delivery import write_arrays
from veridical.core.files import read_json, write_array, write_json
from veridical.reporting.contents import Plan
from veridical.reporting.plan import Job, judge_of
from veridical.runs.run import Run
from veridical.runs.words import load_clip
from veridical.scoring.result_rows import Row, interval_row, null
from veridical.scoring.score import gather, measure
from veridical.stats.jackknife import Interval, jackknife

REAL = 256  # other phantoms that edited ones are compared with
SETS = ("fd", "kid_over_random_phase")
NO_TRUTH = "nobody knows what these real images should have become"
# Metric: what it is in `Each`, bounds, and whether its truth must be known.
MEANS: dict[str, tuple[str, tuple[float, float], bool]] = {
    "obeyed": ("obeyed", (0, 1), True),
    "half_way": ("half", (0, 1), True),
    "moved": ("moved", (0, 1), True),
    "change_outside": ("locality", (0, np.inf), True),
    "changed_outside": ("changed", (0, 1), True),
    "structure_kept": ("structure", (0, 1), True),
    "distance_to_truth": ("truth", (0, np.inf), True),
    "mask_overlap": ("mask", (0, 1), True),
    "audit_passes": ("passed", (0, 1), False),
    "good": ("good", (0, 1), True),
    "ssim": ("ssim", (-1, 1), False),
    "lpips_efficientnet_lite0": ("lpips", (0, np.inf), False),
    "clipscore_domain": ("clipscore", (0, 2.5), False),
}


def run_truth(out: Path, dataset: str, name: str, seed: int) -> None:
    """Make the images to edit of a dataset, and of phantoms the ruler and what it says of the true after-images."""
    spec: Any = read_json(out / "spec.json", Plan)
    began, folder, truth = time.monotonic(), Job("truth", dataset, name, seed).folder(out), spec["truth"]
    changes, phantom = spec["changes"][dataset], phantom_of(spec["datasets"][dataset]["data"])
    judge = _judge(out, spec, dataset)
    if phantom is None:
        tiles = np.load(out / "datasets" / dataset / "test.npy")
        groups = read_json(out / "datasets" / dataset / "test_groups.json", list[str])
        write_pairs(folder, told_pairs(tiles, groups, changes, truth["pairs"]))
    else:
        kind, size, given = phantom
        ruler = _ruler(folder, spec, dataset)
        real = phantoms(kind, REAL, OTHERS, size, given)
        write_array(folder / "real.npy", real.images)
        named = sorted({NAMED[one] for change in changes for one in change.split("+")})
        write_json(folder / "errors.json", errors_of(ruler, real, named))
        known = all_pairs(kind, changes, truth["pairs"], size, truth["seed"], given)
        write_pairs(folder, known)
        assert known.after is not None
        each, _ = _each(out, spec, dataset, known, Made(known.after), judge)
        write_json(
            folder / "floors.json", {key: float(np.nanmean(v)) for key, v in each.items() if np.isfinite(v).any()}
        )
        held = phantoms(kind, truth["prompts"], HELD_OUT, size, given)
        asked = [asked_of(facts[0]) for facts in held.facts]
        write_json(folder / "prompts.json", {"prompts": [texts[0] for texts in held.captions], "asked": asked})
        write_array(folder / "prompts.npy", held.images)
        write_array(folder / "prompts_masks.npy", held.masks)
        errs = adherence(ruler.material, asked, ruler.measure(held.images))
        write_json(folder / "ruler_errs.json", {name: e if np.isfinite(e) else None for name, e in errs.items()})
    write_json(folder / "cost.json", {"train_seconds": time.monotonic() - began})


def _ruler(folder: Path, spec: dict[str, Any], dataset: str) -> Ruler:
    phantom, truth = phantom_of(spec["datasets"][dataset]["data"]), spec["truth"]
    assert phantom is not None
    path = folder / "ruler.safetensors"
    return make_ruler(
        phantom.kind, path, size=phantom.size, images=truth["images"], steps=truth["steps"], given=phantom.given
    )


def _judge(out: Path, spec: dict[str, Any], dataset: str) -> Run | None:
    job = judge_of(spec, dataset)
    return None if job is None else load_clip(job.folder(out) / "run")


def control(out: Path, spec: dict[str, Any], dataset: str, redraw: Redraw, seed: int) -> list[Row]:
    """How well a system draws what captions of unseen phantoms ask for, by the ruler of the dataset; no rows of other data.

    Parameters
    ----------
    out : Path
        The folder of the bench.
    spec : dict
        Its ``spec.json``.
    dataset : str
    redraw : callable
        From prompts, the images and the masks that they are true of, and a seed to new images.
    seed : int
    """
    phantom = phantom_of(spec["datasets"][dataset]["data"])
    if phantom is None:
        return []
    folder = Job("truth", dataset, "truth", 0).folder(out)
    said = read_json(folder / "prompts.json", dict[str, list[Any]])
    images, masks = np.load(folder / "prompts.npy"), np.load(folder / "prompts_masks.npy")
    drawn = redraw(said["prompts"], images, masks, seed + 3)
    ruler = _ruler(folder, spec, dataset)
    errs = read_json(folder / "ruler_errs.json", dict[str, float | None])
    rows = adherence_rows(MATERIALS[phantom.kind], said["asked"], ruler.measure(drawn), errs)
    judge = _judge(out, spec, dataset)
    if judge is not None:
        known = Pairs(images, [""] * len(images), [""] * len(images), said["prompts"], [""] * len(images), [])
        score, ceiling = scored(known, drawn, judge)["clipscore"], scored(known, images, judge)["clipscore"]
        shuffled = scored(
            Pairs(images, [], [], np.roll(np.array(said["prompts"], object), 1).tolist(), [], []), drawn, judge
        )
        interval = mean_of(score, np.arange(len(score)), (0, 2.5))
        about = {"floor": "captions shuffled", "ruler": float(ceiling.mean())}
        rows.append(interval_row("clipscore_domain", interval, len(score), float(shuffled["clipscore"].mean()), about))
    about_all = {"dataset": dataset, "seed": seed}
    return [row | about_all for row in rows]


def run_edit(out: Path, dataset: str, name: str, seed: int) -> None:
    """Edit the images of a dataset with the system `name`, what was edited before left as it is, and measure what came of it."""
    spec: Any = read_json(out / "spec.json", Plan)
    folder, row = Job("edit", dataset, name, seed).folder(out), spec["edits"][name]
    pairs = read_pairs(Job("truth", dataset, "truth", 0).folder(out))
    made = make(out, spec, dataset, row, seed, folder, pairs)
    write_array(folder / "edited.npy", made.images)
    if made.mask is not None:
        write_array(folder / "mask.npy", made.mask)
    each, report = _each(out, spec, dataset, pairs, made, _judge(out, spec, dataset), folder / "audit")
    write_arrays(folder / "each.npz", each)
    rows = _rows(out, spec, dataset, pairs, made, each, report, row)
    write_json(folder / "audit.json", report | {"first": first_reasons(report)})
    write_json(folder / "rows.json", [one | {"recipe": name, "dataset": dataset, "seed": seed} for one in rows])
    write_json(folder / "cost.json", made.cost)


def _each(
    out: Path, spec: dict[str, Any], dataset: str, pairs: Pairs, made: Made, judge: Run | None,
    pictures: Path | None = None,
) -> tuple[Each, dict[str, Any]]:  # fmt: skip
    """What is measured of each image, and the report of the audit."""
    folder = Job("truth", dataset, "truth", 0).folder(out)
    each = scored(pairs, made.images, judge)
    if pairs.after is not None:
        ruler, errors = _ruler(folder, spec, dataset), read_json(folder / "errors.json", dict[str, float])
        each |= known_of(ruler, errors, pairs, made.images)
        if made.mask is not None and pairs.region is not None:
            each["mask"] = overlap(made.mask, pairs.region)
    real, about = _real(out, dataset, pairs)
    report, passed = audited(made.images, pairs, real, about["real_groups"], out / "cache", pictures)
    if passed is not None:
        each["passed"] = passed
        each |= {"good": good(each)} if "obeyed" in each else {}
    return each, report


def _real(out: Path, dataset: str, pairs: Pairs) -> tuple[NDArray[Any], dict[str, Any]]:
    """Real images that edited ones are compared with, and what `gather` is told of them: other phantoms, or held-out tiles."""
    place = out / "datasets" / dataset
    if pairs.after is not None:
        return np.load(place / "truth" / "real.npy"), {"real_groups": None, "floor_real": pairs.after}
    groups, others = (read_json(place / f"{which}_groups.json", list[str]) for which in ("test", "train"))
    about: dict[str, Any] = {"real_groups": groups, "floor_real": np.load(place / "train.npy"), "floor_groups": others}
    return np.load(place / "test.npy"), about


def _rows(
    out: Path, spec: dict[str, Any], dataset: str, pairs: Pairs, made: Made, each: Each, report: dict[str, Any],
    row: dict[str, Any],
) -> list[Row]:  # fmt: skip
    folder = Job("truth", dataset, "truth", 0).folder(out)
    floors = read_json(folder / "floors.json", dict[str, float]) if pairs.after is not None else {}
    rows = []
    for metric, (key, bounds, known) in MEANS.items():
        if key not in each:
            rows.append(null(metric, _why_not(metric, known, pairs, spec, dataset, report, row), len(pairs)))
            continue
        ok = np.isfinite(each[key])
        if not ok.any():
            rows.append(null(metric, "the regions of change leave too little outside", len(pairs)))
            continue
        interval = mean_of(each[key][ok], np.array(pairs.groups)[ok], bounds)
        about = {"floor": "the true after-images"} if key in floors else {}
        rows.append(interval_row(metric, interval, int(ok.sum()), floors.get(key), about))
    real, beside = _real(out, dataset, pairs)
    if row["how"] == COPY and pairs.after is None:  # held-out tiles against themselves
        return [*rows, *(null(name, "copies of the real tiles are the real tiles", len(pairs)) for name in SETS)]
    sets = gather(real, made.images, synth_groups=np.array(pairs.groups), cache=out / "cache", **beside)
    rows += measure(sets, SETS)
    if made.chroma is not None:
        rows.append(chroma_row(made.chroma, np.array(pairs.groups)))
    return rows


def chroma_row(chroma: NDArray[np.float64], groups: NDArray[Any] | None = None) -> Row:
    """How much colour grey images (N,) were drawn with, on average, with its interval over `groups` (N,) or images."""
    interval = mean_of(chroma, np.arange(len(chroma)) if groups is None else groups, (0, 1))
    return interval_row("chroma", interval, len(chroma), 0.0, {})


def mean_of(values: NDArray[Any], groups: NDArray[Any], bounds: tuple[float, float]) -> Interval:
    """Mean of `values` (N,) with its interval over groups, within bounds.

    Shares of yes and no, boolean values, have the limits of shares, also where all are equal: nothing seen in 20 images is not
    nothing at all. Numbers have those of means.
    """
    shares = values.dtype == np.bool_
    found = jackknife(lambda i: float(values[i].mean()), [groups], bounds=bounds if shares else (-np.inf, np.inf))
    low, high = (None if x is None else float(np.clip(x, *bounds)) for x in (found.low, found.high))
    return found._replace(low=low, high=high)


def _why_not(
    metric: str,
    known: bool,
    pairs: Pairs,
    spec: dict[str, Any],
    dataset: str,
    report: dict[str, Any],
    row: dict[str, Any],
) -> str:
    if known and pairs.after is None:
        return NO_TRUTH
    if metric == "mask_overlap":
        return "it was given the true mask" if row["mask"] else "it finds no mask"
    if metric == "clipscore_domain":
        without = judge_of(spec, dataset) is None
        return "no stage of the recipe clip is the judge" if without else "nobody said what the images shall show"
    return str(report.get("reason") or "the audit gave no verdict")
