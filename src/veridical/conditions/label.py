"""The condition ``label``: a class or a value of each image, from a column of a table or the name of its folder.

Arrays: ``label``, int64 class numbers or float32 standardised values (N,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from veridical.conditions.condition import Answer, Condition, Option, Request, Supply, TileSettings
from veridical.core.errors import InputError
from veridical.core.settings import setting
from veridical.data.dataset import Dataset
from veridical.data.labels import Labels


@dataclass(frozen=True)
class LabelSettings(TileSettings):
    """What asks for labels."""

    label: str = setting(
        "",
        "Label of the images, for recipes that need one: a column of labels.csv or properties.csv, a property of a "
        "phantom, or folder (the name of an image's folder).",
    )
    bins: int = setting(0, "Turn a numeric label into so many classes of equal share; 0 leaves it continuous.", low=0)


def _keywords(recipe: str, settings: LabelSettings) -> dict[str, Any]:
    if not settings.label:
        raise InputError(
            f"{recipe} needs a label: give --label COLUMN, a column of labels.csv or properties.csv beside the images, "
            "or --label folder if there is a folder a class."
        )
    return {"label": settings.label, "bins": settings.bins}


def _supply(spec: str, target: Dataset, settings: LabelSettings) -> Supply:
    classes = target.labels.classes if target.labels is not None else None
    return Supply(
        batch=lambda drawn: {"label": target.labels_of(drawn.places)},
        tiles=lambda which, n: {"label": target.labels_of(target.chosen(which, n)[0])},
        sizes={"classes": len(classes or ())},
    )


def _ask(request: Request, given: str | Sequence[str] | None) -> Answer:
    """Classes or numbers in the units of the data; by default all classes in turn, or values evenly over the training range."""
    labels = Labels.from_json(request.run["dataset"]["labels"])
    parts = [part.strip() for text in ([given] if isinstance(given, str) else given or ()) for part in text.split(",")]
    wanted = [part for part in parts if part]
    found = labels.encode(wanted) if wanted else labels.spread(request.n)
    notes = []
    if beyond := labels.beyond(wanted):
        what = f"{labels.column} {beyond[0]} lies outside the training images, {labels.low:g} to {labels.high:g}"
        if not request.extrapolate:
            raise InputError(
                f"{what}: nothing is known of such images; ask for values in between, or add --extrapolate."
            )
        notes.append(f"{what}: nothing is known of such images")
    return Answer({"label": found}, labels.column, labels.decode(found), notes=tuple(notes))


def _located(given: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    return {"label": find(given["label"])} if ".csv:" in str(given.get("label", "")) else {}


LABEL = Condition(
    name="label",
    setting="label",
    options=(
        Option(
            "label",
            "Classes or values to draw, in turn; repeatable or with commas. Default: all in turn.",
            several=True,
        ),
    ),
    keywords=_keywords,
    supply=_supply,
    ask=_ask,
    located=_located,
    sizes={"classes": "change their number with --bins, or by other masks"},
    kept=("dataset", "labels"),
)
