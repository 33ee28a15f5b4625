"""Where the time of a training step goes, as shares of what this CPU does in matrix products; and what torch.compile changes.

    python benchmarks/profile_step.py [--recipe edm] [--sizes 64 128 256] [--batch 8] [--compile]

Each size runs in a process of its own, on one thread. Times are CPU seconds, which other programs on the machine change
little; the fastest of the steps counts. The peak is that of products of 1024 x 1024 matrices in float32, measured between the
steps. Operations (a product and a sum are two) are those of convolutions and matrix products, forwards, backwards and in
the optimiser.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable

KINDS = {
    "convolutions": ("convolution", "conv2d", "mkldnn"),
    "matrix products": ("mm", "bmm", "matmul", "linear", "attention", "einsum"),
    "normalisation": ("norm",),
    "optimiser": ("optimizer", "adam", "foreach"),
    "copies and layouts": ("copy", "cat", "contiguous", "clone", "to_copy", "fill", "zero", "pad"),
    "activations and sums": (
        "silu",
        "add",
        "mul",
        "div",
        "sub",
        "sum",
        "mean",
        "sigmoid",
        "exp",
        "softmax",
        "pow",
        "sqrt",
    ),
}


def kind_of(name: str) -> str:
    name = name.lower()
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def stepper(recipe: str, size: int, batch: int, compiled: bool) -> Callable[[int], None]:
    """A function that makes training step k."""
    import torch

    from veridical.core.batch import Batch
    from veridical.core.device import memory_format
    from veridical.recipes import table
    from veridical.recipes.config import TrainConfig
    from veridical.training.optimise import make_optimiser

    device = torch.device("cpu")
    model = table.build(recipe, 1, size).to(memory_format=memory_format(device))
    model.train()
    if compiled:
        for module in model.parts.values():
            module.compile()
    tiles = torch.rand(batch, 1, size, size).mul(2).sub(1).contiguous(memory_format=memory_format(device))
    config = TrainConfig(**table.RECIPES[recipe].train)
    optimisers = {name: make_optimiser(module, config, device) for name, module in model.parts.items()}

    def step(k: int) -> None:
        for part, loss in model.losses(Batch.at(tiles, {}, seed=0, step=k, start=0, total=batch), k):
            optimisers[part].zero_grad()
            torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
            optimisers[part].step()

    return step


def peak() -> float:
    """Operations a CPU second of a matrix product."""
    import torch

    a = torch.rand(1024, 1024)
    began = time.process_time()
    a @ a
    return 2 * 1024**3 / (time.process_time() - began)


def one(recipe: str, size: int, batch: int, steps: int, compiled: bool) -> dict[str, object]:
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = stepper(recipe, size, batch, compiled)
    began = time.perf_counter()
    step(0)
    first = time.perf_counter() - began
    best, gemm = float("inf"), 0.0
    for k in range(1, steps + 1):
        gemm = max(gemm, *(peak() for _ in range(5)))
        before = time.process_time()
        step(k)
        best = min(best, time.process_time() - before)
    found: dict[str, object] = {"size": size, "seconds": best, "peak": gemm, "first": first}
    if compiled:
        return found
    with FlopCounterMode(display=False) as counter:
        step(steps + 1)
    flops = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step(steps + 2)
    shares: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        shares[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(shares.values())
    share = {kind: value / total for kind, value in shares.items()}
    return found | {"flops": sum(flops.values()), "share": share, "all": sum(flops.values()) / best / gemm}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", default="edm")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="measure compiled steps, too")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.recipe, given.one, given.batch, given.steps, given.compile)))
        return
    kinds = [*KINDS, "other"]
    heads = [f"{given.recipe}, batch {given.batch}", "GFLOP a step", "s a step", "peak, GFLOP/s", "share of it"]
    heads += [f"time: {kind}" for kind in kinds]
    heads += ["s a step, compiled", "s to compile"] if given.compile else []
    print(f"| {' | '.join(heads)} |")
    print("|" + "---|" * len(heads))
    for size in given.sizes:
        command = [sys.executable, __file__, "--one", str(size), "--recipe", given.recipe, "--batch", str(given.batch)]
        command += ["--steps", str(given.steps)]

        def run(*more: str, command: list[str] = command) -> dict:
            return json.loads(subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE).stdout)

        row = run()
        cells = [f"{size} x {size}", f"{row['flops'] / 1e9:.0f}", f"{row['seconds']:.2f}", f"{row['peak'] / 1e9:.0f}"]
        cells += [f"{row['all']:.0%}"]
        cells += [f"{row['share'].get(kind, 0):.0%}" for kind in kinds]
        if given.compile:
            compiled = run("--compile")
            cells += [f"{compiled['seconds']:.2f}", f"{compiled['first']:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
