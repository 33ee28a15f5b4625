"""Which defect explains what is seen? Analysis by synthesis: the one that, planted in real images, comes nearest to it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veridical.auditing.case import deviations, without_self
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, Drawn, Plant, plant, plants, scores
from veridical.auditing.measure import Measured, Segmentation, measure
from veridical.auditing.set_scores import Sets, collapse, uncovered

IMAGES = 6  # real images that defects are planted in
STEPS = 2  # severities on the way of a defect, the largest ones
SHARES = (0.3, 1.0)  # of images with another defect, on the way of a defect of sets that is a share of these
SHRINK = 0.5  # of the covariance to its diagonal
FLOOR = 0.1  # least standard deviation of a feature; some are constant in real images
DRAWS = 50  # subsets of the size of a planted one


class Planted:
    """Real images `rows` of `images` with planted defects, measured when asked for the first time.

    Parameters
    ----------
    images : (N, C, H, W) real images
    rows : numbers of those that defects are planted in; no reference that judges them holds their units
    segmentation : how they are measured
    cache : folder that keeps measurements, see `measure`
    """

    def __init__(
        self, images: np.ndarray, rows: np.ndarray, segmentation: Segmentation, *, cache: str | Path | None = None
    ):
        self.rows = rows
        self.defects: dict[str, Plant[np.ndarray]] = {
            name: how for name, how in plants(images.shape[1]).items() if DEFECTS[name].drawn is None
        }
        self.measured: dict[tuple[str, float], Measured] = {}
        self._images, self._segmentation, self._cache = images[rows], segmentation, cache

    def __call__(self, defect: str, severity: float) -> Measured:
        """Measurements of the images with a defect."""
        if (defect, severity) not in self.measured:
            images = plant(defect, self._images, severity)
            self.measured[defect, severity] = measure(images, self._segmentation, cache=self._cache)
        return self.measured[defect, severity]

    def beside(self, c: Comparison, defect: str, severity: float) -> Measured:
        """The same with the copy distances of the real images of a comparison that the defect was planted in."""
        distance = c.real.copy_distance
        return replace(self(defect, severity), copy_distance=None if distance is None else distance[self.rows])


def chosen_rows(fold: np.ndarray) -> np.ndarray:
    """Numbers of at most `IMAGES` real images, evenly from fold 0, to plant defects in."""
    held = np.flatnonzero(fold == 0)
    return held[np.linspace(0, len(held) - 1, min(IMAGES, len(held))).astype(int)]


class Patterns(NamedTuple):
    """Where defects lead: corners of a line for each, over growing severities, for images and for sets; made by `patterns`.

    `usual` is the squared distance from their mean that 95 % of the real images keep. `own` is the least score for a defect that
    images with it have, where it is planted: at least 0, the usual real image, and at most 1, one in twenty.
    """

    images: dict[str, list[np.ndarray]]
    sets: dict[str, list[np.ndarray]]
    whiten: np.ndarray
    usual: float
    own: dict[str, float]


class Misfits(NamedTuple):
    """How badly each defect explains `images`, (M,) each, and the `whole` set; up to `usual`, what remains is nothing unusual.

    An image has a defect of `own` only if its score for it is higher than that.
    """

    images: dict[str, np.ndarray]
    whole: dict[str, float]
    usual: float
    own: dict[str, float]


def patterns(c: Comparison, planted: Planted) -> Patterns:
    """What defects make of the real images of a comparison; the synthetic ones do not matter.

    Notes
    -----
    Images are points: their scores and the z-scores of all measurements, compressed by arsinh, in units in which images of one
    kind, real ones or those with one defect, have unit covariance (as in linear discriminant analysis; shrunk to the diagonal). A
    defect leads from the mean of real images over those of images with it at growing severities. A set is the mean of its
    images, and how near they lie to their fellows and to real images.
    """
    usual, rows, spaces = _points(c.scored.real, c.real, c.real), planted.rows, _Spaces(c, len(planted.rows))
    seen: dict[str, list[np.ndarray]] = {}
    places: dict[str, list[np.ndarray]] = {}
    for defect, how in planted.defects.items():
        measured = [planted.beside(c, defect, severity) for severity in how.severities[-STEPS:]]
        seen[defect] = [_seen(c, x) for x in measured]
        places[defect] = [spaces.of_planted(x, rows) for x in measured]
    whiten = _whitening([usual, *chain.from_iterable(seen.values())])
    origin = usual.mean(0) @ whiten
    images = {defect: [points.mean(0) @ whiten for points in way] for defect, way in seen.items()}
    for defect, row in DEFECTS.items():
        if row.alter is None or defect in images or (row.needs == "copies" and not c.searched):
            continue
        if row.level == "image":
            seen[defect] = [_seen(c, x) for x in _altered(c, rows, row.alter)]
            images[defect] = [points.mean(0) @ whiten for points in seen[defect]]
        elif row.share_of is not None:
            images[defect] = [origin + s * (images[row.share_of][-1] - origin) for s in SHARES]
        elif row.drawn is not None:
            places[defect] = [spaces.of_drawn(row.drawn, severity) for severity in row.alter.severities[-STEPS:]]
    sets: dict[str, list[np.ndarray]] = {}
    for defect in images | places:
        ways = images.setdefault(defect, [origin] * len(places.get(defect, ())))
        there = places.get(defect, [spaces.usual] * len(ways))
        corners = zip([origin, *ways], [spaces.usual, *there], strict=True)
        sets[defect] = [np.concatenate(corner) for corner in corners]
    usually = float(np.quantile(((usual @ whiten - origin) ** 2).sum(1), 0.95))
    own = {
        name: float(np.sinh(seen[name][0][:, k].min()).clip(0, 1)) for k, name in enumerate(scores()) if name in seen
    }
    return Patterns({name: [origin, *ways] for name, ways in images.items()}, sets, whiten, usually, own)


def misfits(c: Comparison, found: Patterns, size: int = IMAGES) -> Misfits:
    """Squared distance of synthetic images, and of their set, from the line of each defect (Mahalanobis)."""
    mine = _points(c.scored.mean, c.synth, c.real) @ found.whiten
    whole = np.concatenate([mine.mean(0), _Spaces(c, size).of_synth()])[None]
    return Misfits(
        {name: _to_line(mine, corners) for name, corners in found.images.items()},
        {name: float(_to_line(whole, corners)[0]) for name, corners in found.sets.items()},
        found.usual,
        found.own,
    )


def _points(scores: np.ndarray, x: Measured, real: Measured) -> np.ndarray:
    """Images as points, (N, D)."""
    names = list(real.values)
    z = deviations(x.table(names), real.table(names)), deviations(x.bands, real.bands)
    return np.arcsinh(np.concatenate([scores, *z], 1))


def _whitening(kinds: list[np.ndarray]) -> np.ndarray:
    """Matrix (D, D) from points of several kinds, (N, D) each, that gives points about their kind's mean unit covariance."""
    apart = np.concatenate([points - points.mean(0) for points in kinds])
    covariance = (1 - SHRINK) * apart.T @ apart / (len(apart) - len(kinds))
    covariance[np.diag_indices_from(covariance)] /= 1 - SHRINK
    return np.linalg.inv(np.linalg.cholesky(covariance + FLOOR**2 * np.eye(len(covariance)))).T


def _seen(c: Comparison, x: Measured) -> np.ndarray:
    """Points of images of fold 0 with a defect, judged by the other folds."""
    return _points(c.scores_of(x), x, c.real)


def _altered(c: Comparison, rows: np.ndarray, how: Plant[Sets]) -> list[Measured]:
    """Measurements of real images `rows` with a defect that is planted in measurements, over growing severities."""
    take = np.append(np.arange(len(c.real)), rows)
    sets, rng = Sets(c.real, c.real[rows], c.own.deep[np.ix_(take, take)]), np.random.default_rng(0)
    return [how.function(sets, severity, rng).synth for severity in how.severities[-STEPS:]]


def _to_line(points: np.ndarray, corners: list[np.ndarray]) -> np.ndarray:
    """Squared distance of points (N, D) to the line through the corners, (N,)."""
    found = np.full(len(points), np.inf)
    for a, b in pairwise(corners):
        along = b - a
        t = np.clip((points - a) @ along / max(along @ along, 1e-12), 0, 1)
        found = np.minimum(found, ((points - a - t[:, None] * along) ** 2).sum(1))
    return found


class _Spaces:
    """How images of a set lie to each other and to real ones, (2,), in arsinh of z-scores of real sets of `size` images."""

    def __init__(self, c: Comparison, size: int):
        self.c, self.size, self.rng = c, size, np.random.default_rng(0)
        self.others = c.scored.fold != 0
        self.usual = np.zeros(2)
        n = len(c.real)
        subsets = [np.isin(np.arange(n), self.rng.permutation(n)[:size]) for _ in range(DRAWS)]
        found = np.array([_spacing(c.own.deep, subset) for subset in subsets])
        self.centre, self.scale = found.mean(0), found.std(0) + 1e-3

    def of_synth(self) -> np.ndarray:
        """Of subsets of the synthetic images."""
        n, m = len(self.c.real), len(self.c.synth)
        distance = without_self(self.c.distance)
        draws = [np.append(np.arange(n), n + self.rng.permutation(m)[: self.size]) for _ in range(DRAWS)]
        found = [_spacing(distance[np.ix_(rows, rows)], np.arange(len(rows)) >= n) for rows in draws]
        return np.arcsinh((np.mean(found, 0) - self.centre) / self.scale)

    def of_planted(self, x: Measured, rows: np.ndarray) -> np.ndarray:
        """Beside the same images without the defect."""
        with_it, without = (_spacing_of(self.c, each, self.others) for each in (x, self.c.real[rows]))
        return np.arcsinh((with_it - without) / self.scale)

    def of_drawn(self, drawn: Drawn, severity: float) -> np.ndarray:
        """Some real images alone, copied or from one corner."""
        distance, n = self.c.own.deep, len(self.c.real)
        found = []
        for _ in range(DRAWS):
            taken, mine = drawn(self.rng.permutation(n), distance, severity, self.size)
            rows = np.append(np.setdiff1d(np.arange(n), taken), mine)
            far = without_self(np.where(rows[:, None] == rows, np.nanmin(distance) / 2, distance[np.ix_(rows, rows)]))
            found.append(_spacing(far, np.arange(len(rows)) >= n - len(mine)))
        return np.arcsinh((np.mean(found, 0) - self.centre) / self.scale)


def _spacing(distance: np.ndarray, synth: np.ndarray) -> np.ndarray:
    return np.array([collapse(distance, synth), uncovered(distance, synth)])


def _spacing_of(c: Comparison, x: Measured, others: np.ndarray) -> np.ndarray:
    from veridical.metrics.distribution import distances

    real = c.own.deep[np.ix_(others, others)]
    across = without_self(distances(x.deep, x.deep))
    near = distances(x.deep, c.real.deep[others])
    return _spacing(np.block([[real, near.T], [near, across]]), np.arange(len(real) + len(x)) >= len(real))
