"""Label masks to images with pix2pix: how near to the true image, and are the made pairs as useful as real ones?

python benchmarks/translate_pix2pix.py DATA --out DIR [--minutes 10] [--seed 0]

DATA is a folder with masks/, for example sandstone. The network learns from the training slices; held-out masks are drawn
and compared with the images they belong to. Then a small segmentation network of fixed design is trained twice, on real
pairs and on the same masks with drawn images, and both are tested on real held-out tiles. Makes DIR/pix2pix.md and
DIR/pix2pix.png; a finished run in DIR/run is used again.
"""

import argparse
from pathlib import Path

import numpy as np

from veridical import draw, load, open_dataset, train
from veridical.data.images import save_png, to_grid
from veridical.metrics.distribution import kid
from veridical.metrics.features import extract
from veridical.metrics.paired import lpips_efficientnet_lite0, psnr, ssim
from veridical.nets.segmentation import predict_masks, train_segmentation
from veridical.scoring.utility import dice
from veridical.stats.jackknife import jackknife

GOAL = 0.8  # of the Dice of real pairs


def main() -> None:
    """Train, draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--segmentation-steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=1, help="segmentation networks a set of pairs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.out / "run"
    train("pix2pix", options.data, folder, resume=True, minutes=options.minutes, seed=options.seed)
    run = load(folder)
    data = open_dataset(options.data, run.info.size, masks=True, window=run.window)
    pairs = {which: (data.tiles(which)[0], data.tile_conditions(which)["mask"]) for which in ("train", "test")}
    drawn = {
        which: draw(run, len(masks), seed=options.seed + k, cond={"mask": masks})
        for k, (which, (_, masks)) in enumerate(pairs.items())
    }
    classes = int(run.info.args["classes"])
    lines = [f"{options.data}, {run.info.cost.steps} steps, {run.info.cost.train_seconds / 60:.1f} min", ""]
    lines += [*image_table(pairs, drawn, data.tiles("test")[1], classes), ""]
    lines += utility_table(pairs, drawn["train"], classes, options)
    text = "\n".join(lines)
    (options.out / "pix2pix.md").write_text(text + "\n")
    print(text)

    real, masks = pairs["test"]
    again = draw(run, len(masks), seed=options.seed + 99, cond={"mask": masks})
    shown = np.linspace(0, len(real) - 1, 12).astype(int)
    grey = np.where(masks == 255, 0, masks)[:, None].repeat(data.channels, 1) / max(classes - 1, 1)
    rows = [grey[shown], real[shown], drawn["test"][shown], again[shown]]
    save_png(options.out / "pix2pix.png", to_grid(np.concatenate(rows), columns=12, scale=2))


def image_table(pairs, drawn, groups, classes) -> list[str]:
    """Held-out images: drawn, and for comparison each class painted in its mean grey level."""
    real, masks = pairs["test"]
    painted = paint(*pairs["train"], masks, classes)
    lines = ["| held-out images | SSIM | PSNR (dB) | LPIPS (EfficientNet-Lite0) | KID |", "|---|---|---|---|---|"]
    features = extract(real)
    for name, images in (("pix2pix", drawn["test"]), ("class means", painted)):
        cells = []
        for metric in (ssim, psnr, lpips_efficientnet_lite0):
            values = metric(real, images)
            found = jackknife(lambda rows, v=values: v[rows].mean(), [groups])
            cells.append(found.shown(3))
        lines.append(f"| {name} (n={len(real)}) | {' | '.join(cells)} | {kid(features, extract(images)).value:.3f} |")
    chosen = np.linspace(0, len(pairs["train"][0]) - 1, min(len(real), len(pairs["train"][0]))).astype(int)
    floor = kid(features, extract(pairs["train"][0][chosen])).value
    return [*lines, f"| real training tiles (floor) | | | | {floor:.3f} |"]


def paint(images, masks, wanted, classes):
    """Every class in its mean grey level, unlabelled pixels in the mean of all: what a mask alone says of an image."""
    pixels = images.transpose(1, 0, 2, 3)
    overall = pixels.mean((1, 2, 3))
    table = np.tile(overall, (256, 1)).astype(np.float32)
    for k in range(classes):
        if (masks == k).any():
            table[k] = pixels[:, masks == k].mean(1)
    return np.ascontiguousarray(table[wanted].transpose(0, 3, 1, 2))


def utility_table(pairs, synthetic, classes, options) -> list[str]:
    """Dice on real held-out tiles of networks that learned from real and from synthetic pairs."""
    images, masks = pairs["train"]
    scores = {}
    for name, learned in (("real pairs", images), ("synthetic pairs", synthetic)):
        each = []
        for seed in range(options.repeats):
            steps = options.segmentation_steps
            network = train_segmentation(learned, masks, classes=classes, steps=steps, seed=options.seed + seed)
            found = dice(pairs["test"][1], predict_masks(network, pairs["test"][0]))
            each.append([found.get(k, np.nan) for k in range(classes)])
        scores[name] = np.mean(each, 0)
    head = " | ".join(f"class {k}" for k in range(classes))
    lines = [f"| segmentation learned from | Dice, mean | {head} |", "|---|---|" + "---|" * classes]
    for name, row in scores.items():
        lines.append(f"| {name} | {np.nanmean(row):.3f} | " + " | ".join(f"{v:.3f}" for v in row) + " |")
    ratio = np.nanmean(scores["synthetic pairs"]) / np.nanmean(scores["real pairs"])
    return [*lines, "", f"ratio of mean Dice {ratio:.3f}: {'reached' if ratio >= GOAL else 'missed'} (goal {GOAL})"]


if __name__ == "__main__":
    main()
