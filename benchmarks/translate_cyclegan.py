"""Phantom rocks to real rocks with CycleGAN: do they look real, and do their masks still fit?

python benchmarks/translate_cyclegan.py ROCKS --out DIR [--minutes 10] [--seed 0]

ROCKS is a folder that holds crops/rocks_0.png and crops/rocks_2.png: the first is learned from, the second is held out.
Phantoms are drawn with grains as large as in the crops (about 65 pixels), so that a tile of 64 pixels shows as much of the
sample in both sets, by one microscope without rings; neither minerals, nor air, nor the wall of a tube, which these crops do
not show. Phantoms that were not trained on are translated; KID to held-out real tiles,
and the Dice of one threshold with the mask, before and after.
Makes DIR/cyclegan.md and DIR/cyclegan.png; a finished run in DIR/run is used again.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from veridical import draw, generate, load, open_dataset, train, write_phantoms
from veridical.core.batch import ImageNoise
from veridical.data.images import save_png, to_grid
from veridical.data.window import IntensityWindow
from veridical.metrics.distribution import kid
from veridical.metrics.features import extract
from veridical.phantoms import RocksOptions, Scan
from veridical.phantoms.rocks import LABELS
from veridical.scoring.utility import dice

GOAL = 0.5  # of the KID of phantoms as they are
# Phantoms of one sample in one microscope: grain and pores have one contrast, there is no air, and the rotation axis is outside
# of the tile, as the real slices show no rings. There is hardly any noise, as the network makes the grain of the scan.
MICROSCOPE = Scan(
    n_angles=361, photons=4e5, attenuation=0.003, sample_diameter=900.0, gain_std=0.0006, bad_columns=0.0, phase=3.0,
    blur=0.6, axis=(380.0, 240.0), filter_name="hann", cutoff=0.9,
)  # fmt: skip
GRAINS = RocksOptions(
    mean_diameter=(30.0, 70.0), diameter_spread=(0.5, 0.8), porosity=(0.35, 0.5), mineral_fraction=0.0, contrast=0.11,
    bubbles=False, tube=0.0, scan=MICROSCOPE,
)  # fmt: skip


def main() -> None:
    """Train, translate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rocks", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--phantoms", type=int, default=150, help="images of 128 x 128 pixels; a fifth is held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the recipe")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    phantoms, split = options.out / "phantoms", options.out / "split.csv"
    if not phantoms.is_dir():
        write_phantoms(phantoms, generate("rocks", options.phantoms, 128, options.seed, options=GRAINS))
    split.write_text("name,split\nrocks_0,train\nrocks_2,test\n")
    folder, crops = options.out / "run", options.rocks / "crops"
    given = {"split": str(split), "source": str(phantoms), "minutes": options.minutes, "seed": options.seed}
    train("cyclegan", crops, folder, resume=True, **given, **dict(pair.split("=", 1) for pair in options.set))

    run = load(folder)
    real = open_dataset(crops, run.info.size, split=split, window=run.window)
    window = IntensityWindow.from_json(run.info.conditions["source"]["window"])
    made = open_dataset(phantoms, run.info.size, masks=True, window=window)
    (held_out, _), (learned, _) = real.tiles("test"), real.tiles("train")
    raw, masks = made.tiles("test")[0], made.tile_conditions("test")["mask"]
    translated = draw(run, len(raw), cond={"source": raw})

    features = extract(held_out)
    lines = [f"{crops}, {run.info.cost.steps} steps, {run.info.cost.train_seconds / 60:.1f} min", ""]
    lines += ["| images | n | KID to held-out real | Dice, grain | Dice, pore |", "|---|---|---|---|---|"]
    values = {}
    for name, images in (("phantoms", raw), ("translated", translated)):
        found, fit = kid(features, extract(images)), fit_of(images, masks)
        values[name] = found.value
        lines.append(f"| {name} | {len(raw)} | {found.value:.3f} +- {found.se:.3f} | {fit[1]:.3f} | {fit[0]:.3f} |")
    floor = kid(features, extract(learned))
    lines.append(f"| real, learned from (floor) | {len(learned)} | {floor.value:.3f} +- {floor.se:.3f} | | |")
    ratio = values["translated"] / values["phantoms"]
    lines += ["", f"ratio of KID {ratio:.3f}: {'reached' if ratio <= GOAL else 'missed'} (goal {GOAL})"]
    text = "\n".join(lines)
    (options.out / "cyclegan.md").write_text(text + "\n")
    print(text)

    with torch.no_grad():
        noise = ImageNoise(0, range(len(held_out)), run.device)
        back = run.model.back(torch.from_numpy(held_out).to(run.device) * 2 - 1, noise).cpu().numpy() / 2 + 0.5
    some, few = np.linspace(0, len(raw) - 1, 12).astype(int), np.linspace(0, len(held_out) - 1, 12).astype(int)
    rows = [masks[some, None] / max(LABELS.values()), raw[some], translated[some], held_out[few], back[few]]
    save_png(options.out / "cyclegan.png", to_grid(np.concatenate(rows), columns=12, scale=2))


def fit_of(images, masks) -> dict[int, float]:
    """Dice of grain (1) and pore (0) between the masks and one Otsu threshold on all smoothed images."""
    smooth = gaussian_filter(images[:, 0], (0, 1.5, 1.5))
    grain = np.where(masks == LABELS["outside"], 255, masks != LABELS["pore"])
    return dice(grain, (smooth > threshold_otsu(smooth)).astype(np.uint8))


if __name__ == "__main__":
    main()
