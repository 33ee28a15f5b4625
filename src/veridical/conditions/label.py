"""The condition ``label``: a class or a value of each image, from a column of a table or the name of its folder.

Arrays: ``label``, int64 class numbers or float32 standardised values (N,); of images larger than tiles also maps of such values
(N, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from veridical.conditions.condition import Answer, Condition, Option, Request, Supply, TileSettings
from veridical.conditions.prompts import unknown
from veridical.core.errors import InputError
from veridical.core.files import file_hash
from veridical.core.settings import setting
from veridical.data.dataset import Dataset
from veridical.data.labels import Labels
from veridical.data.readers.imagefile import read_image


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
    """Classes or numbers in the units of the data, or maps of them; by default all classes in turn, or values evenly over the
    training range.
    """
    labels = Labels.from_json(request.run["dataset"]["labels"])
    parts = [part.strip() for text in ([given] if isinstance(given, str) else given or ()) for part in text.split(",")]
    wanted = [part for part in parts if part]
    if any(part.startswith("@") for part in wanted):
        return _maps(request, labels, wanted)
    found = labels.encode(wanted) if wanted else labels.spread(request.n)
    notes = []
    if beyond := labels.beyond(wanted):
        what = f"{labels.column} {beyond[0]} lies outside the training images, {labels.low:g} to {labels.high:g}"
        if not request.extrapolate:
            raise unknown(what)
        notes.append(f"{what}: nothing is known of such images")
    return Answer({"label": found}, labels.column, labels.decode(found), notes=tuple(notes))


def _maps(request: Request, labels: Labels, wanted: Sequence[str]) -> Answer:
    """Labels that vary over an image, one grey image file for each: counts run over the range of the training images."""
    if labels.classes is not None:
        raise InputError(
            f"{labels.column} has classes, which no map lies between: give a number or class in place of {wanted[0]}."
        )
    if request.shape is None:
        raise InputError(
            f"{wanted[0]} is a map, and one tile has one {labels.column}: give --size, several tiles at least."
        )
    maps, words = [], []
    for part in wanted:
        if not part.startswith("@"):
            raise InputError(f"{part} stands among maps: give a file for each, @FILE.")
        values = _map_of(Path(part[1:]), labels, request)
        words.append(f"{part} ({file_hash(Path(part[1:]))[:12]}), {values.min():g} to {values.max():g}")
        maps.append((values - (labels.mean or 0.0)) / (labels.std or 1.0))
    return Answer({"label": np.stack(maps).astype(np.float32)}, labels.column, words)


def _map_of(path: Path, labels: Labels, request: Request) -> np.ndarray:
    """Values (H, W), in units of the label, of a grey image of any size: whole numbers from 0 to the most that the file can hold
    are from the lowest to the highest of the training images.
    """
    from skimage.transform import resize

    counts = read_image(path)
    if counts.ndim != 2:
        raise InputError(f"{path} is no grey image: a map of {labels.column} has one value a pixel.")
    if not np.issubdtype(counts.dtype, np.unsignedinteger):
        raise InputError(
            f"{path} has values of {counts.dtype}: store a map of {labels.column} in 8 or 16 bits without sign."
        )
    low, high = labels.low or 0.0, labels.high or 0.0
    values = low + (high - low) * counts.astype(np.float64) / np.iinfo(counts.dtype).max
    return np.asarray(resize(values, request.shape, order=1, mode="edge", anti_aliasing=True))


def _located(given: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    return {"label": find(given["label"])} if ".csv:" in str(given.get("label", "")) else {}


LABEL = Condition(
    name="label",
    setting="label",
    options=(
        Option(
            "label",
            "Classes or values to draw, in turn; repeatable or with commas. With --size also @FILE: a grey image whose counts "
            "run over the range of the training images. Default: all in turn.",
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
