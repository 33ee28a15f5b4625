"""How suspicious an image is of each defect: functions of its measurements and of those of real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from veridical.auditing.measure import COLOUR, PROPERTIES, SHAPES, TONE, Measured

UNRELATED = 0.5  # copy distance; 0 is a copy, about 1 unrelated
NEIGHBOURS = 3  # real images that a deep distance is taken to
# what most real images have none of, or is there twice
ALONE = ("contrast", "colour", "saturated", "flat", "checkerboard")
FEWEST = 0.1  # share of real images that a measurement must be defined for
ALIKE = 5  # real images nearest in deep features, beside which an image is judged


@dataclass(frozen=True)
class Nearness:
    """Distances of N images to R real ones: `deep` (N, R), and of each of P patches to the nearest of each, (N, P, R)."""

    deep: np.ndarray
    patch: np.ndarray

    def __getitem__(self, rows) -> Nearness:
        return Nearness(self.deep[rows], self.patch[rows])

    def to(self, columns: np.ndarray) -> Nearness:
        """Distances to some of the real images."""
        return Nearness(self.deep[:, columns], self.patch[:, :, columns])


def nearness(x: Measured, real: Measured) -> Nearness:
    """Distances between deep features of all images of two sets."""
    from veridical.metrics.distribution import distances

    n, places, width = x.patches.shape
    bank = real.patches.reshape(-1, width)
    squares = (bank**2).sum(1)
    nearest = np.empty((n, places, len(real)), np.float32)
    for k, patches in enumerate(x.patches):
        square = (patches**2).sum(1)[:, None] + squares - 2 * patches @ bank.T
        nearest[k] = np.sqrt(square.clip(0)).reshape(places, len(real), -1).min(2)
    return Nearness(distances(x.deep, real.deep), nearest)


@dataclass(frozen=True)
class Case:
    """Images to judge and the real ones to judge them by, with the distances between them.

    Real images may be of several kinds, and what lies between kinds is no image of any. So most scores look at the difference of
    an image from the real ones that are most like it in deep features, in units of what those of real images vary by.
    """

    x: Measured
    real: Measured
    near: Nearness
    real_near: Nearness  # of the real ones to each other; a distance to itself is infinite

    @cached_property
    def alike(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the real images most like each image to judge, and like each real one, (N, ALIKE) and (R, ALIKE)."""
        few = max(1, min(ALIKE, len(self.real_near.deep) - 1))
        return np.argsort(self.near.deep, 1)[:, :few], np.argsort(self.real_near.deep, 1)[:, :few]

    def apart(self, mine: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measurements (N, D) and (R, D) less the mean of those of the real images that are alike, as far as they are numbers."""
        known = np.isfinite(usual)
        filled = np.where(known, usual, 0)
        means = []
        for rows in self.alike:
            count = known[rows].sum(1)
            means.append(np.where(count > 0, filled[rows].sum(1) / np.maximum(count, 1), np.nan))
        return mine - means[0], usual - means[1]

    def deviations(self, mine: np.ndarray, usual: np.ndarray) -> np.ndarray:
        """Robust z-scores of (N,) or (N, D) beside the real images that are alike."""
        flat = mine.ndim == 1
        z = deviations(*self.apart(mine[:, None], usual[:, None]) if flat else self.apart(mine, usual))
        return z[:, 0] if flat else z

    def deviation(self, name: str) -> np.ndarray:
        """That of a value, (N,); 0 where it is not defined."""
        return self.deviations(self.x.values[name], self.real.values[name])

    def high(self, name: str) -> np.ndarray:
        return self.deviation(name)

    def low(self, name: str) -> np.ndarray:
        return -self.deviation(name)


def deviations(x: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Robust z-scores of columns, (N, D): distance to the median of real ones over 1.48 times their median deviation.

    At least a fifth of their standard deviation, and never nothing: a column that is constant in real images has unit
    1e-3. What is not a number scores 0, and so do columns that are numbers for less than a tenth of the real images: two
    particles in one image do not say how large particles are.
    """
    finite = np.isfinite(real)
    defined = finite.mean(0) >= FEWEST
    if finite.all():  # many times as fast as with NaN
        centre, spread, sigma = np.median(real, 0), np.median(np.abs(real - np.median(real, 0)), 0), real.std(0)
    else:
        known = np.where(defined, np.where(finite, real, np.nan), 0)
        centre = np.nanmedian(known, 0)
        spread, sigma = np.nanmedian(np.abs(known - centre), 0), np.nanstd(known, 0)
    scale = np.maximum(1.4826 * spread, 0.2 * sigma)
    with np.errstate(invalid="ignore"):
        z = (x - centre) / np.maximum(scale, 1e-3)
    return np.where(np.isfinite(z) & defined, z, 0.0)


def joint(x: np.ndarray, real: np.ndarray, shrink: float = 0.2) -> np.ndarray:
    """Mahalanobis distance of rows from real ones over the root of the number of columns, (N,), on robust z-scores.

    The covariance is shrunk to the unit matrix, as there are few images.
    """
    z, reference = deviations(x, real), np.clip(deviations(real, real), -5, 5)
    covariance = (1 - shrink) * np.cov(reference, rowvar=False) + shrink * np.eye(x.shape[1])
    return np.sqrt(np.einsum("ij,ij->i", z, np.linalg.solve(covariance, z.T).T) / x.shape[1])


def blank(case: Case) -> np.ndarray:
    """Contrast below two fifths of the lowest usual one, on a logarithmic scale; 0 above."""
    usual = np.quantile(case.real.values["log_contrast"], 0.05)
    return np.maximum(usual - np.log(2.5) - case.x.values["log_contrast"], 0)


def saturated(case: Case) -> np.ndarray:
    """Share of black and white pixels above the usual one."""
    return case.x.values["saturated"] - np.median(case.real.values["saturated"])


def colour_in_grey(case: Case) -> np.ndarray:
    """Chroma of the most coloured pixels, in units of three 8-bit levels, where real images have none."""
    usual = np.max(case.real.values["colour"])
    return np.maximum(case.x.values["colour"] - usual, 0) * 85 if usual < 0.02 else np.zeros(len(case.x))


def palette_shift(case: Case) -> np.ndarray:
    """Grey levels and, in colour images, colours together; or another gain: other noise of the usual grain."""
    names = TONE if np.max(case.real.values["colour"]) < 0.02 else TONE + COLOUR
    mine, usual = case.apart(case.x.table(names), case.real.table(names))
    tone = joint(mine, usual) / max(float(np.quantile(joint(usual, usual), 0.95)), 1e-3)
    return np.maximum(2 * tone, np.abs(case.deviation("log_noise_0")) * usual_grain(case))


def usual_grain(case: Case) -> np.ndarray:
    """1 where noise falls from scale to scale as in real images, as it does under another gain; 0 where it does not."""
    levels = [np.stack([v.values[f"log_noise_{k}"] for k in range(3)], 1) for v in (case.x, case.real)]
    grain = case.deviations(*(-np.diff(each, axis=1) for each in levels))
    return np.exp(-(grain**2).sum(1) / 8)


def tail(case: Case) -> np.ndarray:
    """Deviation of the power at the highest frequencies from that at middle ones; blur takes it away, sharp edges do not."""
    return case.deviations(*(v.bands[:, 7] - v.bands[:, 4] for v in (case.x, case.real)))


def blur(case: Case) -> np.ndarray:
    """Fine detail weak, and the weaker the finer."""
    fine = case.deviations(*(v.bands[:, -3:].mean(1) - v.bands[:, 1:4].mean(1) for v in (case.x, case.real)))
    return np.minimum(np.minimum(-fine, case.low("log_noise_0")), -tail(case))


def noise_mismatch(case: Case) -> np.ndarray:
    """Noise stronger than that of real images, or weaker; counts less where its grain is the usual one.

    Then it is rather the gain that is another (`palette_shift`).
    """
    return np.abs(case.deviation("log_noise_0")) * (1.2 - usual_grain(case))


def checkerboard(case: Case) -> np.ndarray:
    """Energy at the frequencies of upsampling."""
    return case.high("checkerboard")


def stylised(case: Case) -> np.ndarray:
    """Smooth surfaces between sharp edges: little noise, heavy tails of the finest detail or flat patches, and no blur."""
    flat = np.maximum(case.x.values["flat"] - np.quantile(case.real.values["flat"], 0.95), 0) * 20
    drawn = np.minimum(case.low("log_noise_0"), np.maximum(case.high("log_tails"), flat))
    return drawn - np.maximum(-tail(case) - 1, 0)


def patches_alone(x: Nearness) -> np.ndarray:
    """Distance of each patch to the nearest real patch, (N, P)."""
    return x.patch.min(2)


def foreign_patch(case: Case) -> np.ndarray:
    """The strangest place, as far as it is stranger than the image as a whole."""
    mine, real = (np.log(patches_alone(near) + 1e-6) for near in (case.near, case.real_near))
    excess = case.deviations(*(each.max(1) - np.median(each, 1) for each in (mine, real)))
    return np.minimum(case.deviations(mine.max(1), real.max(1)), excess + 1)


def out_of_domain(case: Case) -> np.ndarray:
    """Deep features far from those of all real images, in the whole image and in most places."""
    found = []
    for near in (case.near, case.real_near):
        whole = np.log(np.sort(near.deep, 1)[:, :NEIGHBOURS].mean(1) + 1e-6)
        found.append(np.stack([whole, np.log(np.median(patches_alone(near), 1) + 1e-6)], 1))
    return case.deviations(*found).mean(1)


def implausible_structure(case: Case) -> np.ndarray:
    """Shapes of particles, skeleton and phases together, and what local features are like on average over the image."""
    names = (*SHAPES, *PROPERTIES)
    shapes = joint(*case.apart(case.x.table(names), case.real.table(names)))
    return shapes + joint(*case.apart(case.x.patches.mean(1), case.real.patches.mean(1)))


def unlikely(case: Case) -> np.ndarray:
    """All measurements together: each may be usual, and yet not go with the others as in real images."""
    names = [name for name in case.real.values if name not in ALONE]
    if np.max(case.real.values["colour"]) < 0.02:
        names = [name for name in names if name not in COLOUR]
    tables = (np.concatenate([v.table(names), v.bands], 1) for v in (case.x, case.real))
    return joint(*case.apart(*tables), shrink=0.3)


def copied(case: Case) -> np.ndarray:
    """Nearness to a training crop, if it is nearer than half way to unrelated ones; 0 where nothing was searched."""
    mine, usual = case.x.copy_distance, case.real.copy_distance
    if mine is None or usual is None:
        return np.zeros(len(case.x))
    near = deviations(*(-np.log(distance + 0.02)[:, None] for distance in (mine, usual)))[:, 0]
    return np.where(mine < UNRELATED, np.maximum(near, 0), 0)


# What a score must exceed the usual ones by to count at all, in its own units: the least scale of its calibration.
SCORES: dict[str, tuple[Callable[[Case], np.ndarray], float]] = {
    "blank": (blank, 0.1),
    "saturated": (saturated, 0.01),
    "colour_in_grey": (colour_in_grey, 1.0),
    "copied": (copied, 1.0),
    "checkerboard": (checkerboard, 1.0),
    "stylised": (stylised, 1.0),
    "blur": (blur, 1.0),
    "noise_mismatch": (noise_mismatch, 1.0),
    "foreign_patch": (foreign_patch, 1.0),
    "palette_shift": (palette_shift, 0.5),
    "implausible_structure": (implausible_structure, 0.5),
    "out_of_domain": (out_of_domain, 1.0),
    "unlikely": (unlikely, 0.5),
}


@dataclass(frozen=True)
class Scored:
    """Scores of all image-level defects, scaled: 0 the median of real images, 1 their 95th percentile.

    synth : (F, M, D), real : (N, D), fold : (N,), centre and scale : (D,), of raw scores
    """

    synth: np.ndarray
    real: np.ndarray
    fold: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Scores of synthetic images, mean over folds, (M, D)."""
        return self.synth.mean(0)

    @property
    def single(self) -> np.ndarray:
        """Scores of synthetic images, each by one fold in turn, (M, D): distributed as those of real ones if alike."""
        rows = np.arange(self.synth.shape[1])
        return self.synth[rows % len(self.synth), rows]

    def of(self, x: Measured, real: Measured, near: Nearness, real_near: Nearness, fold: int) -> np.ndarray:
        """Scaled scores (M, D) of further images, measured against the real ones without a fold."""
        return (_raw(x, real, near, real_near, np.flatnonzero(self.fold != fold)) - self.centre) / self.scale


def score_images(synth: Measured, real: Measured, fold: np.ndarray, near: Nearness, real_near: Nearness) -> Scored:
    """Score synthetic images against the real ones without each fold, and the real ones of the fold in the same way."""
    count = fold.max() + 1
    found = np.empty((count, len(synth), len(SCORES)))
    own = np.empty((len(real), len(SCORES)))
    for f in range(count):
        others, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        found[f] = _raw(synth, real, near, real_near, others)
        own[held] = _raw(real[held], real, real_near[held], real_near, others)
    units = np.array([unit for _, unit in SCORES.values()])
    centre = np.median(own, 0)
    scale = np.maximum(np.quantile(own, 0.95, axis=0) - centre, units)
    return Scored((found - centre) / scale, (own - centre) / scale, fold, centre, scale)


def _raw(x: Measured, real: Measured, near: Nearness, real_near: Nearness, rows: np.ndarray) -> np.ndarray:
    """Scores (M, D) of images by some of the real ones."""
    case = Case(x, real[rows], near.to(rows), real_near[rows].to(rows))
    return np.stack([score(case) for score, _ in SCORES.values()], 1)
