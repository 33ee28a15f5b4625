"""Training steps of DCGAN and StyleGAN2 beside other people's, on this machine: images a second, memory.

    make peers
    python benchmarks/speed_gans.py [--threads 1] [--rounds 3] [--steps 12]

The peers, in an environment of their own: the layout of DCGAN that everybody copies (convolutions, batch norm and binary
cross-entropy as in Radford et al. 2016, default memory layout) at our widths, and the networks and losses of `stylegan2-pytorch`.
Its layers are laid out in another way than ours, so ours are as wide as makes the forward passes of generator and discriminator
together take as many multiplications: 59 million an image on both sides, by torch's counter. Regularisers are left out on both
sides, being lazy and of different schedules.
Every measurement is a process of its own, ours and the peer's in turn; the ratio is of medians.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

CHANNELS, SIZE, BATCH = 3, 64, 16
ROOT = Path(__file__).parent.parent


def ours(recipe: str) -> tuple[Callable[[int], None], int]:
    """Return a training step of ours and the number of weights."""
    from veridical.core.batch import Batch
    from veridical.recipes.table import build

    wide = {"latent": 64, "mapping": 4, "width": 10, "widest": 16}
    args = {"dcgan": {}, "stylegan": {"augmentation": "none", "r1": 0.0, **wide}}[recipe]
    model = build(recipe, CHANNELS, SIZE, args).to(memory_format=torch.channels_last)
    tiles = (torch.rand(BATCH, CHANNELS, SIZE, SIZE) * 2 - 1).contiguous(memory_format=torch.channels_last)
    parts = {k: torch.optim.AdamW(m.parameters(), 2e-4, fused=True) for k, m in model.parts.items()}

    def step(number: int) -> None:
        for part, loss in model.losses(Batch.at(tiles, {}, seed=0, step=number, start=0, total=BATCH), number):
            parts[part].zero_grad()
            torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
            parts[part].step()

    return step, sum(p.numel() for m in model.parts.values() for p in m.parameters())


def usual_dcgan() -> tuple[Callable[[int], None], int]:
    """The usual script: two sequential networks, BCE, Adam, contiguous tensors."""
    width, latent = 24, 100
    generator, discriminator = nn.Sequential(), nn.Sequential(nn.Conv2d(CHANNELS, width, 4, 2, 1, bias=False))
    inside = latent
    for k, out in enumerate((8 * width, 4 * width, 2 * width, width)):
        stride = (1, 0) if k == 0 else (2, 1)
        generator.extend([nn.ConvTranspose2d(inside, out, 4, *stride, bias=False), nn.BatchNorm2d(out), nn.ReLU(True)])
        inside = out
    generator.extend([nn.ConvTranspose2d(width, CHANNELS, 4, 2, 1, bias=False), nn.Tanh()])
    discriminator.append(nn.LeakyReLU(0.2, True))
    for k in (1, 2, 4):
        wide = 2 * k * width
        layers = [nn.Conv2d(k * width, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2, True)]
        discriminator.extend(layers)
    discriminator.extend([nn.Conv2d(8 * width, 1, 4, bias=False), nn.Sigmoid(), nn.Flatten(0)])
    judge, make = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (discriminator, generator))
    tiles, loss = torch.rand(BATCH, CHANNELS, SIZE, SIZE) * 2 - 1, nn.BCELoss()
    one, zero = torch.ones(BATCH), torch.zeros(BATCH)

    def step(number: int) -> None:
        discriminator.zero_grad()
        loss(discriminator(tiles), one).backward()
        fake = generator(torch.randn(BATCH, latent, 1, 1))
        loss(discriminator(fake.detach()), zero).backward()
        judge.step()
        generator.zero_grad()
        loss(discriminator(fake), one).backward()
        make.step()

    return step, sum(p.numel() for net in (generator, discriminator) for p in net.parameters())


def peer_stylegan() -> tuple[Callable[[int], None], int]:
    """`stylegan2-pytorch`: generator of 8 channels at 64 pixels, discriminator of the same, hinge loss as there."""
    there, torch.cuda.is_available = torch.cuda.is_available, lambda: True  # its import insists on a GPU
    from stylegan2_pytorch import stylegan2_pytorch as peer

    torch.cuda.is_available = there
    style, latent = peer.StyleVectorizer(64, 4, lr_mul=0.1), 64
    generator = peer.Generator(SIZE, latent, network_capacity=4, fmap_max=128)
    discriminator = peer.Discriminator(SIZE, network_capacity=2, fmap_max=128)
    make = torch.optim.Adam([*generator.parameters(), *style.parameters()], 2e-4, (0.5, 0.9))
    judge = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.9))
    tiles = torch.rand(BATCH, CHANNELS, SIZE, SIZE) * 2 - 1

    def images() -> torch.Tensor:
        w = style(torch.randn(BATCH, latent))[:, None].expand(-1, generator.num_layers, -1)
        return generator(w, torch.rand(BATCH, SIZE, SIZE, 1))

    def step(number: int) -> None:
        judge.zero_grad()
        fake = discriminator(images().detach())[0]
        real = discriminator(tiles)[0]
        (torch.relu(1 + real) + torch.relu(1 - fake)).mean().backward()
        judge.step()
        make.zero_grad()
        discriminator(images())[0].mean().backward()
        make.step()

    return step, sum(p.numel() for net in (style, generator, discriminator) for p in net.parameters())


def measure(side: str, recipe: str, threads: int, steps: int) -> dict[str, float]:
    """Median images a second, peak resident memory in MB and millions of weights of one side."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step, weights = ours(recipe) if side == "veridical" else {"dcgan": usual_dcgan, "stylegan": peer_stylegan}[recipe]()
    for number in range(1, 4):
        step(number)
    seconds = []
    for number in range(4, 4 + steps):
        began = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": BATCH / statistics.median(seconds), "memory": memory, "weights": weights / 1e6}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "RECIPE"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options.threads, options.steps)))
        return
    peer = ROOT / ".venv-peers/bin/python"
    if not peer.exists():
        sys.exit("the peers are not there: run `make peers` first")
    print(f"{SIZE} x {SIZE}, batch {BATCH}, threads {options.threads}; images/s: median of {options.rounds} rounds")
    for recipe in ("dcgan", "stylegan"):
        found: dict[str, list[dict[str, float]]] = {"veridical": [], "peer": []}
        for _ in range(options.rounds):
            for side, python in (("veridical", sys.executable), ("peer", str(peer))):
                command = [python, __file__, "--one", side, recipe, "--threads", str(options.threads)]
                text = subprocess.check_output([*command, "--steps", str(options.steps)], text=True)
                found[side].append(json.loads(text.splitlines()[-1]))
        rates = {side: statistics.median(row["rate"] for row in rows) for side, rows in found.items()}
        for side, rows in found.items():
            about = f"{rows[0]['memory']:6.0f} MB  {rows[0]['weights']:.2f} M weights"
            print(f"{recipe:9s} {side:10s} {rates[side]:7.1f} images/s  {about}")
        print(f"{recipe:9s} ratio      {rates['veridical'] / rates['peer']:7.2f}")


if __name__ == "__main__":
    main()
