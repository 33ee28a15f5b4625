"""Is a prompt obeyed on real images? What captions of held-out tiles ask for, measured in what is drawn.

    python benchmarks/words_masks.py TILES --name 0=pores [--name 2=clay ...] [--run NAME=RUN ...] [--scales 1,2] [--out DIR]

TILES is what ``veridical caption DATA --tiles 64`` wrote: train/ and test/ with label images, captions.jsonl. The ruler is a
segmentation network, trained on the label images of the training tiles; what it errs on the held-out tiles stands beside every
number. The first caption of each held-out tile is asked for, `--draws` times. R2 is of "as asked for", with an interval by tile.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from veridical import draw, load
from veridical.benching.adherence import balanced, determination, near
from veridical.benching.ruler import values
from veridical.captioning.measure import key, measure_classes
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.data.open import open_dataset
from veridical.nets.segmentation import predict_masks, train_segmentation
from veridical.runs.draw import conditions_of

PRESENT = 0.01  # share of a tile from which on a class is there


def adherence(
    names: Mapping[int, str], asked: list[dict[str, Any]], found: list[dict[str, Any]], tiles: np.ndarray
) -> dict[str, str]:
    """R2 with its 95 % interval (tiles resampled), presence and place of each class."""
    row = {}
    for name in names.values():
        share = f"{key(name)}_area_fraction"
        a, m = values(asked, share), values(found, share)
        random = np.random.default_rng(0)
        again = [
            np.concatenate([np.flatnonzero(tiles == t) for t in random.choice(tiles, tiles.max() + 1)])
            for _ in range(500)
        ]
        low, high = np.quantile([determination(a[rows], m[rows]) for rows in again], [0.025, 0.975])
        row[f"R2 {name}"] = f"{determination(a, m):.2f} ({low:.2f} to {high:.2f})"
        row[f"presence {name}"] = f"{balanced(a >= PRESENT, m >= PRESENT):.2f}"
        place = f"{key(name)}_place"
        row[f"place {name}"] = f"{near([r.get(place) for r in asked], [r.get(place) for r in found]):.2f}"
    return row


def main() -> None:
    """Train the ruler, ask, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", type=Path)
    parser.add_argument("--name", action="append", default=[], metavar="VALUE=WORDS", help="as captions were made with")
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--scales", default="", help="guidance scales; empty: as each run has it")
    parser.add_argument("--draws", type=int, default=2, help="images of each caption")
    parser.add_argument("--steps", type=int, default=1200, help="training steps of the ruler")
    parser.add_argument("--out", type=Path, default=Path("runs/words"))
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    data = open_dataset(options.tiles, 64, masks=True, augment="none")
    numbers = list(data.mask_values or ())
    given = {int(value): words for value, _, words in (pair.partition("=") for pair in options.name)}
    names = {numbers.index(value): words for value, words in given.items()}
    pairs = {}
    for part in ("train", "test"):
        chosen, _, turns = data.chosen(part, None)
        pairs[part] = data.images(chosen, turns), data.masks_of(chosen, turns)
    network = train_segmentation(*pairs["train"], classes=data.classes, steps=options.steps, bent=True)

    def measure(images: np.ndarray) -> list[dict[str, Any]]:
        return [
            measure_classes(mask, dict(enumerate([""] * data.classes)) | names)
            for mask in predict_masks(network, images)
        ]

    lines = [json.loads(line) for line in (options.tiles / "captions.jsonl").read_text().splitlines()]
    first = {line["file_name"].rpartition(".")[0]: line for line in reversed(lines)}
    held = [data.slices.names[index] for index in data.chosen("test", None)[0][:, 0]]
    asked = [{fact["property"]: fact["value"] for fact in first[name]["facts"]} for name in held]
    places = np.arange(len(held))
    seen = measure(pairs["test"][0])
    table = {"held-out tiles: what the ruler errs": adherence(names, asked, seen, places)}
    mixed = [seen[k] for k in np.random.default_rng(0).permutation(len(seen))]
    table["the same, captions shuffled"] = adherence(names, asked, mixed, places)
    for named in options.run:
        name, _, folder = named.partition("=")
        for scale in options.scales.split(",") if options.scales else [""]:
            run = load(folder, settings={"guidance_scale": scale} if scale else {})
            prompts = [first[file]["text"] for file in held] * options.draws
            images = draw(
                run, len(prompts), seed=1, cond=conditions_of(run, len(prompts), prompt=prompts, extrapolate=True).cond
            )
            label = f"{name}, guidance scale {scale}" if scale else name
            tiles = np.tile(places, options.draws)
            table[label] = adherence(names, asked * options.draws, measure(images), tiles)
            grid = np.concatenate([pairs["test"][0][:16], images[:16]])
            save_png(options.out / f"masks-{name}{scale and f'-{scale}'}.png", to_grid(grid, columns=8, scale=2))
    heads = list(next(iter(table.values())))
    print(f"| | {' | '.join(heads)} |", "|---|" + "---|" * len(heads), sep="\n")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
