"""What a row of the table of conditions says, and what its functions take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.settings import check, setting
from veridical.data.dataset import Dataset

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class TileSettings:
    """Which tiles of the data are learned from; the settings of every condition stand beside these."""

    size: int = setting(64, "Side of the square training tiles, in pixels.", low=8)
    augment: str = setting(
        "auto",
        "Turns and flips: dihedral, flip (left-right), none; auto: dihedral for grey, flip for RGB.",
        choices=("auto", "dihedral", "flip", "none"),
    )
    scale: float = setting(1.0, "Resize images by this factor before cutting tiles.", low=1e-3)
    split: str = setting(
        "", "CSV file with the columns name, split (train or test); empty: what the data bring, else blocks."
    )
    hold_out: int = setting(
        0,
        "Hold out so many images, or slices of a stack, where the data bring no split of their own; 0: a fifth.",
        low=0,
    )
    limit: int = setting(0, "Train on so many tiles only, spread evenly over the training images; 0: all.", low=0)
    validation: float | None = setting(
        None,
        "Share of the training images that previews are scored against and that are not trained on; 0: none. By default a tenth, "
        "where that is 40 tiles or more.",
        low=0,
        high=0.5,
    )
    focus: float = setting(
        1.0,
        "Draw training tiles of much contrast up to so many times as often as empty ones, where most are empty; 1: all alike. "
        "Scores undo it.",
        low=1,
        high=100,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Drawn:
    """The tiles `start` to `stop` of the `n` of a training batch; tile k depends on (seed, step, k) only."""

    n: int
    step: int
    seed: int
    start: int
    stop: int | None
    places: np.ndarray
    turns: np.ndarray


@dataclass(frozen=True)
class Supply:
    """A condition of data that are open.

    Attributes
    ----------
    batch : callable
        ``batch(drawn)`` gives its arrays, a row for each tile of `Drawn`.
    tiles : callable
        ``tiles(which, n)`` gives its arrays for the tiles that ``Dataset.tiles(which, n)`` gives.
    sizes : dict
        Values of the network arguments that `Condition.sizes` names.
    about : dict
        What ``run.json`` says beside the data set; with a ``fingerprint``, resuming asks for the same ``spec``.
    files : dict
        What sampling needs of it in the run folder: name to content.
    """

    batch: Callable[[Drawn], Arrays]
    tiles: Callable[[str, int | None], Arrays]
    sizes: dict[str, int] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A run that somebody wants `n` images of.

    Attributes
    ----------
    run : mapping
        What ``run.json`` says.
    folder : Path
        Where it stands.
    settings : DataSettings
        Of the data that the run was trained on.
    n : int
    shrink : int
        How many times smaller than an image the source is that a user gives.
    extrapolate : bool
        Whether values outside those of the training images are meant.
    shape : (int, int), optional
        Height and width of images that are larger than tiles.
    """

    run: Mapping[str, Any]
    folder: Path
    settings: Any
    n: int
    shrink: int = 1
    extrapolate: bool = False
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class Answer:
    """Conditions that a user asked for, to be taken in turn.

    Attributes
    ----------
    arrays : dict
        A row an image.
    what : str
        What `words` are called in ``provenance.json``.
    words : sequence
        The condition of each row.
    masks : ndarray of int, shape (N, H, W), or None
        The label image of each row in the values of the data, where the condition is or has one.
    notes : tuple of str
        What the user should know.
    beside : dict
        What else ``provenance.json`` says of each row: name to words, in turn, too.
    """

    arrays: Arrays
    what: str
    words: Sequence[Any]
    masks: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    beside: dict[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Option:
    """How a user says what samples are to be: a flag of ``veridical sample`` and an argument of `sample`.

    `several` options are repeatable and what each image was given is in its provenance; others name one place.
    """

    name: str
    text: str
    metavar: str | None = None
    several: bool = False

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"


def _as_they_are(arrays: Arrays) -> Arrays:
    return arrays


def _nowhere(given: Mapping[str, Any], find: Callable[[str], str]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes
    ----------
    name : str
        What recipes say in `needs`.
    setting : str
        The field of `DataSettings` that asks for it; "" where the need of a recipe is enough.
    options : tuple of Option
        What a user may say when sampling.
    keywords : callable
        ``keywords(recipe, settings)`` gives what it asks of `open_dataset`; an `InputError` names a setting that is missing.
    supply : callable
        ``supply(spec, target, settings)``: from the open data set to arrays, see `Supply`.
    ask : callable
        ``ask(request, *given)``: from what the user gave for each option (None or empty: nothing) to arrays and words, see
        `Answer`.
    present : callable
        From arrays to what a model gets of them.
    located : callable
        ``located(given, find)``: those of the settings in `given` that name files, each path found by ``find(path)``.
    arrays : tuple of str
        Names of its arrays; by default its own.
    asked : tuple of str
        Names of further arrays that samples may have, and training never: negative ones.
    sizes : dict
        Network arguments that it decides, and how a user can change them.
    paired : bool
        Whether its rows belong to tiles of the target.
    maps : bool
        Whether its arrays are maps, as high and wide as the images.
    kept : (str, str), optional
        Part and entry of ``run.json`` without which nobody can ask for it.
    """

    name: str
    setting: str
    options: tuple[Option, ...]
    keywords: Callable[[str, Any], dict[str, Any]]
    supply: Callable[[str, Dataset, Any], Supply]
    ask: Callable[..., Answer]
    present: Callable[[Arrays], Arrays] = _as_they_are
    located: Callable[[Mapping[str, Any], Callable[[str], str]], dict[str, Any]] = _nowhere
    arrays: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    sizes: dict[str, str] = field(default_factory=dict)
    paired: bool = True
    maps: bool = False
    kept: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.arrays:
            object.__setattr__(self, "arrays", (self.name,))
