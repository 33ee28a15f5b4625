"""Is the Muon of `veridical.training.optimise` worth having beside PyTorch's own?

    python benchmarks/muon.py [--isa AVX512_CORE]

One step of each on the matrices of edm, on one core; seconds, their ratio, how far both go apart, and how far either's iteration
is from its result in double precision. `--isa` keeps oneDNN from newer instructions: AVX512_CORE is a CPU without bfloat16.
"""

import argparse
import os
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="DEFAULT")
    os.environ["ONEDNN_MAX_CPU_ISA"] = parser.parse_args().isa
    import torch
    from torch.optim._muon import _zeropower_via_newtonschulz

    from veridical.recipes.table import build
    from veridical.training.optimise import ITERATIONS, MOMENTUM, QUINTIC, THINNEST, Muon, orthogonalise

    torch.set_num_threads(1)
    torch.manual_seed(0)
    matrices = [p.detach().flatten(1) for p in build("edm", 1, 64).parameters() if p.dim() > 1]
    matrices = [0.02 * torch.randn(m.shape) for m in matrices if min(m.shape) >= THINNEST]
    gradients = [[torch.randn(m.shape) * torch.rand(len(m), 1) ** 4 for m in matrices] for _ in range(4)]

    def step(optimiser: type[torch.optim.Optimizer], *settings, **named) -> tuple[float, torch.Tensor]:
        parameters = [torch.nn.Parameter(m.clone()) for m in matrices]
        made, seconds = optimiser(parameters, 1e-3, *settings, **named), []
        for given in gradients:
            for p, gradient in zip(parameters, given, strict=True):
                p.grad = gradient.clone()
            began = time.process_time()
            made.step()
            seconds.append(time.process_time() - began)
        moves = [(p.detach() - m).flatten() for p, m in zip(parameters, matrices, strict=True)]
        return statistics.median(seconds[1:]), torch.cat(moves)

    ours, here = step(Muon, (0.9, 0.95), 0.0)
    theirs, there = step(torch.optim.Muon, weight_decay=0.0, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw")
    exact = [orthogonalise(g.double()) for g in gradients[0]]

    def error(made: list[torch.Tensor]) -> float:
        return max(float((m.double() - e).norm() / e.norm()) for m, e in zip(made, exact, strict=True))

    print(f"ours {ours:.3f} s, PyTorch's {theirs:.3f} s a step, {len(matrices)} matrices: {theirs / ours:.1f} times")
    print(f"moves apart: {float((here - there).norm() / here.norm()):.1%}")
    print(f"from double precision: ours {error([orthogonalise(g) for g in gradients[0]]):.1e}", end=", ")
    print(f"PyTorch's {error([_zeropower_via_newtonschulz(g, QUINTIC, ITERATIONS, 1e-7) for g in gradients[0]]):.1e}")


if __name__ == "__main__":
    main()
