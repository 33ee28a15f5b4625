"""Rows of a bench: systems, those that are trained before others, and places kept for systems that a user may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from veridical.benching.one_row import Row
from veridical.benching.others import may_say, read_others
from veridical.conditions.table import DATA_SETTINGS, needed
from veridical.core.errors import InputError
from veridical.reporting.plan import AWAY

# What a dataset may say; a recipe may not change it, or it would be compared with other tiles. The size is the bench's.
OF_DATASET = tuple(name for name in DATA_SETTINGS if name != "size")
# Systems are compared by their last states, after training on all that is not held out; a dataset may say otherwise.
UNWATCHED: dict[str, Any] = {"validation": 0.0}
CAPTIONS = "captions.json"  # of a dataset: the first caption of each held-out tile


def check_first(path: Path, stages: dict[str, Row], rows: dict[str, Row], datasets: list[str]) -> None:
    """That first stages are of the bench, of the right recipe, and on the datasets of the row."""
    from veridical.recipes.table import find

    if both := set(stages) & set(rows):
        raise InputError(f"{path}: {sorted(both)[0]} is a stage and a recipe: give one of them another name.")
    for name, row in (stages | rows).items():
        for which, source in row.first.items():
            known = find(row.recipe).first
            if which not in known:
                raise InputError(f"{path}: {name} has no stage {which!r}: it has {', '.join(known) or 'none'}.")
            if source == name or source not in stages | (rows if name in rows else {}):
                raise InputError(f"{path}: first of {name} names {source!r}, which is no stage or other recipe.")
            has = (stages | rows)[source].datasets
            if missing := [d for d in row.datasets or datasets if has is not None and d not in has]:
                raise InputError(f"{path}: {name} begins with {source}, which is not trained on {missing[0]}.")


def read_row(
    path: Path, name: str, given: dict[str, Any], datasets: dict[str, dict[str, Any]], stage: bool = False
) -> Row:
    from veridical.recipes.table import find, find_drawing, settings

    own = (given.pop("recipe", name), given, given.pop("datasets", None), given.pop("seeds", None))
    row = Row(*own, given.pop("first", {}))
    if "/" in name or "-seed" in name:
        raise InputError(f"{path}: the recipe name {name!r} cannot be that of a folder; leave out '/' and '-seed'.")
    if fixed := (set(given) & {"size", "seed", *OF_DATASET}) - set(() if stage else may_say(row.recipe)):
        raise InputError(
            f"{path}: {name} sets {sorted(fixed)[0]}, which is of the bench or of a dataset; set it there, if need be for a "
            "dataset of another name."
        )
    if row.recipe in AWAY and not stage:
        return row
    if row.recipe.startswith(AWAY) and not stage:
        return read_others(path, name, row, datasets)
    drawn = find(row.recipe) if stage else find_drawing(row.recipe)
    settings(row.recipe, given)
    for dataset in row.datasets or datasets:
        if dataset not in datasets:
            raise InputError(f"{path}: {name} names the dataset {dataset!r}; there are {', '.join(datasets)}.")
        for need in needed(drawn.needs):
            if need.setting and not datasets[dataset].get(need.setting):
                raise InputError(
                    f"{path}: {name} needs a {need.name}, which dataset {dataset!r} does not give; "
                    f'add {need.setting} = "..." to it, or '
                    f"datasets = [...] to {name}."
                )
    return row
