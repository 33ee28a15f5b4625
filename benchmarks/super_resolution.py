"""What does the upsampler add to the image of half the resolution?

python benchmarks/super_resolution.py DATA --out DIR [--size 128] [--minutes 10] [--solvers heun:9,unipc:18] [-n 24]

Trains the upsampler on DATA (a finished run in DIR is used again), reduces held-out tiles to half their size and makes them large
again: by bicubic interpolation, in one draw, and as the mean of four draws. Prints PSNR, SSIM and LPIPS to the truth with 95 %
intervals over tiles' images, the power at frequencies that the small image cannot carry over that of the truth (1 is right: PSNR
likes blur), and how far the result, reduced again, is from what was given (root mean square over the standard deviation of the
given images). Makes DIR/super_resolution.md and DIR/super_resolution.png: given, bicubic, draws by every solver, truth.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal.windows import hann

from veridical import draw, load, open_dataset, train
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.scoring.score import measure
from veridical.scoring.sets import Sets
from veridical.stats.groups import spread_evenly

DRAWS = 4
PAIRED = ("psnr", "ssim", "lpips_efficientnet_lite0")


def reduced(images: np.ndarray) -> np.ndarray:
    """Means over squares of 2 x 2."""
    return F.avg_pool2d(torch.from_numpy(images), 2).numpy()


def bicubic(images: np.ndarray) -> np.ndarray:
    """Twice as large."""
    return F.interpolate(torch.from_numpy(images), scale_factor=2, mode="bicubic").clamp(0, 1).numpy()


def finest(images: np.ndarray) -> float:
    """Mean power above a fourth of a period a pixel in y or x, where the small image ends; under a Hann window."""
    size = images.shape[-1]
    window = np.outer(hann(size), hann(size))
    power = np.square(abs(np.fft.fft2((images - images.mean((2, 3), keepdims=True)) * window)))
    frequency = abs(np.fft.fftfreq(size))
    return float(power[..., np.maximum(frequency[:, None], frequency) > 0.25].mean())


def main() -> None:
    """Train, enlarge, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--solvers", default="heun:9,dpm_solver_pp_2m:18,sde_dpm_solver_pp_2m:18")
    parser.add_argument("-n", type=int, default=24, help="held-out tiles")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    use_threads()
    run = train(
        "upsampler", options.data, options.out / "run", size=options.size, minutes=options.minutes, threads=options.threads,
        resume=True,
    )  # fmt: skip
    data = open_dataset(options.data, options.size)
    tiles, groups = data.tiles("test", oriented=False)
    chosen = spread_evenly(groups, min(options.n, len(tiles)))
    truth, groups = tiles[chosen], np.array(groups)[chosen]
    small = reduced(truth)
    made = {"bicubic": bicubic(small)}
    columns = [np.repeat(np.repeat(small, 2, 2), 2, 3), made["bicubic"]]
    for setting in options.solvers.split(","):
        solver, steps = setting.split(":")
        loaded = load(run, settings={"solver": solver, "sampling_steps": int(steps)})
        draws = [draw(loaded, len(truth), seed=seed, batch=8, cond={"source": small}) for seed in range(DRAWS)]
        made[f"{solver}, {steps} steps"] = draws[0]
        made[f"{solver}, {steps} steps, mean of {DRAWS}"] = np.mean(draws, 0)
        columns.append(draws[0])
    lines = [
        "| | PSNR, dB | SSIM | LPIPS | power that was missing | error of the reduced |",
        "|---|---|---|---|---|---|",
    ]
    for name, images in made.items():
        sets = Sets(truth, images, groups, pairs=len(truth))
        rows = {row["metric"]: row for row in measure(sets, PAIRED)}
        said = [f"{r['value']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" for r in (rows[metric] for metric in PAIRED)]
        error = np.sqrt(np.square(reduced(images) - small).mean()) / small.std()
        lines.append(f"| {name} | {' | '.join(said)} | {finest(images) / finest(truth):.2f} | {error:.3f} |")
        print(lines[-1], flush=True)
    (options.out / "super_resolution.md").write_text("\n".join(lines) + "\n")
    columns.append(truth)
    shown = np.stack(columns, 1)[:: max(1, len(truth) // 4)][:4]
    save_png(options.out / "super_resolution.png", to_grid(shown.reshape(-1, *truth.shape[1:]), columns=len(columns)))


if __name__ == "__main__":
    main()
