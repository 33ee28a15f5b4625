"""Which precision puts planted levels of quality in order? Blur, noise and random phase beside real tiles.

    python benchmarks/precision.py ../shared/data/sandstone ../shared/data/fibres --samples runs/demo/cells/fibres \
        --out docs/results/precision.md

On phantoms of fibres, among which tiles of pure binder are few and far from the others, and on the data given. Half of the
slices are the real tiles; the other half stand in the place of samples, as they are and made worse. `--samples` adds what
systems of a bench drew of such phantoms. Printed for each: precision of Kynkäänniemi et al. 2019 (k-NN) and Park and Kim 2023
(P&R, k = 4, a = 1.2), density of Naeem et al. 2020, and what `veridical score` prints. Then how the latter vary over
draws of n tiles, and what they are of tiles of few kinds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from veridical import open_dataset
from veridical.metrics.distribution import neighbour_shares
from veridical.metrics.features import extract
from veridical.metrics.surrogates import surrogates

Array = NDArray[Any]
PHANTOMS = {"data": "phantom:cmc?n=120&size=256&seed=101", "scale": 0.5}
SHARES = ("precision_capped", "recall_capped", "coverage")
NUMBERS, DRAWS = (12, 20, 30, 40, 60, 96), 40
KINDS = 6  # clusters of tiles


def main() -> None:
    """Print, and write if asked, the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="*", help="real images: a folder, a stack ...")
    parser.add_argument("--samples", type=Path, help="DIR/SYSTEM-seed0/samples.npy of a bench of the demo's phantoms")
    parser.add_argument("--tiles", type=int, default=240, help="real tiles, and as many others, at most")
    parser.add_argument("--cache", type=Path, default=Path("runs/precision"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = ""
    for given in (PHANTOMS, *({"data": data, "scale": None} for data in options.data)):
        name = "fibre phantoms" if given is PHANTOMS else Path(str(given["data"])).name
        real, levels, slices = sets(given, options.tiles)
        if given is PHANTOMS and options.samples:
            found = sorted(options.samples.glob("*-seed0/samples.npy"))
            levels |= {f"`{path.parent.name.removesuffix('-seed0')}`": np.load(path) for path in found}
        x, *ys = (extract(tiles, cache=options.cache).astype(np.float64) for tiles in (real, *levels.values()))
        features = dict(zip(levels, ys, strict=True))
        text += f"\n## {name}: {len(x)} real tiles\n\n" + table(x, features)
        if given is PHANTOMS:
            text += "\n### Over draws of n tiles, mean ± standard deviation\n\n" + over_draws(x, slices, features)
            text += "\n### Fewer kinds\n\n" + fewer_kinds(x, levels, features, options.cache)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def sets(given: dict[str, Any], most: int) -> tuple[Array, dict[str, Array], Array]:
    """Real tiles, sets of planted levels made of tiles of other slices, and the slice of each real tile."""
    rng = np.random.default_rng(0)
    data = open_dataset(given["data"], 64, scale=given["scale"], split="none", augment="none")
    tiles, groups = data.tiles("train")
    names, numbers = np.unique(groups, return_inverse=True)
    first = np.isin(numbers, rng.permutation(len(names))[: len(names) // 2])
    n = min(most, first.sum(), (~first).sum())
    mine, others = (np.sort(rng.permutation(np.flatnonzero(side))[:n]) for side in (first, ~first))
    fresh = tiles[others]
    levels = {"real": fresh}
    levels |= {f"blur {s:g} px": gaussian_filter(fresh, (0, 0, s, s)) for s in (0.5, 1, 2)}
    levels |= {f"noise {s:g}": np.clip(fresh + rng.normal(0, s, fresh.shape), 0, 1) for s in (0.05, 0.1)}
    levels["random phase"] = np.clip(surrogates(fresh, rng), 0, 1)
    return tiles[mine], {name: images.astype(np.float32) for name, images in levels.items()}, numbers[mine]


def table(x: Array, features: dict[str, Array]) -> str:
    """Estimators by level."""
    lines = [
        "| samples | n | k-NN precision | density | P&R precision | " + " | ".join(f"`{s}`" for s in SHARES) + " |"
    ]
    lines.append("|---|---|" + "---|" * 6)
    for name, y in features.items():
        mine = neighbour_shares(x, y)
        values = [*published(x, y), *(mine[share] for share in SHARES)]
        lines.append(f"| {name} | {len(y)} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


def published(x: Array, y: Array, k: int = 5) -> tuple[float, float, float]:
    """k-NN precision and density with k neighbours; probabilistic precision with the settings of its paper."""
    near, xy = np.sort(cdist(x, x), 1), cdist(x, y)
    inside = xy <= near[:, k, None]
    reach = 1.2 * near[:, 4].mean()
    probable = 1 - np.prod(1 - np.clip(1 - xy / reach, 0, None), 0)
    return float(inside.any(0).mean()), float(inside.sum(0).mean() / k), float(probable.mean())


def over_draws(x: Array, slices: Array, features: dict[str, Array]) -> str:
    """`neighbour_shares` of n real tiles of n / 4 slices and n of the others, by n."""
    chosen = ("real", "blur 0.5 px", "blur 1 px", "noise 0.05", "noise 0.1")
    lines = ["| n | | " + " | ".join(chosen) + " |", "|---|---|" + "---|" * len(chosen)]
    rng, names = np.random.default_rng(0), np.unique(slices)
    for n in NUMBERS:
        found = {name: [] for name in chosen}  # type: dict[str, list[list[float]]]
        for _ in range(DRAWS):
            rows = np.flatnonzero(np.isin(slices, rng.permutation(names)[: max(n // 4, 3)]))[:n]
            for name in chosen:
                y = features[name]
                shares = neighbour_shares(x[rows], y[rng.permutation(len(y))[:n]])
                found[name].append([shares[share] for share in SHARES])
        for k, share in enumerate(SHARES):
            cells = (np.array(found[name])[:, k] for name in chosen)
            lines.append(f"| {n} | `{share}` | " + " | ".join(f"{c.mean():.2f} ± {c.std():.2f}" for c in cells) + " |")
    return "\n".join(lines) + "\n"


def fewer_kinds(x: Array, levels: dict[str, Array], features: dict[str, Array], cache: Path) -> str:
    """Shares of sets of as many tiles of all kinds and of few, the largest first, as they are and made worse, over draws."""
    fresh, rng = features["real"], np.random.default_rng(0)
    blurred = gaussian_filter(levels["real"], (0, 0, 0.75, 0.75))
    found = {name: features[name] for name in ("real", "noise 0.05", "noise 0.1", "blur 0.5 px")}
    found["blur 0.75 px"] = extract(blurred, cache=cache).astype(np.float64)
    centred = fresh - fresh.mean(0)
    main = centred @ np.linalg.svd(centred, full_matrices=False)[2][:8].T
    kinds = kmeans2(main, KINDS, seed=1, minit="++")[1]
    largest = np.argsort(-np.bincount(kinds, minlength=KINDS))
    n = int((kinds == largest[0]).sum())
    lines = [f"Sets of {n} tiles against {n} real ones.", ""]
    lines += ["| samples | kinds | " + " | ".join(f"`{s}`" for s in SHARES) + " |", "|---|---|---|---|---|"]
    for name, y in found.items():
        for count in (KINDS, KINDS // 2, 1):
            kept = np.flatnonzero(np.isin(kinds, largest[:count]))
            rows = []
            for _ in range(DRAWS):
                shares = neighbour_shares(x[rng.permutation(len(x))[:n]], y[rng.permutation(kept)[:n]])
                rows.append([shares[share] for share in SHARES])
            cells = (f"{c.mean():.2f} ± {c.std():.2f}" for c in np.transpose(rows))
            lines.append(f"| {name} | {count} of {KINDS} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
