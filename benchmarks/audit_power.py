"""What does the audit find, beside SSIM, LPIPS, a Fréchet distance, KID and a classifier of real against planted?

    python benchmarks/audit_power.py DATA sandstone [--cache DIR] [--json FILE] [--images 40] [--set 32] [--repeats 6]

Each defect of `veridical.auditing.defects` is planted, in three severities, in held-out real images (whole slices); the other
real images are the reference. Image level: area under the ROC curve of planted against clean held-out images. Set level: share of
sets of 32 that fail; for the peers, at the threshold that 5 % of clean held-out sets exceed, which is not known in practice.
SSIM and LPIPS compare with the nearest of a few real images (no scores of pairs: synthetic images have no original). Named first:
share of the failed images, and of the failed sets, whose first finding is the planted defect.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from audit_pool import Pool, Reference, pool
from veridical.auditing.compare import Comparison
from veridical.auditing.defects import DEFECTS, plant, plants
from veridical.auditing.explain import Misfits, Planted, chosen_rows, misfits, patterns
from veridical.auditing.judge import certain_defects, decides, judge_images, judge_set, set_findings
from veridical.auditing.measure import Measured, measure
from veridical.metrics.distribution import frechet, kid
from veridical.metrics.novelty import nearest_crop
from veridical.metrics.paired import lpips_efficientnet_lite0, ssim

ALPHA = 0.05
REFERENCES = 4
WAYS = 499  # permutations of a set
NULLS = 200  # real sets for the thresholds of the peers
UNSEEN = {  # defects in another form than the planted one that names are found by
    "out_of_domain/coffee": "another photograph", "blur/box": "mean of 3 x 3 pixels", "stylised/median": "median of 5 x 5",
    "noise_mismatch/grain": "noise with grain of 2 pixels",
}  # fmt: skip
PEERS = ("ssim", "lpips_efficientnet_lite0", "frechet", "kid", "c2st")


def main() -> None:
    """Plant, judge, and print a line for each defect and severity."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--cache", type=Path, default=Path("runs/audit"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--set", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--defects", nargs="+")
    parser.add_argument("--alone", action="store_true", help="the audit without the others")
    parser.add_argument("--middle", action="store_true", help="only the middle severity")
    parser.add_argument(
        "--unseen", action="store_true", help="defects in another form than that of veridical.auditing.defects"
    )
    options = parser.parse_args()
    p = pool(options.data, options.dataset, options.cache)
    rng = np.random.default_rng(0)
    slices = rng.permutation(p.slices.max() + 1)
    sizes = np.cumsum(np.bincount(p.slices)[slices])
    out = slices[: max(1, np.searchsorted(sizes, options.images) + 1)]
    held = np.flatnonzero(np.isin(p.slices, out))
    real = np.flatnonzero(~np.isin(p.slices, out))
    held = np.sort(rng.permutation(held)[: options.images])
    case = Case(p, real, held, options.cache)
    peers = None if options.alone else Peers(case)
    clean = case.judged(p.measured[held], case.copies(p.images[held]))
    rows = []
    print(
        f"{options.dataset}: {len(real)} real images of {len(np.unique(p.slices[real]))} slices, {len(held)} held out"
    )
    print(f"{'defect':<22}{'severity':>9}  AUC: audit {' '.join(f'{n[:7]:>8}' for n in PEERS)}  power: audit "
          f"{' '.join(f'{n[:7]:>8}' for n in PEERS)}  named: images, sets", flush=True)  # fmt: skip
    planted = planted_defects(p.images.shape[1])
    wanted = [
        (defect, planted[defect][k]) for k in ([1] if options.middle else [1, 0, 2]) for defect in planted
    ]  # the middle severity of all first
    for form, severity in [(form, planted[form.split("/")[0]][1]) for form in UNSEEN] if options.unseen else wanted:
        defect = form.split("/")[0]
        if options.defects and defect not in options.defects:
            continue
        images = (
            unseen(form, severity, p.images[held], rng)
            if options.unseen
            else spoil(defect, severity, p.images[held], p.images[real], rng)
        )
        x = measure(images, p.segmentation, cache=options.cache)
        copies = case.copies(images) if defect in BESIDE_REAL else clean["copies"]
        found = case.judged(x, copies)
        row = {"dataset": options.dataset, "defect": form, "severity": severity, "level": DEFECTS[defect].level}
        row["auc"] = {"audit": auc(found["score"], clean["score"])}
        row["auc"] |= peers.auc(images, x) if peers else {}
        row |= set_power(case, x, copies, defect, options.set, options.repeats, rng)
        row["power"] |= peers.power(images, x, options.set, options.repeats, rng) if peers else {}
        failed = [each for each in found["images"] if each["verdict"] == "fail"]
        row["failed_images"] = len(failed) / len(images)
        row["named"], row["names"] = None, {}
        if DEFECTS[defect].level == "image":
            firsts = [each["findings"][0]["defect"] if each["findings"] else "none" for each in failed]
            row["named"] = firsts.count(defect) / len(firsts) if firsts else None
            row["names"] = {name: firsts.count(name) for name in sorted(set(firsts))}
        rows.append(row)
        print(line(row), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))


def line(row: dict) -> str:
    """One line of the table."""

    def cells(values, names):
        return " ".join(f"{values[n]:8.2f}" if values.get(n) is not None else f"{'-':>8}" for n in names)

    named = " ".join("   -" if row[key] is None else f"{row[key]:.2f}" for key in ("named", "named_set"))
    return (
        f"{row['defect']:<22}{row['severity']:>9}  {cells(row['auc'], ('audit', *PEERS))}        "
        f"{cells(row['power'], ('audit', *PEERS))}  {named} {row['names']} {row['names_set']}"
    )


def planted_defects(channels: int) -> dict[str, tuple[float, ...]]:
    """Severities of every defect that fits images of so many channels."""
    beside = {name: severities or DEFECTS[name].alter.severities for name, (_, severities) in BESIDE_REAL.items()}
    return {name: how.severities for name, how in plants(channels).items()} | beside


def spoil(defect: str, severity: float, images: np.ndarray, real: np.ndarray, rng) -> np.ndarray:
    """Images with a defect; `real` ones are the reference."""
    if defect in BESIDE_REAL:
        return BESIDE_REAL[defect][0](images, severity, real, rng)
    return plant(defect, images, severity)


def copied(images: np.ndarray, severity: float, real: np.ndarray, rng) -> np.ndarray:
    """Real images of the reference, turned, shifted by two pixels for each unit of severity, of lower contrast, with noise of two
    8-bit levels for each.
    """
    chosen = real[rng.permutation(len(real))[np.arange(len(images)) % len(real)]]
    shifted = np.roll(chosen, (round(2 * severity), round(2 * severity)), (2, 3))[:, :, ::-1]
    copies = shifted * (1 - 0.1 * severity) + 0.05 + 2 / 255 * severity * rng.standard_normal(chosen.shape)
    return np.clip(copies, 0, 1).astype(np.float32)


def memorised(images: np.ndarray, severity: float, real: np.ndarray, rng) -> np.ndarray:
    """A share of the images are such copies, of severity 1."""
    copies, mixed = copied(images, 1.0, real, rng), images.copy()
    rows = rng.permutation(len(images))[: round(severity * len(images))]
    mixed[rows] = copies[rows]
    return mixed


def low_coverage(images: np.ndarray, severity: float, real: np.ndarray, rng) -> np.ndarray:
    """The share of the images that is brightest, a smaller set."""
    return images[np.argsort(-images.mean((1, 2, 3)))[: round(severity * len(images))]]


# Planted here, as they take real images of the reference, or leave some out; their copy distances are others than those of the
# images that they are made of. Severities: those of the row, if there are none here.
BESIDE_REAL = {
    "copied": (copied, (1.0, 2.0, 3.0)),
    "memorised": (memorised, None),
    "low_coverage": (low_coverage, None),
}


def unseen(form: str, severity: float, images: np.ndarray, rng) -> np.ndarray:
    """Images with a defect in a form of `UNSEEN`."""
    from scipy.ndimage import gaussian_filter, median_filter, uniform_filter
    from skimage.data import coffee

    if form == "blur/box":
        return uniform_filter(images, (0, 0, 3, 3))
    if form == "stylised/median":
        return median_filter(images, (1, 1, 5, 5))
    if form == "noise_mismatch/grain":
        grain = gaussian_filter(rng.standard_normal(images.shape), (0, 0, 1, 1))
        return np.clip(images + severity * 0.02 * grain / grain.std(), 0, 1).astype(np.float32)
    height, width = images.shape[2:]
    photo = coffee()[:, :, : images.shape[1]].mean(2) / 255
    found = []
    for image in images:
        y, x = rng.integers(len(photo) - height), rng.integers(photo.shape[1] - width)
        part = photo[y : y + height, x : x + width]
        part = (part - part.mean()) / max(part.std(), 1e-3) * image.std() + image.mean()
        found.append((1 - severity) * image + severity * part)
    return np.clip(found, 0, 1).astype(np.float32)


class Case:
    """Real images to judge by, and held-out ones."""

    def __init__(self, p: Pool, real: np.ndarray, held: np.ndarray, cache: Path):
        self.pool, self.real, self.held = p, real, held
        # as of a generator, whose images are named one by one
        self.reference = Reference(p, real, np.arange(len(held)).astype(str), ALPHA)
        found = self.compare(p.measured[held], self.copies(p.images[held]))
        rows = chosen_rows(found.scored.fold)
        self.patterns, self.size = (
            patterns(found, Planted(p.images[real], rows, p.segmentation, cache=cache)),
            len(rows),
        )

    def copies(self, images: np.ndarray) -> np.ndarray:
        """Distances (parts, M) to the nearest crop in each part of the reference."""
        real, part = self.pool.images[self.real], self.reference.part
        return np.stack([nearest_crop(images, list(real[part == k])).distance for k in range(part.max() + 1)])

    def compare(self, x: Measured, copies: np.ndarray) -> Comparison:
        """The comparison of measured images with the reference."""
        few = Reference(self.pool, self.real, np.arange(len(x)).astype(str), ALPHA)
        return few.compare(x, copies)

    def certain(self, x: Measured) -> dict[str, np.ndarray]:
        """Defects that no real image can have."""
        return certain_defects(self.pool.images[self.real], x, np.zeros(len(x), bool))

    def misfits(self, c: Comparison) -> Misfits:
        """How badly each defect explains what is seen."""
        return misfits(c, self.patterns, self.size)

    def judged(self, x: Measured, copies: np.ndarray) -> dict:
        """Verdicts and suspicion of single images."""
        c, certain = self.compare(x, copies), self.certain(x)
        score = c.scored.mean.max(1) + 1e3 * np.any(list(certain.values()), 0)
        verdicts = judge_images(c, ALPHA, certain, [str(k) for k in range(len(x))], self.misfits(c))
        return {"score": score, "images": verdicts, "copies": copies}


def set_power(case: Case, x, copies, defect, size, repeats, rng) -> dict:
    """Share of sets that fail, and the defects named first."""
    failed, firsts = 0, []
    for _ in range(repeats):
        rows = np.sort(rng.permutation(len(x))[:size])
        c, certain = case.compare(x[rows], copies[:, rows]), case.certain(x[rows])
        tested = judge_set(c, ALPHA, WAYS, case.misfits(c))
        findings = set_findings(tested, judge_images(c, ALPHA, certain, [""] * len(rows)), certain)
        failed += bool(findings) and (not c.seen_slices_only or decides(findings))
        firsts += [findings[0]["defect"]] if findings else []
    return {
        "power": {"audit": failed / repeats}, "named_set": firsts.count(defect) / len(firsts) if firsts else None,
        "names_set": {name: firsts.count(name) for name in sorted(set(firsts))},
    }  # fmt: skip


class Peers:
    """Scores that others use; high is suspicious."""

    def __init__(self, case: Case):
        p, self.case = case.pool, case
        rng = np.random.default_rng(1)
        self.references = p.images[rng.permutation(case.real)[:REFERENCES]]
        self.deep = p.measured.deep[case.real].astype(np.float64)
        held = case.held
        self.clean = self.by_image(p.images[held], p.measured[held])
        self.clean_images, self.clean_x = p.images[held], p.measured[held]
        self.null: dict[str, float] | None = None

    def by_image(self, images: np.ndarray, x: Measured) -> dict[str, np.ndarray]:
        """SSIM and LPIPS to the nearest reference."""
        pairs = [np.broadcast_to(each, images.shape).copy() for each in self.references[:, None]]
        if images.shape[1] != self.references.shape[1]:
            pairs = [np.broadcast_to(each, images.shape).copy() for each in self.references.repeat(3, 1)[:, None]]
        return {
            "ssim": -np.max([ssim(pair, images) for pair in pairs], 0),
            "lpips_efficientnet_lite0": np.min([lpips_efficientnet_lite0(pair, images) for pair in pairs[:2]], 0),
        }

    def auc(self, images: np.ndarray, x: Measured) -> dict[str, float | None]:
        """Area under the ROC curve of single images; a distance of sets has none."""
        self.planted = self.by_image(images, x)
        found = {name: auc(self.planted[name], self.clean[name]) for name in self.planted}
        logits, labels = classified(self.clean_x.deep, x.deep)
        return found | {"frechet": None, "kid": None, "c2st": auc(logits[labels], logits[~labels])}

    def of_set(self, deep: np.ndarray, by_image: dict[str, np.ndarray], reference: np.ndarray) -> dict[str, float]:
        """All scores of a set."""
        some = reference[np.random.default_rng(2).permutation(len(reference))[: len(deep)]]
        logits, labels = classified(some, deep)
        return {name: float(values.mean()) for name, values in by_image.items()} | {
            "frechet": frechet(reference, deep), "kid": kid(reference, deep).value,
            "c2st": float(((logits > 0) == labels).mean()),
        }  # fmt: skip

    def power(self, images, x: Measured, size: int, repeats: int, rng) -> dict[str, float]:
        """Share of sets above the threshold that 5 % of real sets exceed."""
        if self.null is None:
            null = []
            for _ in range(NULLS):  # real sets out of the reference and the held-out images, by turns
                rows = rng.permutation(len(self.clean_x))[:size]
                by_image = {name: values[rows] for name, values in self.clean.items()}
                null.append(self.of_set(self.clean_x.deep[rows], by_image, self.deep))
            self.null = {name: float(np.quantile([each[name] for each in null], 0.95)) for name in PEERS}
        found = []
        for _ in range(repeats):
            rows = rng.permutation(len(images))[:size]
            by_image = {name: values[rows] for name, values in self.planted.items()}
            found.append(self.of_set(x.deep[rows], by_image, self.deep))
        return {name: float(np.mean([each[name] > self.null[name] for each in found])) for name in PEERS}


def classified(real: np.ndarray, synth: np.ndarray, folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold decision of a linear classifier on deep features (ridge regression), and labels.

    C2ST, Lopez-Paz and Oquab 2017, arXiv:1610.06545.
    """
    x = np.concatenate([real, synth]).astype(np.float64)
    labels = np.arange(len(x)) >= len(real)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    fold = np.random.default_rng(0).permutation(len(x)) % folds
    logits = np.empty(len(x))
    for f in range(folds):
        train = fold != f
        target = np.where(labels[train], 1.0, -1.0)
        kernel = x[train] @ x[train].T
        weights = np.linalg.solve(kernel + x.shape[1] * np.eye(len(kernel)), target - target.mean())
        logits[~train] = x[~train] @ (x[train].T @ weights) + target.mean()
    return logits, labels


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """Probability that one of the first scores higher than one of the second."""
    return float((high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean())


if __name__ == "__main__":
    main()
