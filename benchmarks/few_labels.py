"""Do drawn images with labels replace labelled real ones? The few-label curve of several systems, on one set of real images.

    python benchmarks/few_labels.py DATA --out few --few 10,20

For each number k of labelled tiles every system is trained on these k tiles alone (`labelled` also learns the images of the other
training tiles, without their labels), draws a labelled set, and a segmentation is trained on the k tiles and that set. Give
the same command again to go on where it was stopped. Writes few.json, few.md and few.png.

`pix2pix` needs masks: those of the k tiles, turned and bent; `pix2pix_drawn` takes the masks that `labelled` has drawn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import torch

import veridical
from veridical.core.orientation import turn
from veridical.data.dataset import Dataset
from veridical.data.images import save_png, to_grid
from veridical.data.masks import PartLabels, stored
from veridical.data.open import open_dataset
from veridical.nets.deform import KNOTS, elastic
from veridical.reporting.few import few_plot
from veridical.runs.folder import is_finished
from veridical.scoring.few import few_rows, held_out, one_network, synthetic

SYSTEMS = {  # recipe, and the settings that leave it k labelled tiles
    "labelled": ("labelled", "label_tiles"),
    "labelled_only": ("labelled", "limit"),
    "pix2pix": ("pix2pix", "limit"),
    "pix2pix_drawn": ("pix2pix", "limit"),
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--few", default="10,20", help="Numbers of labelled tiles.")
    parser.add_argument("--made", default="10", help="Those for which systems are trained.")
    parser.add_argument("--systems", default="labelled,pix2pix", help=", ".join(SYSTEMS))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--minutes", type=float, help="Of training a system.")
    parser.add_argument("--train-steps", type=int, help="The same in steps.")
    parser.add_argument("--set", action="append", default=[], metavar="SYSTEM.NAME=VALUE", help="Of training a system.")
    parser.add_argument("--steps", type=int, default=400, help="Of each segmentation.")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def run_of(how: argparse.Namespace, system: str, k: int) -> Path:
    """The run of a system that knows `k` labelled tiles; one run serves both ways of giving masks to pix2pix."""
    recipe, few = SYSTEMS[system]
    name = system.removesuffix("_drawn")
    own = [entry.partition(".")[2].split("=", 1) for entry in how.set if entry.partition(".")[0] == system]
    folder = how.out / "runs" / f"{name}-{k}"
    if is_finished(folder):
        return folder
    given = {
        "size": how.size,
        "steps": how.train_steps,
        "minutes": how.minutes,
        few: k,
        "threads": torch.get_num_threads(),
    }
    return veridical.train(recipe, how.data, folder, resume=True, **{k: v for k, v in given.items() if v}, **dict(own))


def bent_masks(data: Dataset, k: int, n: int, out: Path) -> Path:
    """Masks of `k` tiles, turned and bent at random, as many as `n`."""
    if out.is_dir():
        return out
    masks = data.masks_of(data.few(k), np.zeros(k, int))
    rng = np.random.default_rng(k)
    out.mkdir(parents=True)
    for number in range(n):
        mask = torch.from_numpy(turn(masks[number % k], rng.integers(8)).astype(np.int64))[None]
        knots = torch.from_numpy(rng.standard_normal((1, 2, KNOTS, KNOTS)).astype(np.float32))
        bent = elastic(mask[None].float(), mask, knots)[1][0].numpy()
        save_png(out / f"bent_{number:05d}.png", stored(bent, data.mask_values or ()))
    return out


def drawn(how: argparse.Namespace, system: str, data: Dataset, k: int) -> Path:
    """A labelled set that a system has drawn."""
    folder, asked = how.out / "sets" / f"{system}-{k}", {}
    if system == "pix2pix":
        asked["masks"] = bent_masks(data, k, how.samples, how.out / "masks" / str(k))
    elif system == "pix2pix_drawn":
        asked["masks"] = drawn(how, "labelled", data, k) / "masks"
    return veridical.sample(run_of(how, system, k), how.samples, folder, **asked)


def picture(path: Path, images: np.ndarray, masks: np.ndarray, classes: int) -> None:
    """Images with their masks below them, eight in a row."""
    grey = (masks[:, None] / max(1, classes - 1)).astype(np.float32).repeat(images.shape[1], 1)
    rows = [part[at : at + 8] for at in (0, 8) for part in (images, grey)]
    save_png(path, to_grid(np.concatenate(rows), columns=8, scale=2))


def counts_of(how: argparse.Namespace, cell: Path, data: Dataset, k: int, test, more) -> np.ndarray:
    """Overlaps of all seeds, each kept in a file of its own."""
    found = []
    for seed in range(how.seeds):
        kept = cell / f"{seed}.npy"
        if not kept.is_file():
            cell.mkdir(parents=True, exist_ok=True)
            np.save(kept, one_network(data, k, test, more, how.steps, seed))
            print(f"{cell.name}: seed {seed}", flush=True)
        found.append(np.load(kept))
    return np.stack(found)


def main() -> None:
    how = options()
    few, made = ([int(k) for k in text.split(",")] for text in (how.few, how.made))
    data = open_dataset(how.data, how.size, part=PartLabels(), augment="none")
    images, truth, groups, remarks = held_out(data)
    test, values = (images, truth), (data.mask_values or ())[: data.classes]
    cells = how.out / f"cells-{how.steps}"
    real = {k: counts_of(how, cells / f"real-{k}", data, k, test, None) for k in few}
    rows = [
        row
        for k in few
        for row in few_rows({"real": real, "both": {}}, k, groups, {"labels": k, "name": "real alone"}, values)
    ]
    for system in how.systems.split(","):
        for k in made:
            pairs, _ = synthetic(how.data, str(drawn(how, system, data, k)), data)
            picture(how.out / f"{system}-{k}.png", *pairs, data.classes)
            both = counts_of(how, cells / f"{system}-{k}", data, k, test, pairs)
            about = {
                "labels": k,
                "name": system,
                "shares": np.bincount(pairs[1].ravel(), minlength=data.classes).tolist(),
            }
            found = few_rows({"real": real, "both": {k: both}}, k, groups, about, values)
            rows += [row for row in found if row["metric"] != "dice_real"]
    (how.out / "few.json").write_text(json.dumps(rows, indent=1))
    few_plot(how.out / "few.png", rows)
    table(how, rows, remarks)


def table(how: argparse.Namespace, rows: list[dict], remarks: list[str]) -> None:
    """Write few.md."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    kinds = list(dict.fromkeys(row["settings"]["class"] for row in rows))
    heads = ["mean", *(f"class {kind}" for kind in kinds[1:])]
    lines = [
        f"*Measured at commit `{commit}` ({date.today()}); {how.seeds} seeds, {how.steps} steps.*\n",
        f"| labels | system | what | {' | '.join(heads)} |",
        "|---" * (len(heads) + 3) + "|",
    ]
    lines_of: dict[tuple, dict] = {}
    for row in rows:
        place = row["settings"]["labels"], row["settings"]["name"], row["metric"]
        lines_of.setdefault(place, {})[row["settings"]["class"]] = row
    for (k, name, metric), mine in lines_of.items():
        cells = []
        for kind in kinds:
            r = mine[kind]
            between = "" if r["low"] is None or kind is not None else f" ({r['low']:.3f} to {r['high']:.3f})"
            cells.append(f"{r['value']:.3f}{between}")
        lines.append(f"| {k} | {name} | {metric} | {' | '.join(cells)} |")
    text = "\n".join([*lines, "", *remarks, ""])
    (how.out / "few.md").write_text(text)
    print(text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
