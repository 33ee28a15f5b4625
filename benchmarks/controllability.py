"""Do samples have the property that was asked for?

python benchmarks/controllability.py --out DIR [--material rocks] [--minutes 12] [--recipes cgan,biggan] [--bins 4]
python benchmarks/controllability.py --out DIR --bins 0 --recipes cfg,guided,cgan [--scales 1,2,4] [--phantom porosity=0.1,0.5]

Conditional systems learn phantoms of known porosity (cmc: fibre volume fraction; roots: length; root_width: mean width;
root_area: share of the image), sorted into classes of equal share, or with ``--bins 0`` as a number. A small segmentation
network, trained on the phantoms and their masks, measures the property of samples, and of held-out phantoms, which says what its
own error is; numbers are read by the straight line that its measurements of training phantoms lie on. Makes DIR/MATERIAL.md and
DIR/MATERIAL.png: samples of each class (DIR/MATERIAL-RECIPE.png: two of each), or what was asked against what was measured for
every guidance scale. Finished runs in DIR are used again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from veridical import draw, load, open_dataset, train
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.nets.segmentation import predict_masks, train_segmentation
from veridical.recipes.table import RECIPES


class Material(NamedTuple):
    """A property of phantoms, and how a mask is measured."""

    data: str
    label: str
    classes: int
    measure: Callable[[np.ndarray], np.ndarray]


def share(masks: np.ndarray, part: int, without: int) -> np.ndarray:
    """Area of a class over the area of all classes but one; NaN where there is nothing else."""
    inside = (masks != without).sum((1, 2))
    return np.where(inside, (masks == part).sum((1, 2)) / np.maximum(inside, 1), np.nan)


def length(masks: np.ndarray) -> np.ndarray:
    """Length of the skeletons of main roots and laterals, pixels: steps to the side and aslant."""
    found = []
    for mask in masks:
        thin = skeletonize((mask == 1) | (mask == 2))
        straight = (thin[1:] & thin[:-1]).sum() + (thin[:, 1:] & thin[:, :-1]).sum()
        # A step aslant is one that is not two steps around the corner.
        down = thin[1:, 1:] & thin[:-1, :-1] & ~thin[1:, :-1] & ~thin[:-1, 1:]
        up = thin[1:, :-1] & thin[:-1, 1:] & ~thin[1:, 1:] & ~thin[:-1, :-1]
        found.append(straight + np.sqrt(2) * (down.sum() + up.sum()))
    return np.array(found, np.float64)


def width(masks: np.ndarray) -> np.ndarray:
    """Mean over the skeletons of twice the distance to the edge, pixels; 0 where there is no root."""
    found = []
    for mask in masks:
        # A root goes on beyond the image.
        root = np.pad((mask == 1) | (mask == 2), 8, mode="edge")
        inside = skeletonize(root)[8:-8, 8:-8]
        found.append(2 * distance_transform_edt(root)[8:-8, 8:-8][inside].mean() if inside.any() else 0.0)
    return np.array(found, np.float64)


MATERIALS = {
    "rocks": Material("phantom:rocks?n={}&size=64", "porosity", 4, lambda masks: share(masks, 0, 3)),
    "cmc": Material("phantom:cmc?n={}&size=64", "fibre_volume_fraction", 4, lambda masks: share(masks, 1, 2)),
    "roots": Material("phantom:roots?n={}&size=64", "total_length_px", 5, length),
    "root_area": Material(
        "phantom:roots?n={}&size=64", "root_area_fraction", 5, lambda masks: ((masks == 1) | (masks == 2)).mean((1, 2))
    ),
    "root_width": Material("phantom:roots?n={}&size=64", "mean_width_px", 5, width),
}


def spread(images: np.ndarray, asked: np.ndarray) -> float:
    """How much a pixel varies among images of one class: standard deviation, mean over pixels and classes."""
    return np.mean([images[asked == k].std(0, ddof=1).mean() for k in np.unique(asked)])


def agreement(
    name: str,
    asked: np.ndarray,
    measured: np.ndarray,
    known: np.ndarray,
    variety: float,
    edges: np.ndarray,
    bins: int,
) -> str:
    """Agreement of classes, error against the mean of the class that was asked for, variety within classes."""
    found = np.searchsorted(edges, measured, side="right")
    means = [f"{measured[asked == k].mean():.3f} ± {measured[asked == k].std():.3f}" for k in range(bins)]
    same, near = (found == asked).mean(), (abs(found - asked) <= 1).mean()
    error, r = abs(measured - known).mean(), np.corrcoef(measured, known)[0, 1]
    numbers = f"{same:.2f} | {near:.2f} | {error:.3f} | {r:.2f} | {variety:.2f}"
    return f"| {name} | {len(asked)} | {numbers} | " + " | ".join(means) + " |"


def determination(asked: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """R2 of "as asked for" (1 minus squared error over variance), and of the best straight line."""
    return (
        1 - np.square(measured - asked).sum() / np.square(asked - asked.mean()).sum(),
        np.corrcoef(asked, measured)[0, 1] ** 2,
    )


def classes(options: argparse.Namespace, material: Material) -> tuple[list[str], np.ndarray]:
    """Ask for classes: lines of a table, a picture of samples."""
    bins = options.bins
    data = open_dataset(data_of(options), 64, masks=True, label=material.label, bins=bins)
    tiles = {which: data.tiles(which)[0] for which in ("train", "test")}
    cond = {which: data.tile_conditions(which) for which in ("train", "test")}
    edges = np.array(data.labels.edges)
    network = train_segmentation(tiles["train"], cond["train"]["mask"], classes=material.classes, steps=options.steps)
    truth = {which: material.measure(cond[which]["mask"]) for which in tiles}
    centres = np.array([truth["train"][cond["train"]["label"] == k].mean() for k in range(bins)])
    head = " | ".join(f"asked {c:.3f}" for c in centres)
    lines = [
        f"| images | n | class agreement | within one class | mean error | r | variety within a class | {head} |",
        "|---|---|---|---|---|---|---|" + "---|" * bins,
    ]
    asked, measured = cond["test"]["label"], material.measure(predict_masks(network, tiles["test"]))
    usual = spread(tiles["train"], cond["train"]["label"])
    mixed = np.random.default_rng(0).permutation(asked)
    for name, wanted, known in (
        ("their own value", asked, truth["test"]),
        ("their class", asked, centres[asked]),
        ("classes shuffled", mixed, centres[mixed]),
    ):
        variety = spread(tiles["test"], wanted) / usual
        lines.append(agreement(f"held-out phantoms, {name}", wanted, measured, known, variety, edges, bins))
    rows = [tiles["test"][np.flatnonzero(asked == k)[:4]] for k in range(bins)]
    for recipe in options.recipes.split(","):
        run = trained(recipe, options, material)
        wanted = np.arange(options.each * bins) % bins
        samples = draw(load(run), len(wanted), seed=1, cond={"label": wanted.astype(np.int64)})
        measured = material.measure(predict_masks(network, samples))
        variety = spread(samples, wanted) / usual
        lines.append(agreement(recipe, wanted, measured, centres[wanted], variety, edges, bins))
        rows += [samples[wanted == k][:4] for k in range(bins)]
        strip = np.concatenate([samples[wanted == k][:2] for k in range(bins)])
        save_png(options.out / f"{options.material}-{recipe}.png", to_grid(strip, columns=2 * bins))
    # A row of rows: phantoms, then each system; in it classes from low to high.
    return lines, to_grid(np.concatenate(rows), columns=4 * bins)


def numbers(options: argparse.Namespace, material: Material) -> tuple[list[str], Figure]:
    """Ask for numbers: lines of a table, scatter plots over guidance scales."""
    data = open_dataset(data_of(options), 64, masks=True, label=material.label)
    tiles = {which: data.tiles(which)[0] for which in ("train", "test")}
    cond = {which: data.tile_conditions(which) for which in ("train", "test")}
    network = train_segmentation(tiles["train"], cond["train"]["mask"], classes=material.classes, steps=options.steps)
    known = {which: np.array(data.labels.decode(cond[which]["label"])) for which in cond}
    found = material.measure(predict_masks(network, tiles["train"]))
    seen = np.isfinite(found)
    # A skeleton is not as long as the roots are: phantoms say what a measured number means.
    slope, offset = np.polyfit(known["train"][seen], found[seen], 1)

    def measure(images: np.ndarray) -> np.ndarray:
        return (material.measure(predict_masks(network, images)) - offset) / slope

    # What is rare in training is not asked for.
    low, high = np.quantile(known["train"], (0.05, 0.95))
    asked = np.linspace(low, high, 4 * options.each)
    points = {
        ("held-out phantoms", None): (known["test"], measure(tiles["test"])),
    }
    for recipe in options.recipes.split(","):
        run = trained(recipe, options, material)
        guided = "guidance_scale" in RECIPES[recipe].sampling
        for scale in [float(v) for v in options.scales.split(",")] if guided else [None]:
            loaded = load(run, settings={} if scale is None else {"guidance_scale": scale})
            samples = draw(loaded, len(asked), seed=1, cond={"label": data.labels.encode(asked.tolist())})
            points[recipe, scale] = asked, measure(samples)
    lines = [
        f"| images | guidance scale | n | R² of {material.label} as asked for | R² of a straight line | mean error |",
        "|---|---|---|---|---|---|",
    ]
    for (name, scale), (wanted, measured) in points.items():
        seen = np.isfinite(measured)
        same, line = determination(wanted[seen], measured[seen])
        error = abs(measured - wanted)[seen].mean()
        said = "-" if scale is None else f"{scale:g}"
        lines.append(f"| {name} | {said} | {seen.sum()} | {same:.2f} | {line:.2f} | {error:.3g} |")
    drawn = options.recipes.split(",")
    columns = max(sum(name == recipe for name, _ in points) for recipe in drawn)
    figure = Figure(figsize=(2.6 * columns, 2.6 * len(drawn)), dpi=120, layout="constrained")
    axes = figure.subplots(len(drawn), columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for row, recipe in zip(axes, drawn, strict=True):
        mine = [(scale, point) for (name, scale), point in points.items() if name == recipe]
        for axis, (scale, (wanted, measured)) in zip(row, mine, strict=False):
            seen = np.isfinite(measured)
            same, _ = determination(wanted[seen], measured[seen])
            axis.set_visible(True)
            axis.plot([low, high], [low, high], color="0.6")
            axis.plot(wanted, measured, ".", markersize=3)
            axis.set_title(f"{recipe}{'' if scale is None else f', scale {scale:g}'}: R² {same:.2f}", fontsize=9)
    figure.supxlabel(f"{material.label}, requested", fontsize=10)
    figure.supylabel("measured", fontsize=10)
    return lines, figure


def data_of(options: argparse.Namespace) -> str:
    """The phantoms, as a command takes them."""
    return "&".join([MATERIALS[options.material].data.format(options.images), *options.phantom])


def trained(recipe: str, options: argparse.Namespace, material: Material) -> Path:
    """The run folder of a recipe."""
    return train(
        recipe, data_of(options), options.out / f"{options.material}-{recipe}-{options.bins}", resume=True,
        minutes=options.minutes, label=material.label, bins=options.bins, threads=options.threads,
        **dict(pair.split("=", 1) for pair in options.set),
    )  # fmt: skip


def main() -> None:
    """Train, ask, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--material", choices=MATERIALS, default="rocks")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--recipes", default="cgan,biggan")
    parser.add_argument("--bins", type=int, default=4, help="0 asks for numbers")
    parser.add_argument("--scales", default="1,2,4", help="guidance scales, where a recipe has one")
    parser.add_argument("--each", type=int, default=64, help="samples a class, a fourth of those of numbers")
    parser.add_argument("--steps", type=int, default=800, help="training steps of what measures")
    parser.add_argument("--images", type=int, default=600, help="phantoms, a part of which is held out")
    parser.add_argument("--phantom", action="append", default=[], metavar="KEY=VALUE", help="what is drawn")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the recipes")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    lines, picture = (classes if options.bins else numbers)(options, MATERIALS[options.material])
    text = "\n".join(lines)
    (options.out / f"{options.material}.md").write_text(text + "\n")
    print(text)
    path = options.out / f"{options.material}.png"
    picture.savefig(path) if isinstance(picture, Figure) else save_png(path, picture)


if __name__ == "__main__":
    main()
