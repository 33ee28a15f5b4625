"""Does tuning towards a reward raise what the audit passes, and what does it cost?

    python benchmarks/reward.py BASE DATA --out DIR [--set KEY=VALUE ...] [--tuned NAME=KEY=VALUE,... ...] [--n 192] [--seed 0]

BASE, a run of ``edm``, is tuned on the training tiles of DATA, once for each row: ``reward`` (as ``veridical adapt --how reward``
has it, with --set; rows of --tuned with settings of their own), ``chosen images`` (plain LoRA on those of 128 images of BASE
whose rewarded defects pass: rejection fine-tuning) and ``real tiles`` (plain LoRA on DATA, what is there without any reward). The
rewarded and the held-out half are those of ``reward``. N fresh images of each are put beside the test tiles of DATA: share that
the whole audit passes, and that its rewarded and its held-out defects pass, `recall_capped` (- where most samples lie beside
the real tiles), `coverage`, `kid_over_random_phase`, with 95 % intervals. DIR gets runs, images, the table (reward.md) and a
figure of the reward and of what is held out over the steps (reward.png).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from veridical import audit, draw, load
from veridical.adapting.adapt import adapt
from veridical.adapting.judges import Judge, judge_of
from veridical.core.device import use_threads
from veridical.data.dataset import Dataset
from veridical.data.images import save_png, to_grid
from veridical.data.open import open_dataset
from veridical.runs.folder import read_run
from veridical.runs.run import Run
from veridical.scoring.score import gather, measure
from veridical.stats.jackknife import jackknife

mpl.use("Agg")
from matplotlib import pyplot as plt

METRICS = ("recall_capped", "coverage", "kid_over_random_phase")
COLUMNS = ("audit passes", "rewarded defects pass", "held-out defects pass", *METRICS)


def share(passed: np.ndarray) -> tuple[float, float, float]:
    """With its interval."""
    found = jackknife(lambda rows: float(passed[rows].mean()), [np.arange(len(passed))], bounds=(0, 1))
    return found.value, float(found.low or 0), float(found.high or 0)


def numbers(images: np.ndarray, target: Dataset, judge: Judge, cache: Path) -> dict[str, tuple[float, float, float]]:
    """What the table says of one set."""
    real, groups = target.tiles("test")
    train, _ = target.tiles("train", oriented=False)
    passed = np.array([image["verdict"] == "pass" for image in audit(real, images, power=False, cache=cache)["images"]])
    rewarded, held = judge.strange(images)
    found = dict(zip(COLUMNS, map(share, (passed, rewarded <= 1, held <= 1)), strict=False))
    for row in measure(gather(real, images, real_groups=groups, floor_real=train, cache=cache), METRICS):
        found[str(row["metric"])] = row["value"], row["low"], row["high"]
    return found


def chosen(base: Run, judge: Judge, n: int, folder: Path) -> Path:
    """Images of the base of which the rewarded defects pass, in a file."""
    path = folder / "chosen.npy"
    if not path.exists():
        drawn = draw(base, n, seed=8)
        np.save(path, drawn[judge.strange(drawn)[0] <= 1][:, 0])
    return path


def curve_of(runs: dict[str, Path], path: Path) -> None:
    """The reward and what is held out, over the steps."""
    figure, axes = plt.subplots(1, len(runs), figsize=(4.2 * len(runs), 3), squeeze=False, sharey=True)
    for axis, (name, folder) in zip(axes[0], runs.items(), strict=True):
        adapted = read_run(folder).adapted
        assert adapted is not None
        points = adapted.found["curve"]
        steps = [p["steps"] for p in points]
        axis.plot(steps, [p["reward"] for p in points], marker="o", label="rewarded defects pass")
        axis.plot(steps, [p["held_out"] for p in points], marker="s", label="held-out defects pass")
        axis.axvline(adapted.found["kept"] or 0, color="0.6", linestyle=":", label="kept")
        axis.set(title=name, xlabel="steps", ylim=(0, 1.02))
    axes[0, 0].set_ylabel("share of 64 images")
    axes[0, -1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Tune, draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of adapt in all rows")
    parser.add_argument(
        "--tuned", action="append", default=[], metavar="NAME=KEY=VALUE,...", help="more rows of reward"
    )
    parser.add_argument("--n", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    base = load(options.base, settings={"autoguidance": 1.0})
    target = open_dataset(options.data, base.info.size)
    limit = int(dict(pair.split("=", 1) for pair in options.set).get("limit", 0))
    judge = judge_of(open_dataset(options.data, base.info.size, limit=limit).tiles("train")[0])
    common = {"seed": options.seed} | dict(pair.split("=", 1) for pair in options.set)
    tuned: dict[str, dict[str, Any]] = {"reward": {}}
    for pair in options.tuned:
        name, _, settings = pair.partition("=")
        tuned[name] = dict(each.split("=", 1) for each in settings.split(","))
    runs: dict[str, Path] = {"base": options.base}
    for name, settings in tuned.items():
        runs[name] = options.out / name.replace(" ", "_")
        if not runs[name].exists():
            adapt(options.base, options.data, runs[name], how="reward", settings=common | settings, quiet=True)
    found = read_run(runs["reward"]).adapted.found  # type: ignore[union-attr]
    judge = replace(judge, rewarded=tuple(found["rewarded"]), held=tuple(found["held_out"]))
    for name in ("chosen images", "real tiles"):
        runs[name] = options.out / name.replace(" ", "_")
        if not runs[name].exists():
            data = options.data if name == "real tiles" else str(chosen(base, judge, 128, options.out))
            few = {"limit": 0} if name == "chosen images" else {}
            adapt(options.base, data, runs[name], how="lora", settings=common | few, quiet=True)
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    print(*lines, sep="\n", flush=True)
    for name, folder in runs.items():
        stored = options.out / f"{name.replace(' ', '_')}.npy"
        if not stored.exists():
            np.save(stored, draw(base if name == "base" else load(folder), options.n, seed=99))
        images = np.load(stored)
        kept = stored.with_suffix(".json")
        if not kept.exists():
            kept.write_text(json.dumps(numbers(images, target, judge, options.out / "cache"), default=float))
        row = json.loads(kept.read_text())
        cells = ["-" if v is None else f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in map(row.get, COLUMNS)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        save_png(stored.with_suffix(".png"), to_grid(images[:32], columns=8))
        (options.out / "reward.md").write_text("\n".join(lines) + "\n")
    curve_of({name: runs[name] for name in tuned}, options.out / "reward.png")


if __name__ == "__main__":
    main()
