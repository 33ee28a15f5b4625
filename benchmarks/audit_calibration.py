"""How often does the audit fail real images? Held-out real images against others, over many splits.

    python benchmarks/audit_calibration.py DATA [--splits 60] [--datasets sandstone fibres roots_osr cmc] [--cache DIR]

DATA holds the datasets as folders with train/ and test/. Images are measured once, then split again and again: by slice (one, or
half of the slices, held out) and by place (a third of the places). Where slices are too few to say what they vary by, nothing
fails (few). Printed are the shares of failed sets and of failed images, with
Clopper-Pearson intervals. Splits share images, so the true uncertainty is larger: for the images the interval counts every
image once, for the sets every split.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import beta

from audit_pool import DATASETS, pool, real_against_real, splits
from veridical.auditing.defects import scores
from veridical.auditing.judge import judge_images, judge_set
from veridical.stats.conformal import fields_needed

WAYS = 499  # permutations of a set


def interval(k: float, n: float) -> str:
    """Share k / n with its 95 % Clopper-Pearson interval; k may be a fraction."""
    low = beta.ppf(0.025, k, n - k + 1) if k > 0 else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{k / n:6.3f} ({low:.3f}-{high:.3f})"


def main() -> None:
    """Split, judge and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=60)
    parser.add_argument("--most", type=int, default=32, help="held-out images of a split")
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--cache", type=Path, default=Path("runs/audit"))
    options = parser.parse_args()
    print(f"{'dataset':<11}{'split':<7}{'slices':>7}{'places':>7}  {'failed sets':<22}{'failed images':<24}why")
    for name in options.datasets:
        p = pool(options.data, name, options.cache)
        for by in ("one", "slice", "place"):
            failed = said = 0
            verdicts, why, reasons, kinds = [], Counter(), Counter(), Counter()
            for real, held in splits(p, by, options.splits, options.most):
                c = real_against_real(p, real, held, options.alpha)
                findings = judge_set(c, options.alpha, WAYS)
                able = c.units.enough and not c.seen_slices_only
                kinds.update([c.units.way if able else "few"])
                said += able
                failed += able and bool(findings)
                why.update(f["defect"] for f in findings)
                if c.fields.max() + 1 < fields_needed(options.alpha):
                    continue
                for row, image in zip(held, judge_images(c, options.alpha, {}, p.names[: len(held)]), strict=True):
                    verdicts.append((row, image["verdict"] == "fail"))
                    if image["verdict"] == "fail":
                        reasons.update([image["findings"][0]["defect"] if image["findings"] else "none"])
            sets = interval(failed, said) if said else "insufficient"
            rows, fails = np.array(verdicts).T if verdicts else (np.zeros(0), np.zeros(0))
            n = len(np.unique(rows))
            images = interval(fails.mean() * n, n) if n else "insufficient"
            print(
                f"{name:<11}{by:<7}{p.slices.max() + 1:>7}{p.fields.max() + 1:>7}  {sets:<22}{images:<24}"
                f"{dict(kinds)}; {dict(why.most_common(5))}; images {dict(reasons.most_common(5))}", flush=True
            )  # fmt: skip
    print(f"{len(scores())} image-level scores, alpha {options.alpha}")


if __name__ == "__main__":
    main()
