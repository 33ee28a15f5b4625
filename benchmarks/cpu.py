"""Which thread count, wait policy and memory layout train fastest on this CPU, and does half the precision?

    python benchmarks/cpu.py [--steps 6] [--recipes edm,dcgan]

Each setting runs in a process of its own, in turn, and is repeated; printed are the fastest seconds a step and the ratio to
one thread with contiguous tensors. "bfloat16" is channels last, and networks under autocast. `veridical.core.device` holds
what was chosen from it.
"""

import argparse
import json
import os
import subprocess
import sys
import time

RECIPES = {"edm": 16, "dcgan": 16, "vae": 32, "autoencoder": 16}


def measure(recipe: str, threads: int, layout: str, steps: int) -> float:
    """Fastest seconds of a training step."""
    import torch

    from veridical.core.batch import Batch
    from veridical.recipes.config import TrainConfig
    from veridical.recipes.table import RECIPES as ROWS
    from veridical.recipes.table import build
    from veridical.training.optimise import make_optimiser

    torch.set_num_threads(threads)
    form = torch.contiguous_format if layout == "contiguous" else torch.channels_last
    model = build(recipe, 1, 64).to(memory_format=form)
    tiles = torch.rand(RECIPES[recipe], 1, 64, 64).mul(2).sub(1).contiguous(memory_format=form)
    config = TrainConfig(**ROWS[recipe].train)
    parts = {k: make_optimiser(m, config, torch.device("cpu")) for k, m in model.parts.items()}
    best = float("inf")
    for step in range(steps):
        began = time.perf_counter()
        losses = iter(model.losses(Batch.at(tiles, {}, seed=0, step=step, start=0, total=len(tiles)), step))
        while True:
            with torch.autocast("cpu", torch.bfloat16, enabled=layout == "bfloat16"):
                part, loss = next(losses, (None, None))
            if part is None:
                break
            parts[part].zero_grad()
            torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
            parts[part].step()
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--one", nargs=3, help="recipe, threads, layout: one measurement, as JSON")
    options = parser.parse_args()
    if options.one:
        recipe, threads, layout = options.one
        print(json.dumps(measure(recipe, int(threads), layout, options.steps)))
        return
    cores = len(os.sched_getaffinity(0))
    layouts = ("contiguous", "channels_last", "bfloat16")
    settings = [(t, w, f) for t in sorted({1, cores}) for w in ("PASSIVE", "ACTIVE") for f in layouts]
    print(f"{'recipe':<14}{'threads':>8}{'wait':>9}{'layout':>15}{'s/step':>9}{'speed-up':>9}")
    for recipe in options.recipes.split(","):
        times: dict = {s: [] for s in settings}
        for _ in range(2):
            for threads, wait, layout in settings:
                command = [
                    sys.executable,
                    __file__,
                    "--steps",
                    str(options.steps),
                    "--one",
                    recipe,
                    str(threads),
                    layout,
                ]
                environment = os.environ | {"OMP_WAIT_POLICY": wait}
                output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                times[threads, wait, layout].append(json.loads(output))
        base = min(times[settings[0]])
        for (threads, wait, layout), values in times.items():
            print(f"{recipe:<14}{threads:>8}{wait:>9}{layout:>15}{min(values):>9.3f}{base / min(values):>9.2f}")


if __name__ == "__main__":
    main()
