"""What does a step of sampling buy?

python benchmarks/sampling_cost.py RUN --out DIR [--solvers euler,heun,dpm_solver_pp_2m,unipc,...] [--steps 2,4,8] [--student RUN]

Draws images from one trained diffusion model of pixels with every solver and number of steps. Makes DIR/sampling_cost.csv
and DIR/sampling_cost.png: distance to held-out tiles (`kid_over_random_phase`) against evaluations, and against images a second.
Points that DIR/sampling_cost.csv has already are kept, so that solvers can be added; ``--reference 1000`` adds ancestral
sampling of so many steps without autoguidance, the line to compare with, and ``--student RUN`` a run of `consistency` (one, two,
four and eight steps) or of `progressive_distillation`.
"""

import argparse
import csv
import time
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from veridical import draw, load, open_dataset
from veridical.core.device import use_threads
from veridical.recipes.table import RECIPES
from veridical.runs.folder import read_run
from veridical.scoring.score import score

FIELDS = ("solver", "steps", "evaluations", "images_per_second", "kid", "low", "high", "n")


def measure(run: Path, name: str, settings: dict, options: argparse.Namespace, real: dict) -> dict:
    """One point: what it costs and how good it is."""
    loaded = load(run, settings=settings)
    calls = []
    network = getattr(loaded.model, "student", loaded.model)
    nets = [network.net] if network.early is None else [network.net, network.early["net"]]
    hooks = [net.register_forward_hook(lambda *_: calls.append(1)) for net in nets]
    began = time.monotonic()
    images = draw(loaded, options.n, seed=1, batch=options.batch)
    seconds = time.monotonic() - began
    for hook in hooks:
        hook.remove()
    evaluations = len(calls) // -(-options.n // options.batch)
    rows = score(
        real["test"], images, real_groups=real["test_groups"], floor_real=real["train"],
        floor_groups=real["train_groups"], cache=options.out / "cache",
    )  # fmt: skip
    (found,) = [row for row in rows if row["metric"] == "kid_over_random_phase"]
    return {
        "solver": name,
        "steps": settings.get("sampling_steps", evaluations),
        "evaluations": evaluations,
        "images_per_second": round(options.n / seconds, 4),
        "kid": found["value"],
        "low": found["low"],
        "high": found["high"],
        "n": options.n,
    }


def figure(points: list[dict]) -> Figure:
    """Quality against evaluations and against speed, a line a solver."""
    drawn = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    left, right = drawn.subplots(1, 2, sharey=True)
    for solver in dict.fromkeys(point["solver"] for point in points):
        mine = sorted((p for p in points if p["solver"] == solver), key=lambda p: int(p["steps"]))
        kid = [float(p["kid"]) for p in mine]
        spread = [
            [k - float(p["low"] or k) for k, p in zip(kid, mine, strict=True)],
            [float(p["high"] or k) - k for k, p in zip(kid, mine, strict=True)],
        ]
        left.errorbar(
            [int(p["evaluations"]) for p in mine], kid, spread, marker="o", markersize=3, capsize=2, label=solver
        )
        right.plot([float(p["images_per_second"]) for p in mine], kid, marker="o", markersize=3, label=solver)
    for axis, name in ((left, "evaluations"), (right, "images a second")):
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.set_xlabel(name)
        axis.grid(alpha=0.3)
    left.set_ylabel("kid_over_random_phase")
    right.legend(fontsize=8)
    return drawn


def main() -> None:
    """Draw, score, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--solvers", default="euler,heun,midpoint,dpm_solver_pp_2m,unipc,sde_dpm_solver_pp_2m")
    parser.add_argument("--steps", default="2,4,8,18,36")
    parser.add_argument("--autoguidance", default="1", help="scales, such as 1,1.25, of a run that has it")
    parser.add_argument("--reference", type=int, default=0, help="steps of ancestral sampling; 0: none")
    parser.add_argument("--student", type=Path, action="append", default=[], metavar="RUN")
    parser.add_argument("-n", type=int, default=192)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    about = read_run(options.run)
    config = about.config
    data = open_dataset(
        about.dataset["spec"], config.size, augment=config.augment, scale=config.scale, split=config.split or None,
        limit=config.limit,
    )  # fmt: skip
    real: dict = {}
    for which in ("test", "train"):
        real[which], real[f"{which}_groups"] = data.tiles(which, 1000)
    table = options.out / "sampling_cost.csv"
    points: list[dict] = list(csv.DictReader(table.open())) if table.is_file() else []
    has = "autoguidance" in RECIPES[about.recipe].sampling
    wanted = []
    for scale in map(float, options.autoguidance.split(",")):
        led = {"autoguidance": scale} if has else {}
        for s in options.solvers.split(","):
            name = s if scale == 1 else f"{s}, autoguidance {scale:g}"
            wanted += [
                (options.run, name, {"solver": s, "sampling_steps": int(k), **led}) for k in options.steps.split(",")
            ]
    if options.reference:
        settings = {"solver": "ancestral", "sampling_steps": options.reference}
        wanted.append((options.run, "ancestral", settings | ({"autoguidance": 1.0} if has else {})))
    for student in options.student:
        made = read_run(student)
        if (made.size, made.dataset["spec"]) != (about.size, about.dataset["spec"]):
            parser.error(f"{student} is of other images than {options.run}")
        free = "sampling_steps" in RECIPES[made.recipe].sampling
        settings = [{"sampling_steps": k} for k in (1, 2, 4, 8)] if free else [{}]
        wanted += [(student, student.name, each) for each in settings]
    for run, name, settings in wanted:
        if any(
            p["solver"] == name and int(p["steps"]) == settings.get("sampling_steps", int(p["steps"])) for p in points
        ):
            continue
        points.append(measure(run, name, settings, options, real))
        print(points[-1], flush=True)
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(points)
    figure(points).savefig(options.out / "sampling_cost.png")
    print(options.out / "sampling_cost.png")


if __name__ == "__main__":
    main()
