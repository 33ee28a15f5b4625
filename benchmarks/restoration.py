"""Filling holes, removing rings and streaks, filling a missing wedge, against classical methods.

    python benchmarks/restoration.py RUN DATA [--tasks inpaint,rings,...] [--n 12] [--samples 4] [--picture FILE.png]

RUN is a trained run of pixels (edm), DATA what it was trained on; held-out tiles of its size are damaged and restored. Prints a
table: PSNR in the damaged pixels (for `inpaint`, else in all), SSIM, each with a 95 % interval over tiles' images, and the gain
in PSNR over the best classical method, paired. Slices in between: `between.py`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle, inpaint_biharmonic

from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.data.open import open_dataset
from veridical.editing.restore import Settings, inpaint, restore, rings, streaks, wedge
from veridical.metrics.paired import ssim
from veridical.runs.run import load
from veridical.stats.groups import spread_evenly
from veridical.stats.jackknife import jackknife

RING_STD, WEDGE = 0.06, 60.0


def less_profile(image, coordinate, average, smooth):
    """Subtract from an image (H, W) what its profile in a coordinate has more than its smoothed profile.

    The usual ring filter in polar space (Sijbers and Postnov 2004), without resampling the image.
    """
    coordinate = coordinate - coordinate.min()
    bins = np.rint(coordinate).astype(int)
    profile = average(image, bins, np.arange(bins.max() + 1))
    return image - np.interp(coordinate, np.arange(len(profile)), profile - smooth(profile))


def median_profile(image, coordinate):
    """With medians, over circles or lines and along the profile."""
    return less_profile(image, coordinate, ndimage.median, lambda x: ndimage.median_filter(x, 9, mode="nearest"))


def mean_profile(image, coordinate):
    """With means and a Gaussian."""
    return less_profile(image, coordinate, ndimage.mean, lambda x: ndimage.gaussian_filter1d(x, 3, mode="nearest"))


def total_variation(measured, operator, weight=0.02, rounds=30):
    """Alternate total variation denoising and putting back what was measured (POCS)."""
    image = measured
    for _ in range(rounds):
        smooth = denoise_tv_chambolle(image, weight)
        change = torch.from_numpy((measured - smooth)[None, None].astype(np.float32))
        image = smooth + operator.forward(change)[0, 0].numpy()
    return image


def each(function, images, *others):
    """Apply a function of (H, W) arrays to sets (N, 1, H, W)."""
    made = [function(*(x[0] for x in row)) for row in zip(images, *others, strict=True)]
    return np.clip(np.stack(made)[:, None], 0, 1).astype(np.float32)


def damage_and_restore(task, tiles, rng, draw):
    """Damaged images, restored ones by method (draws: samples first), and where to compare."""
    shape = side, _ = tiles.shape[2:]
    everywhere = np.ones(shape, bool)
    if task == "inpaint":
        hole = np.zeros(shape, bool)
        hole[side // 3 : side // 3 + 20, side // 3 : side // 3 + 20] = True
        hole[side - 8 : side - 5, 6:] = True
        damaged = np.where(hole, 0, tiles).astype(np.float32)
        classical = {"biharmonic": each(lambda x: inpaint_biharmonic(x, hole), damaged)}
        return damaged, classical, draw(lambda model, x, **more: inpaint(model, x, hole, **more), damaged), hole
    if task in ("rings", "streaks"):
        y, x = np.mgrid[:side, :side].astype(float)
        coordinate = np.hypot(x - 0.4 * side, y + 0.3 * side) if task == "rings" else x
        operator = rings(shape, (0.4 * side, -0.3 * side)) if task == "rings" else streaks(shape, "columns")
        offsets = rng.normal(0, RING_STD, (len(tiles), int(coordinate.max()) + 3))
        offsets *= rng.random(offsets.shape) < 0.4
        # Rings lie off the radii at which `rings` has its knots: the truth is not in its span.
        places = coordinate + (0.3 if task == "rings" else 0)
        artefact = np.stack([np.interp(places, np.arange(len(row)), row) for row in offsets])[:, None]
        damaged = (tiles + artefact).astype(np.float32)
        classical = {
            "median profile": each(lambda x: median_profile(x, coordinate), damaged),
            "smoothed mean profile": each(lambda x: mean_profile(x, coordinate), damaged),
        }
        return damaged, classical, draw(restore, damaged, operator), everywhere
    operator = wedge(shape, WEDGE)
    damaged = operator.forward(torch.from_numpy(tiles)).numpy()
    classical = {
        "zero-filled": each(lambda x: x, damaged),
        "total variation, POCS": each(lambda x: total_variation(x, operator), damaged),
    }
    return damaged, classical, draw(restore, damaged, operator), everywhere


def mean_interval(values, groups, digits):
    """Mean with its 95 % interval as text."""
    found = jackknife(lambda rows: float(np.mean(values[rows])), [groups])
    return found.shown(digits)


def psnr_in(truth, made, where):
    """PSNR of chosen pixels, (N,)."""
    return -10 * np.log10(np.square(truth - made)[:, :, where].mean((1, 2)))


def main():
    """Run the tasks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--tasks", default="inpaint,rings,streaks,wedge")
    parser.add_argument("--n", type=int, default=12, help="tiles")
    parser.add_argument("--samples", type=int, default=4, help="draws of each tile")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--resamplings", type=int, default=Settings.resamplings)
    parser.add_argument("--iterations", type=int, default=Settings.iterations)
    parser.add_argument("--picture", help="PNG: rows of truth, damaged, classical, one draw, mean of draws, spread")
    parser.add_argument("--json", help="all numbers of all tiles")
    options = parser.parse_args()
    use_threads()
    run, settings = load(options.run), Settings(options.steps, options.resamplings, options.iterations)
    size, rows, numbers = run.info.size, [], []
    dataset = open_dataset(options.data, size, scale=run.info.config.scale, window=run.window)
    tiles, groups = dataset.tiles("test", oriented=False)
    chosen = spread_evenly(groups, min(options.n, len(tiles)))
    tiles, groups = tiles[chosen], [groups[k] for k in chosen]

    def draw(function, *images_and_operator):
        images = [np.repeat(x, options.samples, 0) if isinstance(x, np.ndarray) else x for x in images_and_operator]
        drawn = function(run.model, *images, size=size, settings=settings)
        return drawn.reshape(-1, options.samples, *drawn.shape[1:]).swapaxes(0, 1)

    print(f"{options.run}: {len(tiles)} tiles of {size} x {size}, {options.samples} draws each, {settings}")
    print("| task | method | PSNR, dB | SSIM | gain over the best classical, dB |")
    print("|---|---|---|---|---|")
    for task in options.tasks.split(","):
        rng, began = np.random.default_rng(0), time.process_time()
        damaged, classical, drawn, where = damage_and_restore(task, tiles, rng, draw)
        seconds = (time.process_time() - began) / len(tiles) / options.samples
        ours = {"one draw": drawn[0], f"mean of {options.samples} draws": drawn.mean(0)}
        quality = {name: psnr_in(tiles, made, where) for name, made in {**classical, **ours}.items()}
        best = max(classical, key=lambda name: quality[name].mean())
        for name, made in {"damaged": np.clip(damaged, 0, 1), **classical, **ours}.items():
            values, alike = psnr_in(tiles, made, where), ssim(tiles, made)
            gain = mean_interval(values - quality[best], groups, 2) if name in ours else ""
            print(
                f"| {task} | {name} | {mean_interval(values, groups, 1)} | {mean_interval(alike, groups, 3)} | {gain} |",
                flush=True,
            )
            numbers.append({"task": task, "method": name, "psnr": values.tolist(), "ssim": alike.tolist()})
        print(f"<!-- {task}: {seconds:.1f} processor seconds a draw, baselines included -->", flush=True)
        pick = len(tiles) // 2
        strip = [tiles, damaged, classical[best], drawn[0], drawn.mean(0), 4 * drawn.std(0)]
        rows += [x[pick] for x in strip]
        if options.picture:
            save_png(options.picture, to_grid(np.clip(np.stack(rows), 0, 1), columns=len(strip), pad=3, scale=2))
    if options.json:
        Path(options.json).write_text(json.dumps(numbers))


if __name__ == "__main__":
    main()
