"""A strip of every edit of a finished benchmark: makes docs/img/edits/MATERIAL-SYSTEM.png.

python benchmarks/figure_edits.py benchmarks/edits.toml runs/edits [--material cmc] [--n 16] [--out FOLDER]

Columns are the first pairs of each instruction, unselected. Rows are the source, what the edit made of it, where it was to
change (the mask that it was given or found; none where it goes by words alone), and the true after-image.
"""

import argparse
import tomllib
from pathlib import Path

import numpy as np

from veridical.benching.truth import APART, phantom_pairs
from veridical.data.images import save_png, to_grid


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--material", default="cmc")
    parser.add_argument("--n", type=int, default=0, help="pairs of each instruction that the benchmark was asked for")
    parser.add_argument("--each", type=int, default=1, help="pairs of each instruction that are shown")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "img" / "edits")
    options = parser.parse_args()
    spec = tomllib.loads(options.spec.read_text())
    kind, about, n = options.material, spec["materials"][options.material], options.each
    tasks = [
        phantom_pairs(kind, name, options.n or spec["n"], 64, spec["seed"] + APART * k, about.get("phantom", {}))
        for k, name in enumerate(about["tasks"])
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    for system in spec["systems"]:
        files = [options.results / f"{kind}-{system['name']}-{task.names[0]}.npz".replace(" ", "_") for task in tasks]
        if not all(file.is_file() for file in files):
            continue
        made = [dict(np.load(file)) for file in files]
        masks = [
            task.region if system.get("mask") else found.get("mask") for task, found in zip(tasks, made, strict=True)
        ]
        rows = [[task.before for task in tasks], [found["images"] for found in made]]
        if all(mask is not None for mask in masks):
            rows.append(
                [np.broadcast_to(mask[:, None], task.before.shape) for mask, task in zip(masks, tasks, strict=True)]
            )
        rows.append([task.after for task in tasks])
        shown = np.concatenate([part[:n].astype(np.float32) for row in rows for part in row])
        name = system["name"].replace(", true mask", "").replace(" ", "_")
        save_png(options.out / f"{kind}-{name}.png", to_grid(shown, columns=n * len(tasks), scale=2))
        print(options.out / f"{kind}-{name}.png")


if __name__ == "__main__":
    main()
