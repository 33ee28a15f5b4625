"""How suspicious an image is of each defect: one function a defect, of a case to judge; the rows of `defects` name them."""

from __future__ import annotations

import numpy as np

from veridical.auditing.case import Case, deviations, joint, patches_alone
from veridical.auditing.measure import COLOUR, PROPERTIES, SHADING, SHAPES, TONE

UNRELATED = 0.5  # copy distance; 0 is a copy, about 1 unrelated
NEIGHBOURS = 3  # real images that a deep distance is taken to
# what most real images have none of, or is there twice
ALONE = ("contrast", "colour", "saturated", "flat", "checkerboard", "log_seam", *SHADING)


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


def periodic(case: Case) -> np.ndarray:
    """Opposite borders nearer to continuing each other than those of real images."""
    return case.low("log_seam")


def stylised(case: Case) -> np.ndarray:
    """Smooth surfaces between sharp edges: little noise, heavy tails of the finest detail or flat patches, and no blur."""
    flat = np.maximum(case.x.values["flat"] - np.quantile(case.real.values["flat"], 0.95), 0) * 20
    drawn = np.minimum(case.low("log_noise_0"), np.maximum(case.high("log_tails"), flat))
    return drawn - np.maximum(-tail(case) - 1, 0)


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
