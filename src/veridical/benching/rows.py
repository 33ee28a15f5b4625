"""Rows of a bench: systems, those that are trained before others, and places kept for systems that a user may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from veridical.conditions.table import DATA_SETTINGS, needed
from veridical.core.errors import InputError
from veridical.reporting.plan import AWAY

# What a dataset may say; a recipe may not change it, or it would be compared with other tiles. The size is the bench's.
OF_DATASET = tuple(name for name in DATA_SETTINGS if name != "size")
# Systems are compared by their last states, after training on all that is not held out; a dataset may say otherwise.
UNWATCHED: dict[str, Any] = {"validation": 0.0}
CAPTIONS = "captions.json"  # of a dataset: the first caption of each held-out tile


@dataclass(frozen=True)
class Row:
    """One system of a bench.

    Attributes
    ----------
    recipe : str
        Its recipe; the name in the bench may be another one.
    args : dict
        Training settings and model arguments that differ from the recipe's own. Its own ``minutes`` or ``steps`` take the
        place of the bench's budget.
    datasets : list of str, or None
        Only these datasets; None is all.
    seeds : list of int, or None
        These seeds instead of the bench's.
    first : dict
        Name of a first stage to the stage or the recipe of the bench that it is taken from.
    """

    recipe: str
    args: dict[str, Any]
    datasets: list[str] | None = None
    seeds: list[int] | None = None
    first: dict[str, str] = field(default_factory=dict)

    def to_json(self, name: str) -> dict[str, Any]:
        """What ``spec.json`` says of the row called `name`."""
        content: dict[str, Any] = {"args": self.args}
        limits = {
            "recipe": None if self.recipe == name else self.recipe,
            "datasets": self.datasets,
            "seeds": self.seeds,
            "first": self.first or None,
        }
        return content | {k: v for k, v in limits.items() if v is not None}


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
    from veridical.hub.hosted import is_hosted
    from veridical.pretrained.folder import is_hub
    from veridical.recipes.table import find, find_drawing, settings

    own = (given.pop("recipe", name), given, given.pop("datasets", None), given.pop("seeds", None))
    row = Row(*own, given.pop("first", {}))
    if "/" in name or "-seed" in name:
        raise InputError(f"{path}: the recipe name {name!r} cannot be that of a folder; leave out '/' and '-seed'.")
    if fixed := set(given) & {"size", "seed", *OF_DATASET}:
        raise InputError(
            f"{path}: {name} sets {sorted(fixed)[0]}, which is of the bench or of a dataset; set it there, if need be for a "
            "dataset of another name."
        )
    if row.recipe in AWAY and not stage:
        return row
    if (is_hub(row.recipe) or is_hosted(row.recipe)) and not stage:
        return _of_others(path, name, row, datasets)
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


def _of_others(path: Path, name: str, row: Row, datasets: dict[str, dict[str, Any]]) -> Row:
    """A row that is not trained: its folder against that of the file, or its address; its prompt and settings."""
    from veridical.hub.hosted import is_hosted, named, settings_of
    from veridical.pretrained.folder import HUB
    from veridical.pretrained.settings import parsed

    given = {key: value for key, value in row.args.items() if key != "prompt"}
    if is_hosted(row.recipe):
        named(row.recipe)
        settings_of(given)
    else:
        place = row.recipe.removeprefix(HUB)
        if (path.parent / place).exists():
            row = replace(row, recipe=f"{HUB}{(path.parent / place).resolve()}")
        parsed(name, given, {})
    for dataset in row.datasets or []:
        if dataset not in datasets:
            raise InputError(f"{path}: {name} names the dataset {dataset!r}; there are {', '.join(datasets)}.")
    if "prompt" in row.args:
        texts: Any = row_prompts(row.args)
        known = isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
        if not known or not (all(texts) or is_hosted(row.recipe)):  # some servers have runs that hear no words
            raise InputError(f'{path}: {name} draws what a prompt says: write prompt = "...", or a list of them.')
    elif silent := [dataset for dataset in row.datasets or datasets if not datasets[dataset].get("text")]:
        raise InputError(
            f'{path}: {name} draws what a prompt says: add prompt = "...", or a list of them, or give dataset {silent[0]!r} '
            'captions, text = "auto", which it then draws.'
        )
    return row


def row_prompts(args: Mapping[str, Any]) -> list[str] | None:
    """Prompts of a row that says some; None where it draws captions of held-out tiles."""
    prompt = args.get("prompt")
    return [prompt] if isinstance(prompt, str) else prompt
