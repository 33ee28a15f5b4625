"""Simulated scans: how often does the audit fail images of a slice that it has not seen, and what does it still find?

    python benchmarks/audit_slices.py [--trials 200] [--slices 2 3 4 5 6 8 12] [--shares 0.1 0.5 0.9] [--synth 1]
                                      [--power] [--cache DIR] [--json FILE]

Tiles of two phases with noise; porosity, brightness and contrast vary from tile to tile, and a share of that variance is common
to the tiles of a slice (the intra-slice correlation of the effects). 40 slices are measured once; in each trial some of them are
REAL and others SYNTH, whose slice nobody tells. Printed are shares of trials with their standard error: failed sets (where enough
slices are there to say), and failed images. With --power, defects of middle severity are planted in SYNTH.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from audit_pool import Pool, numbered
from veridical.auditing.case import Nearness, alone, nearness
from veridical.auditing.compare import Comparison, compare
from veridical.auditing.defects import plant, plants
from veridical.auditing.independence import choose_units
from veridical.auditing.judge import judge_images, judge_set
from veridical.auditing.measure import Measured, fit_segmentation, measure
from veridical.auditing.set_tests import names

SCAN, TILES, SIZE, ALPHA, WAYS = 40, 8, 64, 0.05, 499
SPOILT = 5  # of the slices, in which defects are planted
SPREAD = {"porosity": 0.05, "brightness": 0.03, "contrast": 0.15}  # standard deviations between tiles


def simulated(share: float, seed: int = 0) -> np.ndarray:
    """Tiles (SCAN * TILES, 1, SIZE, SIZE), slice by slice; `share` of the variance of each effect is between slices."""
    rng = np.random.default_rng(seed)
    between = np.repeat(rng.standard_normal((SCAN, 3)), TILES, 0)
    effects = np.sqrt(share) * between + np.sqrt(1 - share) * rng.standard_normal(between.shape)
    field = gaussian_filter(rng.standard_normal((len(effects), SIZE, SIZE)), (0, 2.5, 2.5))
    porosity, brightness, contrast = (effects * list(SPREAD.values())).T[:, :, None, None]
    solid = np.tanh(4 * (field / field.std() - norm.ppf(np.clip(0.38 + porosity, 0.1, 0.7))))
    grey = 0.5 + brightness + 0.12 * np.exp(contrast) * solid
    return np.clip(grey + 0.03 * rng.standard_normal(grey.shape), 0, 1).astype(np.float32)[:, None]


def measured(share: float, cache: Path) -> tuple[Pool, dict[str, Measured]]:
    """A simulated scan, measured once, and a function that measures defects planted in it."""
    images, slices = simulated(share), np.repeat(np.arange(SCAN), TILES)
    segmentation = fit_segmentation(images)
    x = measure(images, segmentation, cache=cache)
    fields = np.arange(len(images))
    return Pool(images, [], slices, slices, fields, fields, segmentation, x, alone(nearness(x, x)), {})


def judged(p: Pool, real: np.ndarray, x: Measured, near: Nearness, groups: np.ndarray) -> Comparison:
    """Measured images beside rows of the pool."""
    fields, slices = np.arange(len(real)), numbered(p.slices[real])
    units = choose_units(slices, fields, groups, len(names(False)), ALPHA)
    return compare(p.measured[real], x, fields, slices, groups, units, near=near, own=p.own[real].to(real))


def trials(p: Pool, slices: int, synth: int, count: int, spoilt: dict[str, Measured], told: bool) -> dict[str, list]:
    """For each trial and each defect ("" for none), whether the set fails (None: cannot say), and the share of images."""
    found: dict[str, list] = {name: [] for name in ["", *spoilt]}
    for k in range(count):
        rng = np.random.default_rng(k)
        out = rng.permutation(SPOILT if spoilt else SCAN)[:synth]
        chosen = np.setdiff1d(rng.permutation(SCAN), out, assume_unique=True)[:slices]
        real, held = (np.flatnonzero(np.isin(p.slices, each)) for each in (chosen, out))
        groups = p.slices[held] if told else np.arange(len(held))
        for name in found:
            x = p.measured[held] if not name else spoilt[name][held]
            near = p.own[held].to(real) if not name else nearness(x, p.measured[real])
            c = judged(p, real, x, near, groups)
            able = c.units.enough and c.units.kind == "slices"
            images = judge_images(c, ALPHA, {}, [""] * len(held))
            found[name].append((
                bool(judge_set(c, ALPHA, WAYS)) if able else None,
                float(np.mean([each["verdict"] == "fail" for each in images])),
            ))  # fmt: skip
    return found


def share_of(values: list) -> str:
    """Mean and standard error."""
    values = [each for each in values if each is not None]
    if not values:
        return "insufficient"
    return f"{np.mean(values):.3f} ({np.std(values) / np.sqrt(len(values)):.3f})"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--slices", type=int, nargs="+", default=[2, 3, 4, 5, 6, 8, 12])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.5, 0.9])
    parser.add_argument("--synth", type=int, default=1, help="slices of SYNTH")
    parser.add_argument("--told", action="store_true", help="names of SYNTH tell its slices")
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path("runs/audit"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for share in options.shares:
        p = measured(share, options.cache)
        spoilt = {}
        for name, how in plants().items() if options.power else ():
            images = plant(name, p.images[p.slices < SPOILT], how.severities[1])
            spoilt[name] = measure(images, p.segmentation, cache=options.cache)
        for slices in options.slices:
            for name, each in trials(p, slices, options.synth, options.trials, spoilt, options.told).items():
                sets, images = share_of([s for s, _ in each]), share_of([i for _, i in each])
                rows.append({"share": share, "slices": slices, "synth": options.synth, "defect": name, "sets": sets,
                             "images": images})  # fmt: skip
                print(f"{share:>5} {slices:>4} {name:<24}{sets:<18}{images}", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
