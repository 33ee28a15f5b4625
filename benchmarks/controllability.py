"""Do samples have the porosity that was asked for?

python benchmarks/controllability.py --out DIR [--minutes 12] [--recipes cgan,biggan] [--bins 4]

Rock phantoms of known porosity are sorted into classes of equal share; conditional systems learn them. A small segmentation
network, trained on the phantoms and their masks, measures the porosity of samples, and of held-out phantoms, which says
what its own error is. Makes DIR/controllability.md and DIR/controllability.png; finished runs in DIR are used again.
"""

import argparse
from pathlib import Path

import numpy as np

from veridical import draw, load, open_dataset, train
from veridical.images import save_png, to_grid
from veridical.utility import predict_masks, train_segmentation

DATA, LABEL = "phantom:rocks?n=600&size=64", "porosity"
PORE, OUTSIDE = 0, 3


def porosity(masks: np.ndarray) -> np.ndarray:
    """Share of pores in the specimen, as phantoms define it; NaN where all is outside."""
    inside = (masks != OUTSIDE).sum((1, 2))
    return np.where(inside, (masks == PORE).sum((1, 2)) / np.maximum(inside, 1), np.nan)


def line(name: str, asked: np.ndarray, measured: np.ndarray, known: np.ndarray, edges: np.ndarray, bins: int) -> str:
    """Agreement of classes, and error against the mean porosity of the class that was asked for."""
    found = np.searchsorted(edges, measured, side="right")
    means = [f"{measured[asked == k].mean():.3f} ± {measured[asked == k].std():.3f}" for k in range(bins)]
    agreement, near = (found == asked).mean(), (abs(found - asked) <= 1).mean()
    error, r = abs(measured - known).mean(), np.corrcoef(measured, known)[0, 1]
    return (
        f"| {name} | {len(asked)} | {agreement:.2f} | {near:.2f} | {error:.3f} | {r:.2f} | " + " | ".join(means) + " |"
    )


def main() -> None:
    """Train, ask, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--recipes", default="cgan,biggan")
    parser.add_argument("--bins", type=int, default=4)
    parser.add_argument("--each", type=int, default=64, help="samples a class")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    bins = options.bins
    data = open_dataset(DATA, 64, masks=True, label=LABEL, bins=bins)
    tiles = {which: data.tiles(which)[0] for which in ("train", "test")}
    cond = {which: data.tile_conditions(which) for which in ("train", "test")}
    edges = np.array(data.labels.edges)
    network = train_segmentation(tiles["train"], cond["train"]["mask"], classes=OUTSIDE + 1, steps=800)

    truth = {which: porosity(cond[which]["mask"]) for which in tiles}
    centres = np.array([truth["train"][cond["train"]["label"] == k].mean() for k in range(bins)])
    head = " | ".join(f"asked {c:.3f}" for c in centres)
    lines = [
        f"| images | n | class agreement | within one class | mean error | r | {head} |",
        "|---|---|---|---|---|---|" + "---|" * bins,
    ]
    asked, measured = cond["test"]["label"], porosity(predict_masks(network, tiles["test"]))
    lines.append(line("held-out phantoms, against their own value", asked, measured, truth["test"], edges, bins))
    lines.append(line("held-out phantoms, against their class", asked, measured, centres[asked], edges, bins))
    mixed = np.random.default_rng(0).permutation(asked)
    lines.append(line("held-out phantoms, classes shuffled", mixed, measured, centres[mixed], edges, bins))
    rows = [tiles["test"][np.flatnonzero(asked == k)[:8]] for k in range(bins)]
    for recipe in options.recipes.split(","):
        folder = train(
            recipe, DATA, options.out / recipe, resume=True, minutes=options.minutes, label=LABEL, bins=bins,
            threads=options.threads,
        )  # fmt: skip
        wanted = np.arange(options.each * bins) % bins
        samples = draw(load(folder), len(wanted), seed=1, cond={"label": wanted.astype(np.int64)})
        measured = porosity(predict_masks(network, samples))
        lines.append(line(recipe, wanted, measured, centres[wanted], edges, bins))
        rows += [samples[wanted == k][:8] for k in range(bins)]
    text = "\n".join(lines)
    (options.out / "controllability.md").write_text(text + "\n")
    print(text)
    # A row of rows: phantoms, then each system; in it classes from low to high porosity.
    save_png(options.out / "controllability.png", to_grid(np.concatenate(rows), columns=8 * bins))


if __name__ == "__main__":
    main()
