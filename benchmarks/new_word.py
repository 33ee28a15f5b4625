"""Does a new word draw what it stands for? It is learned from few images of a kind of composite, drawn, and measured by a ruler.

    python benchmarks/new_word.py BASE --out DIR [--kind NAME ...] [--images 20] [--n 64] [--set KEY=VALUE ...] [--ruler FILE]

BASE is a run of words of ``phantom:cmc?size=64&volume_fraction=0.2,0.64``. A kind is a combination of properties that captions
tell apart, each in a phrase of its own (`KINDS`); the new word is to stand for all of it at once. It is learned from so many
phantoms of the kind by ``veridical adapt --how textual_inversion`` with ``--set`` (defaults otherwise), and drawn as
`SENTENCE` says. Beside it are drawn: the same sentence with a known word in its place, the word before it was learned, and a
caption of the kind in full. The ruler is that of ``words.py``. Printed are means of what it measures with 95 % intervals, and the
share of images that are of the kind: all measured properties between those of real images of the kind, 5th to 95th
percentile. DIR gets the ruler, the runs, ``new_word.md`` and a grid of each kind.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from torch import nn

from veridical import load
from veridical.adapting.adapt import adapt
from veridical.benching.ruler import HELD_OUT, Ruler, make_ruler, phantoms, values
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.nets.word import WithNewWord
from veridical.phantoms import write_phantoms
from veridical.runs.draw import conditions_of, draw
from veridical.runs.run import Run
from veridical.stats.jackknife import jackknife


class Kind(NamedTuple):
    """Options of the phantoms, the new word, and the properties that make the kind."""

    options: dict[str, str]
    word: str
    measured: tuple[str, ...]


KINDS = {
    "sparse, much binder": Kind(
        {"volume_fraction": "0.2,0.27", "binder": "1", "cracks": "-1"},
        "halfrock",
        ("fibre_volume_fraction", "binder_fraction", "n_fibres"),
    ),
    "dense, thin fibres": Kind(
        {"volume_fraction": "0.58,0.63", "mean_diameter": "10,10.6", "binder": "0", "cracks": "-1"},
        "denserock",
        ("fibre_volume_fraction", "binder_fraction", "n_fibres"),
    ),
}
SENTENCE, KNOWN = "microCT image of a {} composite", "fibre"
FEW = 411  # seed of the few images
FLOOR = 0.25  # of the tile that binder of "much binder" covers at least


def of_kind(kind: Kind, n: int, seed: int) -> Any:
    """So many phantoms of a kind; of those with binder the ones that have much of it."""
    made = phantoms("cmc", 3 * n if kind.options["binder"] == "1" else n, seed, given=kind.options)
    least = FLOOR if kind.options["binder"] == "1" else 0.0
    rows = [k for k, p in enumerate(made.properties) if p["binder_fraction"] >= least][:n]
    parts = ([part[k] for k in rows] for part in (made.properties, made.captions, made.facts))
    return type(made)(made.images[rows], made.masks[rows], *parts)


def measured(ruler: Ruler, images: np.ndarray, kind: Kind) -> np.ndarray:
    """What the ruler finds, (N, properties)."""
    found = ruler.measure(images)
    return np.stack([values(found, name) for name in kind.measured], 1)


def drawn(path: Path, run: Run, text: str | list[str], n: int) -> np.ndarray:
    """Images of a text, or of one each, kept in a file."""
    if not path.exists():
        np.save(path, draw(run, n, seed=1, cond=conditions_of(run, n, prompt=text, extrapolate=True).cond))
    return np.load(path)


def unlearned(run: Run) -> Run:
    """The same with the new word as it began, in place."""
    for part in cast(nn.Module, run.model).modules():
        if isinstance(part, WithNewWord):
            part.learned.data = part.table.weight.mean(0) / part.unit
    return run


def row(found: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[str]:
    """Means and the share of the kind, each with its interval."""
    each = [found[:, k] for k in range(found.shape[1])] + [((found >= low) & (found <= high)).all(1).astype(float)]
    cells = []
    for column in each:
        column = column[np.isfinite(column)]
        interval = jackknife(lambda rows: float(column[rows].mean()), [np.arange(len(column))])  # noqa: B023
        cells.append(f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})")
    return cells


def main() -> None:
    """Learn, draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of adapt")
    parser.add_argument("--ruler", type=Path)
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    ruler = make_ruler("cmc", options.ruler or options.out / "ruler.safetensors", given={"volume_fraction": "0.2,0.64"})
    base = load(options.base, settings={"upsample": False})
    n, lines = options.n, []
    for name in options.kind or KINDS:
        kind = KINDS[name]
        few, real = of_kind(kind, options.images, FEW), of_kind(kind, n, HELD_OUT)
        data, folder = options.out / f"{kind.word}-images", options.out / kind.word
        if not data.exists():
            write_phantoms(data, few)
        said = SENTENCE.format(kind.word)
        given = {"word": kind.word, "prompt": said} | dict(pair.split("=", 1) for pair in options.set)
        if not folder.exists():
            adapt(options.base, data / "images", folder, how="textual_inversion", settings=given, quiet=True)
        run, full = load(folder), [captions[0] for captions in real.captions]
        sets = {
            "real images of the kind": real.images,
            repr(SENTENCE.format(KNOWN)): drawn(options.out / "known.npy", base, SENTENCE.format(KNOWN), n),
            repr(said): drawn(folder.with_suffix(".npy"), run, said, n),
            "the same, before it was learned": drawn(options.out / f"{kind.word}-0.npy", unlearned(run), said, n),
            "captions of the kind in full": drawn(options.out / f"{kind.word}-told.npy", base, full, n),
        }
        usual = measured(ruler, real.images, kind)
        low, high = np.nanquantile(usual, [0.05, 0.95], axis=0)
        lines += [f"{name}:", "", f"| | {' | '.join(kind.measured)} | of the kind |", "|---|" + "---|" * (len(low) + 1)]
        for label, images in sets.items():
            lines.append(f"| {label} | {' | '.join(row(measured(ruler, images, kind), low, high))} |")
            print(lines[-1], flush=True)
        lines.append("")
        grid = np.concatenate([few.images[:8], *(sets[label][:8] for label in list(sets)[1:])])
        save_png(options.out / f"{kind.word}.png", to_grid(grid, columns=8, scale=2))
        (options.out / "new_word.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
