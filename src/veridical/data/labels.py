"""Labels of images: a column of a table or the name of a folder -> class numbers or standardised values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.names import without_side
from veridical.data.numbers import MISSING, number, numbers, shown
from veridical.data.rows import key_of, places_of, rows_of
from veridical.data.slices import Slices
from veridical.data.tables import read_table

TABLES = ("labels.csv", "properties.csv")
FOLDER = "folder"  # the column that is no column: the name of the folder an image lies in


@dataclass(frozen=True)
class Labels:
    """What a label means; made by `fit_labels`.

    Attributes
    ----------
    column : str
        Name of the column, or "folder".
    classes : tuple of str, or None
        Names of the classes; None for a continuous label.
    edges : tuple of float, or None
        Between the classes of a binned column, in its units.
    low, high, mean, std : float, or None
        Of the training images, in the units of a numeric column.
    """

    column: str
    classes: tuple[str, ...] | None = None
    edges: tuple[float, ...] | None = None
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None

    def encode(self, values: Sequence[str | float]) -> np.ndarray:
        """Turn values in user units into conditions.

        Parameters
        ----------
        values : sequence of str or float
            Names of classes, or numbers; for a binned column either.

        Returns
        -------
        ndarray of int64 (class numbers) or float32 (standardised), shape (N,)

        Raises
        ------
        InputError
            For an unknown class, or text where a number is needed.
        """
        return np.array([self._one(v) for v in values], np.float32 if self.classes is None else np.int64)

    def _one(self, value: str | float) -> float | int:
        if self.classes is not None and str(value) in self.classes:
            return self.classes.index(str(value))
        if self.mean is None or self.std is None:
            raise InputError(
                f"{self.column}: there is no class {shown(value)}; use one of {', '.join(self.classes or ())}"
            )
        found = self._number(value)
        if self.edges is not None:
            return int(np.searchsorted(self.edges, found, side="right"))
        return (found - self.mean) / self.std

    def _number(self, value: str | float) -> float:
        try:
            found = number(value)
        except InputError as error:
            raise InputError(f"{self.column}: {error}") from None
        if found is None:
            known = f" or one of {', '.join(self.classes)}" if self.classes else ""
            raise InputError(f"{self.column}: {shown(value)} is not a number; give one{known}")
        return found

    def beyond(self, values: Sequence[str | float]) -> list[str | float]:
        """Those of `values` that lie outside the range of the training images by more than rounding, 1 % of it.

        Only of a continuous label: the first and the last of the classes that numbers were made into reach on.
        """
        if self.classes is not None or self.low is None or self.high is None:
            return []
        slack = (self.high - self.low) / 100
        return [value for value in values if not self.low - slack <= self._number(value) <= self.high + slack]

    def decode(self, conditions: Sequence[float] | np.ndarray) -> list[str | float]:
        """Turn conditions back into names of classes or numbers in user units."""
        if self.classes is not None:
            return [self.classes[int(c)] for c in conditions]
        return [float(c) * (self.std or 1.0) + (self.mean or 0.0) for c in conditions]

    def spread(self, n: int) -> np.ndarray:
        """Conditions of `n` images: classes in turn, or evenly spaced over the range of the training images."""
        if self.classes is not None:
            return np.arange(n, dtype=np.int64) % len(self.classes)
        return self.encode(np.linspace(self.low or 0.0, self.high or 0.0, n).tolist())

    def to_json(self) -> dict[str, Any]:
        """Return the labels as a JSON-able dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Labels:
        """Return what `to_json` stored."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)


def fit_labels(
    spec: str, column: str, bins: int, values: Sequence[str | float], names: Sequence[str], train: Sequence[int]
) -> tuple[Labels, np.ndarray]:
    """Decide what a column means, from training images only.

    Text becomes classes. Numbers become `bins` classes of about equally many training images (quantiles), or with
    ``bins=0`` a continuous value standardised with the mean and standard deviation of the training images.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    column : str
    bins : int
    values : sequence of str or float
        One an image in use.
    names : sequence of str
        Their names.
    train : sequence of int
        Positions of the training images in `values`.

    Returns
    -------
    labels : Labels
    conditions : ndarray (len(values),)
        int64 or float32.

    Raises
    ------
    InputError
        If there is nothing to tell apart, a held-out image has a class that no training image has, or a few values of a column
        of numbers are none.
    """
    column = column.rpartition(":")[2]
    try:
        found = numbers(values) if column != FOLDER else [None] * len(values)
    except InputError as error:
        raise InputError(f"{spec}: {column}: {error}") from None
    odd = [k for k, each in enumerate(found) if each is None]
    missing = all(str(values[k]).strip().lower() in MISSING for k in odd)
    broken = any(each is not None and not float(each).is_integer() for each in found)  # classes are not called 0.16
    if 0 < len(odd) < len(values) and (missing or broken or 2 * len(odd) <= len(values)):
        which = ", ".join(names[k] for k in odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")
        raise InputError(
            f"{spec}: {column} of {which} is {shown(values[odd[0]])}, no number, but that of the others is one; correct the "
            "table, or take the images out"
        )
    if odd:
        if bins:
            raise InputError(
                f"{spec}: {column} of {names[odd[0]]} is {shown(values[odd[0]])}, no number to bin; use bins=0"
            )
        words = [str(v) for v in values]
        classes = tuple(sorted({words[k] for k in train}))
        strange = next((k for k, word in enumerate(words) if word not in classes), None)
        if strange is not None:
            raise InputError(
                f"{spec}: {column} of {names[strange]} is {shown(words[strange])}, which no training image has; take the "
                "image out or give a split with every class in training"
            )
        if len(classes) < 2:
            raise InputError(f"{spec}: {column} is {classes[0]!r} for all images; a label must tell them apart")
        labels = Labels(column, classes)
        return labels, labels.encode(words)
    known = np.array(found, np.float64)
    seen = known[list(train)]
    if not seen.std() > 0:
        raise InputError(f"{spec}: {column} is {seen[0]:g} for all training images; a label must tell them apart")
    statistics = {"low": seen.min(), "high": seen.max(), "mean": seen.mean(), "std": seen.std()}
    facts: dict[str, Any] = {k: float(v) for k, v in statistics.items()}
    if not bins:
        labels = Labels(column, **facts)
        return labels, labels.encode(known.tolist())
    if bins < 2:
        raise InputError(f"bins={bins}: make at least 2 classes, or 0 for a continuous label")
    edges = np.quantile(seen, np.arange(1, bins) / bins)
    counts = np.bincount(np.searchsorted(edges, seen, side="right"), minlength=bins)
    if not counts.all():
        raise InputError(f"{spec}: {column} has too few different values for {bins} bins; use fewer, or 0")
    text = [f"{edge:.4g}" for edge in edges]
    between = [f"{a} to {b}" for a, b in pairwise(text)]
    labels = Labels(column, (f"below {text[0]}", *between, f"from {text[-1]}"), tuple(edges.tolist()), **facts)
    return labels, labels.encode(known.tolist())


# ---------------------------------------------------------------------------------------------- where values come from


def read_column(spec: str, slices: Slices, column: str, use: Sequence[int]) -> list[str | float]:
    """Values of a column for the slices `use`.

    Parameters
    ----------
    spec : str
        What was opened: its folder tells where to look.
    slices : Slices
    column : str
        A column of ``labels.csv`` or ``properties.csv`` (in the folder, its ``train/`` and ``test/`` or its parent; the
        column ``name`` or ``file_name`` says which image a row is of), ``TABLE.csv:COLUMN``, or ``folder``.
    use : sequence of int

    Raises
    ------
    InputError
        If there is no such column, an image has no value, or rows contradict each other.
    """
    names = [slices.names[i] for i in use]
    if column == FOLDER:
        parents = [Path(without_side(name)).parent.name for name in names]
        if "" in parents:
            name = names[parents.index("")]
            raise InputError(f"{spec}: {name} lies in no subfolder; sort the images into one folder a class")
        return list(parents)
    if slices.properties is not None:
        known = slices.properties()
        if column not in known[0]:
            raise InputError(f"{spec}: has no property {column!r}; it has {', '.join(known[0])}")
        return [known[i][column] for i in use]
    named, _, column = column.rpartition(":")
    if named:
        tables = [(Path(named), "")]
    else:
        tables = [(p / t, prefix) for p, prefix in places_of(spec) for t in TABLES if (p / t).exists()]
    told: dict[str, list[tuple[int, Path, str]]] = {}  # how far from the images, where, value
    others: dict[str, None] = {}
    folders = list(dict.fromkeys(path.parent for path, _ in tables))
    for path, prefix in tables:
        images, rows = read_table(path)
        if column in rows[0]:
            for image, row in zip(images, rows, strict=True):
                if row[column]:
                    told.setdefault(key_of(image, prefix), []).append((folders.index(path.parent), path, row[column]))
        others |= dict.fromkeys(rows[0])
    if not told:
        what = f"its tables have {', '.join(others)}" if others else f"there is no {' or '.join(TABLES)}"
        raise InputError(f"{spec}: has no label {column!r}, {what}; write one with the columns name,{column}")
    found = rows_of(spec, names, list(told))
    return [
        _value(spec, name, column, [each for key in keys for each in told[key]])
        for name, keys in zip(names, found, strict=True)
    ]


def _value(spec: str, name: str, column: str, told: Sequence[tuple[int, Path, str]]) -> str:
    """The one value that the tables nearest to the images tell of an image."""
    if not told:
        raise InputError(f"{spec}: {name} has no value of {column}; add its row to the table or take the image out")
    nearest = min(told)[0]
    first, *rest = [(path, value) for far, path, value in told if far == nearest]
    for path, value in rest:
        if value != first[1] and not _equal(value, first[1]):
            where = f"{path}" if path == first[0] else f"{first[0]} and {path}"
            raise InputError(
                f"{spec}: {column} of {name} is {shown(first[1])} and {shown(value)} in {where}; leave the row that is right"
            )
    return first[1]


def _equal(a: str, b: str) -> bool:
    try:
        one, other = numbers([a]), numbers([b])
    except InputError:
        return False
    return one == other != [None]
