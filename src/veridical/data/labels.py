"""Labels of images: a column of a table or the name of a folder -> class numbers or standardised values, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.rows import bases_of, places_of, row_of
from veridical.data.slices import Slices
from veridical.data.tables import read_table, stem

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
        number = _number(value)
        if self.mean is None or self.std is None:
            raise InputError(f"{self.column}: there is no class {value!r}; use one of {', '.join(self.classes or ())}")
        if number is None:
            known = f" or one of {', '.join(self.classes)}" if self.classes else ""
            raise InputError(f"{self.column}: {value!r} is not a number; give one{known}")
        if self.edges is not None:
            return int(np.searchsorted(self.edges, number, side="right"))
        return (number - self.mean) / self.std

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
        If there is nothing to tell apart, or a held-out image has a class that no training image has.
    """
    column = column.rpartition(":")[2]
    numbers = [_number(v) for v in values] if column != FOLDER else [None] * len(values)
    if any(number is None for number in numbers):
        if bins:
            odd = next(k for k, number in enumerate(numbers) if number is None)
            raise InputError(f"{spec}: {column} of {names[odd]} is {values[odd]!r}, no number to bin; use bins=0")
        words = [str(v) for v in values]
        classes = tuple(sorted({words[k] for k in train}))
        strange = next((k for k, word in enumerate(words) if word not in classes), None)
        if strange is not None:
            raise InputError(
                f"{spec}: {column} of {names[strange]} is {words[strange]!r}, which no training image has; take the "
                "image out or give a split with every class in training"
            )
        if len(classes) < 2:
            raise InputError(f"{spec}: {column} is {classes[0]!r} for all images; a label must tell them apart")
        labels = Labels(column, classes)
        return labels, labels.encode(words)
    known = np.array(numbers, np.float64)
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


def _number(value: str | float) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# ---------------------------------------------------------------------------------------------- where values come from


def read_column(spec: str, slices: Slices, column: str, use: Sequence[int]) -> list[str | float]:
    """Values of a column for the slices `use`.

    Parameters
    ----------
    spec : str
        What was opened: its folder tells where to look.
    slices : Slices
    column : str
        A column of ``labels.csv`` or ``properties.csv`` (in the folder, its parent or its ``train/`` and ``test/``; the
        column ``name`` or ``file_name`` says which image a row is of), ``TABLE.csv:COLUMN``, or ``folder``.
    use : sequence of int

    Raises
    ------
    InputError
        If there is no such column, or an image has no value.
    """
    names = [slices.names[i] for i in use]
    if column == FOLDER:
        parents = [Path(name.removeprefix("train/").removeprefix("test/")).parent.name for name in names]
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
        tables = [(p / t, prefix) for p, prefix in places_of(spec) for t in TABLES if (p / t).is_file()]
    found: dict[str, str] = {}
    others: dict[str, None] = {}
    for path, prefix in tables:
        images, rows = read_table(path)
        if column in rows[0]:
            for image, row in zip(images, rows, strict=True):
                found.setdefault(prefix + stem(image), row[column])
        others |= dict.fromkeys(rows[0])
    if not found:
        what = f"its tables have {', '.join(others)}" if others else f"there is no {' or '.join(TABLES)}"
        raise InputError(f"{spec}: has no label {column!r}, {what}; write one with the columns name,{column}")
    bases = bases_of(names)
    return [_value(spec, name, column, found, bases) for name in names]


def _value(spec: str, name: str, column: str, found: dict[str, str], bases: Mapping[str, int]) -> str:
    key = row_of(spec, name, bases, lambda key: bool(found.get(key)))
    if key is None:
        raise InputError(f"{spec}: {name} has no value of {column}; add its row to the table or take the image out")
    return found[key]
