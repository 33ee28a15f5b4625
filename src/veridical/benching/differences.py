"""How the best learned system of each dataset differs from the others, in ``datasets/NAME/differences.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from veridical.benching.cell import real_tiles, synth_groups
from veridical.core.files import write_json
from veridical.reporting.plan import AWAY
from veridical.reporting.results import Cell, Files, read_cells
from veridical.reporting.tables import best_learned, metric_columns, ranking
from veridical.runs.run import row_of
from veridical.scoring.difference import headline_difference
from veridical.scoring.score import gather
from veridical.scoring.sets import Sets
from veridical.scoring.table import HEADLINE


def write_differences(folder: Path, spec: dict[str, Any]) -> None:
    """Compare the learned system with the lowest headline with every other one, each seed with each.

    Parameters
    ----------
    folder : Path
        Of a bench. Features of the samples are in its cache already.
    spec : dict
        Its ``spec.json``.
    """
    cells = [
        cell for cell in read_cells(Files(folder), spec) if cell.trouble is None and cell.recipe in spec["recipes"]
    ]
    for dataset in spec["datasets"]:
        mine = [cell for cell in cells if cell.dataset == dataset]
        ranked = [s for s in ranking(mine, metric_columns(mine)) if s["rank"]]
        best = best_learned(ranked)
        if best is None:
            continue
        sets = {(cell.recipe, cell.seed): _sets(folder, spec, cell) for cell in mine if _scored(cell)}
        rows = [
            _row(best["system"], seed, other["system"], other_seed, sets)
            for other in ranked
            if other is not best
            for seed in best["metrics"][HEADLINE]["seeds"]
            for other_seed in other["metrics"][HEADLINE]["seeds"]
        ]
        write_json(folder / "datasets" / dataset / "differences.json", rows)


def _scored(cell: Cell) -> bool:
    return any(row["metric"] == HEADLINE and row.get("value") is not None for row in cell.rows)


def _sets(folder: Path, spec: dict[str, Any], cell: Cell) -> Sets:
    samples = np.load(cell.folder / "samples.npy")
    recipe = spec["recipes"][cell.recipe].get("recipe", cell.recipe)
    needs = () if recipe.startswith(AWAY) else row_of(recipe).needs
    groups = synth_groups(folder / "datasets" / cell.dataset, needs, len(samples))
    real, about = real_tiles(folder, cell.dataset)
    return gather(real, samples, synth_groups=groups, cache=folder / "cache", **about)


def _row(system: str, seed: int, other: str, other_seed: int, sets: dict[tuple[str, int], Sets]) -> dict[str, Any]:
    found = headline_difference(sets[system, seed], sets[other, other_seed])
    return {
        "system": system, "seed": seed, "other": other, "other_seed": other_seed, "metric": HEADLINE,
        "value": found.value, "low": found.low, "high": found.high,
    }  # fmt: skip
