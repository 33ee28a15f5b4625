"""How long must one train until samples are good? Ours beside `denoising-diffusion-pytorch`, on this machine.

    make peers
    python benchmarks/time_to_quality.py DATA --out DIR [--recipe edm] [--minutes 1,2,4,8,16] [--peer-minutes 10,20,40,60]

Ours is trained anew for every budget, as its learning rate falls towards the end of one; the peer, which has a constant rate
and averaged weights, goes on and is looked at in between. It learns crops of the same training slices with its documented
defaults (U-Net with multipliers 1, 2, 4, 8, objective v, batch 16, rate 8e-5, flips), at the width that gives the nearest number
of weights, and draws with DDIM. Only training is timed. Processes alternate, one at a time, with as many threads each. Makes
DIR/time_to_quality.csv, which a second run goes on with, and DIR/time_to_quality.png.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from itertools import zip_longest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
FIELDS = ("side", "minutes", "steps", "weights", "kid", "low", "high", "recall_capped", "n")
GOALS = (0.5, 0.3)


def ours(options: argparse.Namespace, minutes: float) -> dict:
    """Train for so long, draw, say what it cost."""
    from veridical import draw, load, train

    folder = train(
        options.recipe, options.data, options.out / f"ours-{minutes:g}", resume=True, quiet=True, minutes=minutes,
        threads=options.threads,
    )  # fmt: skip
    run = load(folder)
    np.save(options.out / "samples.npy", draw(run, options.n, seed=1))
    cost = run.info.cost
    return {"minutes": cost.train_seconds / 60, "steps": cost.steps, "weights": weights_of(run.model)}


def weights_of(model) -> int:
    """Numbers that are trained."""
    return sum(p.numel() for p in model.parameters())


def peer(options: argparse.Namespace, minutes: float) -> dict:
    """Go on until it has trained for so long altogether, draw, say what it cost. Runs in the peer's environment."""
    import torch
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    channels = int(np.load(options.out / "channels.npy"))
    nets = {dim: Unet(dim=dim, dim_mults=(1, 2, 4, 8), channels=channels) for dim in range(8, 73, 8)}
    net = min(nets.values(), key=lambda net: abs(weights_of(net) - options.weights))
    trainer = Trainer(
        GaussianDiffusion(net, image_size=64, sampling_timesteps=options.peer_steps), str(options.out / "crops"),
        train_batch_size=16, train_lr=8e-5, save_and_sample_every=10**9, calculate_fid=False,
        results_folder=str(options.out / "peer"),
    )  # fmt: skip
    clock = options.out / "peer" / "seconds.json"
    seconds = 0.0
    if clock.is_file():
        seconds = json.loads(clock.read_text())
        trainer.load("last")
    while seconds < 60 * minutes:
        trainer.train_num_steps = trainer.step + 5
        began = time.monotonic()
        trainer.train()
        seconds += time.monotonic() - began
    trainer.save("last")
    clock.write_text(json.dumps(seconds))
    model = trainer.ema.ema_model.eval()
    with torch.inference_mode():
        images = [model.sample(batch_size=min(16, options.n - k)) for k in range(0, options.n, 16)]
    np.save(options.out / "samples.npy", torch.cat(images).clamp(0, 1).numpy())
    return {"minutes": seconds / 60, "steps": trainer.step, "weights": weights_of(net)}


def write_crops(options: argparse.Namespace, count: int = 2000) -> None:
    """Crops of the training slices as PNG files, for the peer."""
    from veridical import open_dataset
    from veridical.data.images import save_png, to_grid

    folder = options.out / "crops"
    data = open_dataset(options.data, 64)
    np.save(options.out / "channels.npy", data.channels)
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    for k, image in enumerate(data.batch(count, 0, 0)["image"]):
        save_png(folder / f"{k:05d}.png", to_grid(image[None], columns=1))


def main() -> None:
    """Train in turn, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="edm")
    parser.add_argument("--minutes", default="1,2,4,8,16")
    parser.add_argument("--peer-minutes", default="10,20,40,60")
    parser.add_argument("--peer-steps", type=int, default=50, help="of DDIM")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("--weights", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "MINUTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, minutes = options.one
        print(json.dumps({"ours": ours, "peer": peer}[side](options, float(minutes))))
        return
    there = ROOT / ".venv-peers/bin/python"
    if not there.exists():
        sys.exit("the peers are not there: run `make peers` first")
    options.out.mkdir(parents=True, exist_ok=True)
    write_crops(options)
    table = options.out / "time_to_quality.csv"
    rows = list(csv.DictReader(table.open())) if table.is_file() else []
    turns = zip_longest(*([float(m) for m in given.split(",")] for given in (options.minutes, options.peer_minutes)))
    for pair in turns:
        for side, python, minutes in zip(("ours", "peer"), (sys.executable, str(there)), pair, strict=True):
            if minutes is None or any(
                row["side"] == side and abs(float(row["minutes"]) - minutes) < 0.5 for row in rows
            ):
                continue
            weights = next((row["weights"] for row in rows if row["side"] == "ours"), 0)
            command = [python, *sys.argv, "--one", side, str(minutes), "--weights", str(weights)]
            about = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
            rows.append({"side": side, **about, **scores(options)})
            print(rows[-1], flush=True)
            with table.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS)
                writer.writeheader()
                writer.writerows(rows)
    report(rows, options.out)


def scores(options: argparse.Namespace) -> dict:
    """Distance of the last samples to held-out tiles."""
    from veridical import open_dataset
    from veridical.scoring.score import score

    data = open_dataset(options.data, 64)
    (real, groups), (floor, floor_groups) = data.tiles("test", 256), data.tiles("train", 256)
    found = score(
        real, np.load(options.out / "samples.npy"), real_groups=groups, floor_real=floor, floor_groups=floor_groups,
        cache=options.out / "cache",
    )  # fmt: skip
    by_name = {row["metric"]: row for row in found}
    kid = by_name["kid_over_random_phase"]
    return {
        "kid": kid["value"],
        "low": kid["low"],
        "high": kid["high"],
        "recall_capped": by_name["recall_capped"]["value"],
        "n": kid["n"],
    }


def report(rows: list[dict], out: Path) -> None:
    """When each side fell under the goals, and a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=120, layout="constrained")
    axis = figure.subplots()
    curves = {}
    for side in ("ours", "peer"):
        mine = sorted((row for row in rows if row["side"] == side), key=lambda row: float(row["minutes"]))
        minutes, kid = ([float(row[name]) for row in mine] for name in ("minutes", "kid"))
        curves[side] = list(zip(minutes, kid, strict=True))
        axis.plot(minutes, kid, marker="o", label="veridical" if side == "ours" else "denoising-diffusion-pytorch")
    for goal in GOALS:
        axis.axhline(goal, color="0.7", linewidth=0.8)
        first = {side: next((m for m, kid in curve if kid < goal), None) for side, curve in curves.items()}
        said = {
            side: f"{value:.1f} min" if value else f"not within {max((m for m, _ in curves[side]), default=0):.0f} min"
            for side, value in first.items()
        }
        end = first["peer"] or max((m for m, _ in curves["peer"]), default=0)
        ratio = (
            f"; {'at least ' if not first['peer'] else ''}{end / first['ours']:.1f} times sooner"
            if first["ours"]
            else ""
        )
        print(f"under {goal}: ours {said['ours']}, peer {said['peer']}{ratio}")
    axis.set_xscale("log")
    axis.set_xlabel("minutes of training")
    axis.set_ylabel("kid_over_random_phase")
    axis.legend(fontsize=8)
    figure.savefig(out / "time_to_quality.png")


if __name__ == "__main__":
    main()
