"""Twenty sets to be judged by what an audit says first alone: ten of real images, ten with a defect.

    python benchmarks/audit_read.py DATA sandstone [--out DIR] [--images 48] [--cache DIR]

Slices are halved at random: one half is the real side of every audit, images of the other half make twenty sets. Ten stay as
they are, each of ten others gets another defect of `veridical.auditing.defects`, in its middle severity. DIR/leads.md has what a
reader sees first, the sentence and what a pass does not rule out, numbered in random order; DIR/key.json the truth, to be
opened afterwards.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from audit_pool import load
from veridical import audit
from veridical.auditing.defects import plant, plants
from veridical.reporting.audit_text import unseen

DEFECTS = (
    "blur", "noise_mismatch", "checkerboard", "stylised", "foreign_patch", "implausible_structure", "periodic", "shading",
    "palette_shift", "mode_collapse", "spectrum_shift", "property_shift",
)  # fmt: skip


def main() -> None:
    """Plant, audit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--out", type=Path, default=Path("runs/audit-read"))
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--cache", type=Path, default=Path("runs/audit"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images, _, groups = load(options.data, options.dataset)
    rng = np.random.default_rng(options.seed)
    slices = rng.permutation(np.unique(groups))
    real = np.isin(groups, slices[: len(slices) // 2])
    others = np.flatnonzero(~real)
    able = plants(images.shape[1])
    chosen = [str(name) for name in rng.permutation([name for name in DEFECTS if name in able])[:10]]
    sets: list[str | None] = [*chosen, *[None] * 10]
    leads, key = [], []
    options.out.mkdir(parents=True, exist_ok=True)
    for number, k in enumerate(rng.permutation(len(sets)), 1):
        rows, defect = np.sort(rng.permutation(others)[: options.images]), sets[k]
        made = images[rows]
        if defect:
            severities = able[defect].severities
            made = plant(defect, made, severities[len(severities) // 2], seed=number).astype(np.float32)
        report = audit(images[real], made, real_groups=groups[real], synth_groups=groups[rows], cache=options.cache)
        leads.append(f"{number}. {report['lead']} {unseen(report)}".rstrip())
        key.append(
            {
                "set": number, "planted": defect, "verdict": report["verdict"],
                "findings": [finding["defect"] for finding in report["findings"]],
            }
        )  # fmt: skip
        print(f"set {number} of {len(sets)} done", flush=True)
    (options.out / "leads.md").write_text("\n".join(leads) + "\n", encoding="utf-8")
    (options.out / "key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
