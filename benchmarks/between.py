"""Missing slices of a stack, drawn between their neighbours, against linear mean, signed distances and two optical flows.

    python benchmarks/between.py RUN STACK [--n 16] [--samples 4] [--crop 64] [--picture FILE.png] [--json FILE.json]

RUN is a trained run of pixels (edm); STACK holds slices that follow each other and that RUN has not seen. Every slice but the
first and the last is drawn from the two beside it, which are twice as far apart as those of the stack, in squares at the scale
of RUN. Prints PSNR and SSIM with 95 % intervals over slices, the gain in PSNR over the best classical method (paired), the share
of pixels of the wrong phase, and the length of the phase's boundary over that of the true slice (1 is right). The phase is
what is darker than Otsu's threshold of the neighbours.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

from restoration import each, mean_interval, psnr_in
from veridical.core.device import use_threads
from veridical.data.images import channels_first, save_png, to_grid
from veridical.data.readers.open import open_slices
from veridical.data.tiles import resize
from veridical.editing.restore import Settings, interpolate
from veridical.metrics.paired import ssim
from veridical.metrics.physics_phases import minkowski
from veridical.runs.run import load


def warped(flow_of):
    """Both neighbours moved half the way along the flow from the one to the other, and averaged."""

    def halfway(before, after):
        flow = flow_of(before, after)
        places = np.mgrid[: before.shape[0], : before.shape[1]].astype(float)
        early = ndimage.map_coordinates(before, places - flow / 2, order=1, mode="nearest")
        late = ndimage.map_coordinates(after, places + flow / 2, order=1, mode="nearest")
        return (early + late) / 2

    return halfway


def between_shapes(dark, light, threshold):
    """Two grey levels, parted where the mean of the neighbours' signed distances to the boundary is 0 (Raya and Udupa 1990)."""

    def distance(image):
        phase = image < threshold
        return ndimage.distance_transform_edt(~phase) - ndimage.distance_transform_edt(phase)

    return lambda before, after: np.where(distance(before) + distance(after) < 0, dark, light)


def neighbours(run, stack, n, crop):
    """Squares (before, between, after), (3, N, 1, crop, crop), at the run's scale, and the names of their slices."""
    slices, rng = open_slices(stack), np.random.default_rng(0)
    made, groups = [], []
    for k in range(n):
        at = 1 + k % (len(slices) - 2)
        whole = channels_first(run.window.to_unit(np.stack([slices[i] for i in (at - 1, at, at + 1)])))
        whole = resize(whole, *(round(length * run.info.config.scale) for length in whole.shape[2:]))
        top, left = (rng.integers(0, length - crop + 1) for length in whole.shape[2:])
        made.append(whole[:, :, top : top + crop, left : left + crop])
        groups.append(slices.names[at])
    return np.stack(made, 1), groups


def main():
    """Draw, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("stack")
    parser.add_argument("--n", type=int, default=16, help="squares")
    parser.add_argument("--crop", type=int, default=64, help="their side, pixels at the scale of the run")
    parser.add_argument("--samples", type=int, default=4, help="draws of each")
    parser.add_argument(
        "--picture", help="PNG: before, after, truth, linear mean, best classical method, one draw, mean"
    )
    parser.add_argument("--json", help="all numbers of all squares")
    options = parser.parse_args()
    use_threads()
    run = load(options.run)
    (before, truth, after), groups = neighbours(run, options.stack, options.n, options.crop)
    known = np.stack([before, after])
    dark = threshold_otsu(known)
    levels = known[known < dark].mean(), known[known >= dark].mean()
    classical = {
        "linear mean": (before + after) / 2,
        "signed distances": each(between_shapes(*levels, dark), before, after),
        "optical flow, TV-L1": each(warped(optical_flow_tvl1), before, after),
        "optical flow, iLK": each(warped(optical_flow_ilk), before, after),
    }
    began = time.process_time()
    pair = (np.repeat(x, options.samples, 0) for x in (before, after))
    drawn = interpolate(run.model, *pair, size=run.info.size, settings=Settings(), quiet=False)
    drawn = drawn.reshape(-1, options.samples, *drawn.shape[1:]).swapaxes(0, 1)
    seconds = (time.process_time() - began) / len(truth) / options.samples
    ours = {"one draw": drawn[0], f"mean of {options.samples} draws": drawn.mean(0)}
    where = np.ones(truth.shape[2:], bool)
    quality = {name: psnr_in(truth, made, where) for name, made in {**classical, **ours}.items()}
    best = max(classical, key=lambda name: quality[name].mean())
    phase, numbers = truth[:, 0] < dark, {}
    print(
        f"{options.run}: {len(truth)} squares of {options.crop} pixels of {len(set(groups))} slices, {seconds:.1f} s a draw"
    )
    print("| method | PSNR, dB | SSIM | gain over the best classical, dB | wrong phase, % | boundary, true 1 |")
    print("|---|---|---|---|---|---|")
    for name, made in {**classical, **ours}.items():
        mask = made[:, 0] < dark
        wrong = 100 * (mask != phase).mean((1, 2))
        longer = minkowski(mask)["perimeter"] / minkowski(phase)["perimeter"].mean()
        found = {"psnr": quality[name], "ssim": ssim(truth, made), "wrong": wrong, "boundary": longer}
        gain = mean_interval(quality[name] - quality[best], groups, 2) if name in ours else ""
        said = [mean_interval(found[key], groups, digits) for key, digits in (("psnr", 1), ("ssim", 3))]
        rest = [mean_interval(found[key], groups, digits) for key, digits in (("wrong", 1), ("boundary", 2))]
        print("|", " | ".join([name, *said, gain, *rest]), "|", flush=True)
        numbers[name] = {key: np.asarray(value).tolist() for key, value in found.items()}
    if options.picture:
        strip = [before, after, truth, *(classical[name] for name in ("linear mean", best)), *ours.values()]
        picks = np.linspace(0, len(truth) - 1, 3).astype(int)
        rows = np.concatenate([np.stack([x[pick] for x in strip]) for pick in picks])
        save_png(options.picture, to_grid(np.clip(rows, 0, 1), columns=len(strip), pad=3, scale=2))
    if options.json:
        Path(options.json).write_text(json.dumps({"slices": groups, **numbers}))


if __name__ == "__main__":
    main()
