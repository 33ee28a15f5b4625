"""Is a prompt obeyed? Numbers, presence, counts and places that captions ask for beside those measured in what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.benching.ruler import Material, Measured, values
from veridical.scoring.result_rows import Row, interval_row, null
from veridical.stats.jackknife import jackknife
from veridical.wording import PLACES

Share = Callable[[NDArray[np.int_]], float]


def asked_of(facts: Sequence[Any]) -> Measured:
    """What a caption with these facts asks for, by property."""
    return {fact.property: fact.value for fact in facts if fact.how in ("number", "count", "place")}


def determination(asked: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """R2 of "as asked for": 1 minus squared error over variance; NaN where less than two differ."""
    ok = np.isfinite(asked) & np.isfinite(measured)
    spread = np.square(asked[ok] - asked[ok].mean()).sum() if ok.any() else 0.0
    return float(1 - np.square(measured - asked)[ok].sum() / spread) if spread > 0 else float("nan")


def balanced(true: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Mean of the shares of right answers among those that have it, and among those that do not, where there are such."""
    return float(np.mean([(found == true)[true == has].mean() for has in (True, False) if (true == has).any()]))


def near(asked: Sequence[str | None], measured: Sequence[str | None]) -> float:
    """Share of places that lie in the direction that was asked for, or in one beside it."""
    names = [name for name in PLACES if name != "middle"]
    turns = [
        abs((names.index(a) - names.index(m) + 4) % 8 - 4) <= 1 if m in names else False
        for a, m in zip(asked, measured, strict=True)
        if a in names
    ]
    return float(np.mean(turns)) if turns else float("nan")


def statistics(
    material: Material, asked: Sequence[Measured], measured: Sequence[Measured]
) -> dict[str, tuple[int, Share]]:
    """By name how many rows there are and a function of their numbers: R2 of numbers, balanced accuracy of presence, share of
    exact counts, of places that are right."""
    found: dict[str, tuple[int, Share]] = {}
    for name in material.numbers:
        a, m = _known(asked, measured, name)
        ok = np.isfinite(m)  # of nothing drawn there is, for one, no mean diameter
        a, m = a[ok], m[ok]
        found[f"R2 {name}"] = len(a), partial(_of_rows, determination, a, m)
    for name, least in material.present.items():
        a, m = _known(asked, measured, name)
        found[f"presence {name}"] = len(a), partial(_of_rows, balanced, a >= least, m >= least)
    for name in material.counts:
        a, m = _known(asked, measured, name)
        found[f"exact {name}"] = len(a), partial(_of_rows, _equal, a, np.rint(m))
    if material.place:
        a, m = (np.array([row.get(material.place) or "" for row in rows], object) for rows in (asked, measured))
        said = a != ""
        found[f"near {material.place}"] = int(said.sum()), partial(_of_rows, near, a[said], m[said])
    return {name: (n, share) for name, (n, share) in found.items() if n}


def adherence(material: Material, asked: Sequence[Measured], measured: Sequence[Measured]) -> dict[str, float]:
    """One number for each thing that is asked for, over all rows."""
    return {name: share(np.arange(n)) for name, (n, share) in statistics(material, asked, measured).items()}


def adherence_rows(
    material: Material, asked: Sequence[Measured], measured: Sequence[Measured], ruler: Mapping[str, float | None]
) -> list[Row]:
    """The same as result rows with intervals over images; the floor is that of shuffled captions, `ruler` what the ruler has.

    Parameters
    ----------
    material : Material
    asked, measured : sequences of N rows
    ruler : mapping
        `adherence` of real images and their own captions.
    """
    order = np.random.default_rng(0).permutation(len(measured))
    floors = adherence(material, asked, [measured[k] for k in order])
    rows = []
    for name, (n, share) in statistics(material, asked, measured).items():
        interval = jackknife(share, [np.arange(n)], bounds=(-np.inf if name.startswith("R2") else 0.0, 1.0))
        about = {"floor": "captions shuffled", "ruler": ruler.get(name)}
        if not np.isfinite(interval.value):
            rows.append(null(name, "what was asked of these images does not differ", n, about))
            continue
        floor = floors.get(name, np.nan)
        rows.append(interval_row(name, interval, n, floor if np.isfinite(floor) else None, about))
    return rows


def strayed(material: Material, asked: Sequence[Measured], measured: Sequence[Measured]) -> NDArray[np.float64]:
    """How far each image is from what was asked: mean of errors of numbers, in standard deviations of what is asked."""
    errors = []
    for name in (*material.numbers, *material.counts):
        a = values(asked, name)
        errors.append(np.abs(values(measured, name) - a) / np.nanstd(a))
    return np.asarray(np.nanmean(errors, 0))


def _of_rows(share: Callable[..., float], a: NDArray[Any], m: NDArray[Any], i: NDArray[np.int_]) -> float:
    return share(a[i], m[i])


def _equal(a: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    return float((a == m).mean())


def _known(
    asked: Sequence[Measured], measured: Sequence[Measured], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, m = values(asked, name), values(measured, name)
    ok = np.isfinite(a)
    return a[ok], m[ok]
