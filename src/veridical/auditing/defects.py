"""The table of defects: what an audit looks for. One defect is one row; verdict, tests, explanation, power and page read it.

A new defect is its functions (a score in `image_scores` and a planting in `plant`, or those of `set_scores` and `plant_sets`)
and a row here; if it needs a measurement that is not there yet, also a line in `measure` and its words in `evidence`. The
order of the rows is the order in which defects are listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from veridical.auditing import certain, edited, image_scores, plant_sets, set_scores
from veridical.auditing import plant as planted
from veridical.auditing.case import Case
from veridical.auditing.measure import COLOUR, PROPERTIES, SHADING, SHAPES, SPECTRUM, TONE, Measured
from veridical.auditing.set_scores import Sets

Thing = TypeVar("Thing", np.ndarray, Sets)
Values = dict[str, np.ndarray]
Kind = Literal["structure", "variety", "texture", "tone", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # from what matters most to people who study the images
Drawn = Callable[[np.ndarray, np.ndarray, float, int], tuple[np.ndarray, np.ndarray]]


class Plant(NamedTuple, Generic[Thing]):
    """How a defect is planted: a function of (images or sets, severity, rng), severities that grow, what they are of."""

    function: Callable[[Thing, float, np.random.Generator], Thing]
    severities: tuple[float, ...]
    unit: str


class Score(NamedTuple):
    """A function of a case, (N,), high is suspicious; and what it must exceed the usual ones by to count at all."""

    function: Callable[[Case], np.ndarray]
    scale: float


class Certain(NamedTuple):
    """A rule of `certain`, the rank in which such defects are told, and what images are (default: that of the defect)."""

    function: Callable[[np.ndarray, Measured, np.ndarray], np.ndarray]
    rank: int
    words: str = ""


class Mean(NamedTuple):
    """A set is suspicious if what the function says of its images, (N, 1), is higher on average; `units` gives what is quoted."""

    function: Callable[[Measured], np.ndarray]
    units: Callable[[float], float]


class Shift(NamedTuple):
    """A set is suspicious if any of what the function says of its images, (N, D), differs on average.

    A single image counts no more than `most` robust standard deviations: few where some images are far off without a defect.
    """

    function: Callable[[Measured], np.ndarray]
    most: float = 10.0


class Spacing(NamedTuple):
    """A set is suspicious if the function of distances (T, T), and of which images are synthetic, is high.

    `units` gives what is quoted.
    """

    function: Callable[[np.ndarray, np.ndarray], float]
    units: Callable[[float], float]


@dataclass(frozen=True)
class Defect:
    """One row.

    Attributes
    ----------
    level : "image" or "set"
    what : a sentence for people
    kind : what of the images is wrong; of reasons that explain equally well, those of the first of `KINDS` are told first
    title : a few words for headings; `low` and `high` instead where the quoted value is too low or too high
    curve : what shows it on the page (see `curves`), beside the distribution of the quoted value
    values : measurements that show it (`evidence.WORDS`); the explanation quotes the one that is farthest off. Those of a `Shift`
        are the columns of its function; those of `Mean` and `Spacing` are one, what their `units` are of
    score : how suspicious an image is of it; the mean over a set is tested, too, if no row of sets is a share of such images
    test : how suspicious a set is of it
    plant : how it is planted in images (N, C, H, W) in [0, 1]; the explanation and the power of the audit come from these
    alter : how it is planted in the measurements of sets that passed (power), or of the images that the explanation plants it in
    drawn : for the explanation, which real images a small set with it is made of (see `plant_sets`), at severities of `alter`
    share_of : the image-level defect that a share of such a set has
    certain : the rule by which no real image can have it
    pair : what is wrong with edited images beside their sources, and the real ones, each (N, C, H, W)
    sure : of values of what is judged and of real images, whether it is named before all others if it is significant
    named : False if it says that something is wrong, but not what
    needs : what it takes to plant or test it: "grey" images, or "copies" that were searched for
    """

    level: Literal["image", "set"]
    what: str
    kind: Kind
    values: tuple[str, ...] = ()
    score: Score | None = None
    test: Mean | Shift | Spacing | None = None
    plant: Plant[np.ndarray] | None = None
    alter: Plant[Sets] | None = None
    drawn: Drawn | None = None
    share_of: str | None = None
    certain: Certain | None = None
    pair: Callable[[np.ndarray, np.ndarray, np.ndarray], list[edited.Told | None]] | None = None
    sure: Callable[[Values, Values], bool] | None = None
    named: bool = True
    needs: Literal["", "grey", "copies"] = ""
    title: str = ""
    low: str = ""
    high: str = ""
    curve: Literal["", "spectrum", "grey_levels", "two_point"] = ""


def always(mine: Values, usual: Values) -> bool:
    """Nothing else brings the defect about."""
    return True


DEFECTS: dict[str, Defect] = {
    "blank": Defect(
        "image", "there is almost nothing to see", "structure", ("contrast",), Score(image_scores.blank, 0.1),
        plant=Plant(planted.blank, (0.8, 0.9, 0.99), "of the contrast lost"),
        certain=Certain(certain.constant, 1), sure=always,
        title="almost nothing to see", curve="grey_levels",
    ),
    "saturated": Defect(
        "image", "too many pixels are black or white", "tone", ("saturated",), Score(image_scores.saturated, 0.01),
        plant=Plant(planted.saturated, (0.05, 0.15, 0.3), "of the pixels black or white"),
        title="too much black or white", curve="grey_levels",
    ),
    "colour_in_grey": Defect(
        "image", "there is colour, and real images have none", "tone", ("colour",), Score(image_scores.colour_in_grey, 1.0),
        plant=Plant(planted.colour_in_grey, (0.001, 0.005, 0.02), "of the area in coloured specks"),
        certain=Certain(certain.coloured, 0), needs="grey",
        title="colour in grey images",
    ),
    "copied": Defect(
        "image", "it is a training image, perhaps turned, shifted or changed in grey level", "variety", ("copy",),
        Score(image_scores.copied, 1.0),
        alter=Plant(plant_sets.copied, (plant_sets.COPY,), "as distance to the nearest training crop"),
        certain=Certain(certain.a_file, 2, "are, pixel by pixel, files of the real or training images"), sure=always,
        needs="copies",
        title="copies of training images",
    ),
    "checkerboard": Defect(
        "image", "a pattern repeats every two or four pixels, as upsampling leaves it", "texture", ("checkerboard",),
        Score(image_scores.checkerboard, 1.0),
        plant=Plant(planted.checkerboard, (0.5, 1.0, 2.0), "times the noise as amplitude"),
        title="pattern of upsampling", curve="spectrum",
    ),
    "periodic": Defect(
        "image", "opposite borders continue each other, as if the image wrapped around", "structure", ("log_seam",),
        Score(image_scores.periodic, 1.0),
        plant=Plant(planted.periodic, (0.6, 0.8, 1.0), "of the jump between opposite borders removed"),
        title="wraps around at the borders",
    ),
    "stylised": Defect(
        "image", "surfaces are smooth between sharp edges, as if drawn", "texture", ("log_noise_0", "log_tails", "flat"),
        Score(image_scores.stylised, 1.0),
        plant=Plant(planted.stylised, (0.3, 0.7, 1.5), "of the contrast as weight of total variation"),
        title="looks drawn", curve="spectrum",
    ),
    "blur": Defect(
        "image", "fine detail is missing and edges are soft", "texture", ("log_noise_0", "log_sharpness"),
        Score(image_scores.blur, 1.0),
        plant=Plant(planted.blur, (0.5, 1.0, 2.0), "px of Gaussian blur"),
        title="blurred", curve="spectrum",
    ),
    "noise_mismatch": Defect(
        "image", "the noise is not that of real images", "tone", ("log_noise_0",), Score(image_scores.noise_mismatch, 1.0),
        plant=Plant(planted.noise_mismatch, (1.25, 2.0, 3.0), "times the noise"),
        title="noise unlike that of real images", low="noise too weak", high="noise too strong", curve="spectrum",
    ),
    "foreign_patch": Defect(
        "image", "one place looks like nothing in the real images", "structure", ("strangest_place",),
        Score(image_scores.foreign_patch, 1.0),
        plant=Plant(planted.foreign_patch, (0.15, 0.3, 0.5), "of the width as diameter"),
        title="a place like nothing real",
    ),
    "palette_shift": Defect(
        "image", "grey levels or colours are not those of real images", "tone", (*TONE, *COLOUR),
        Score(image_scores.palette_shift, 0.5),
        plant=Plant(planted.palette_shift, (0.2, 0.4, 0.6), "of the contrast to middle grey lost"),
        title="grey levels or colours shifted", curve="grey_levels",
    ),
    "implausible_structure": Defect(
        "image", "shapes, sizes or texture are not those of real images", "structure", (*SHAPES, *PROPERTIES, "strangeness"),
        Score(image_scores.implausible_structure, 0.5),
        plant=Plant(planted.implausible_structure, (1.0, 2.0, 4.0), "px of tearing"),
        title="implausible shapes or texture", curve="two_point",
    ),
    "out_of_domain": Defect(
        "image", "as a whole it looks like none of the real images", "structure", ("strangeness",),
        Score(image_scores.out_of_domain, 1.0),
        plant=Plant(planted.out_of_domain, (0.4, 0.7, 1.0), "of a photograph mixed in"),
        title="like none of the real images",
    ),
    "unlikely": Defect(
        "image", "measurements do not go together as they do in real images", "unknown", (*TONE, *SPECTRUM, *PROPERTIES, *SHAPES),
        Score(image_scores.unlikely, 0.5), named=False,
        title="measurements that do not go together",
    ),
    "unchanged": Defect(
        "image", "the edit did nothing: it is its own source", "structure", pair=edited.unchanged,
        title="the edit did nothing",
    ),
    "structure_lost": Defect(
        "image", "the structure of its source is gone", "structure", pair=edited.structure_lost,
        title="structure of the source lost",
    ),
    "mode_collapse": Defect(
        "set", "images are too much like each other", "variety", ("nearest_fellow",),
        test=Spacing(set_scores.collapse, set_scores.as_distance),
        plant=Plant(planted.mode_collapse, (0.3, 0.6, 1.0), "of the images copies of three"),
        alter=Plant(plant_sets.mode_collapse, (0.3, 0.6, 1.0), "of the images copies of three"),
        drawn=plant_sets.few_originals, sure=set_scores.crowded,
        title="images too much alike",
    ),
    "memorised": Defect(
        "set", "images are nearer to the training images than held-out real ones are", "variety", ("copy",),
        test=Mean(set_scores.nearness_to_training, set_scores.as_copy_distance),
        alter=Plant(plant_sets.memorised, (0.1, 0.3, 0.6), "of the images copies of training images"),
        share_of="copied", needs="copies",
        title="too near to training images",
    ),
    "low_coverage": Defect(
        "set", "whole kinds of real images have no synthetic image near them", "variety", ("uncovered",),
        test=Spacing(set_scores.uncovered, set_scores.as_ratio),
        alter=Plant(plant_sets.low_coverage, (0.6, 0.4, 0.2), "of the kinds of images left"),
        drawn=plant_sets.few_kinds,
        title="whole kinds of images missing",
    ),
    "property_shift": Defect(
        "set", "material properties differ", "structure", (*PROPERTIES, *SHAPES), test=Shift(set_scores.properties),
        plant=Plant(planted.property_shift, (1.1, 1.25, 1.5), "times the magnification"),
        alter=Plant(plant_sets.property_shift, (0.25, 0.5, 1.0), "× the spread between real images, added to every property"),
        title="material properties shifted", curve="two_point",
    ),
    "shading": Defect(
        "set", "brightness changes slowly across the images, in the same way in most of them", "tone", SHADING,
        test=Shift(set_scores.shading, 2.0),
        plant=Plant(planted.shading, (0.02, 0.04, 0.08), "of the brightness lost at the corners"),
        alter=Plant(plant_sets.shading, (0.01, 0.02, 0.04), "of the range of grey levels lost at the corners"),
        title="shading across the images",
    ),
    "spectrum_shift": Defect(
        "set", "the power spectrum differs", "texture", SPECTRUM, test=Shift(set_scores.power_spectrum),
        plant=Plant(planted.spectrum_shift, (0.1, 0.25, 0.5), "as exponent of the filter"),
        alter=Plant(plant_sets.spectrum_shift, (0.25, 0.5, 1.0), "× the spread between real images, added to every frequency"),
        title="power spectrum shifted", curve="spectrum",
    ),
}  # fmt: skip


def title_of(name: str) -> str:
    """A defect in a few words."""
    return DEFECTS[name].title or name.replace("_", " ")


def scores() -> dict[str, Score]:
    """The score of each defect of single images that has one."""
    return {name: row.score for name, row in DEFECTS.items() if row.score is not None}


def plants(channels: int = 1) -> dict[str, Plant[np.ndarray]]:
    """How each defect is planted in images of so many channels, if it can be."""
    return {
        name: row.plant
        for name, row in DEFECTS.items()
        if row.plant is not None and (row.needs != "grey" or channels == 1)
    }


def plant(defect: str, images: np.ndarray, severity: float, seed: int = 0) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] with a defect of `plants`; colour is kept or made, values are clipped to [0, 1]."""
    rng = np.random.default_rng(seed)
    made = plants()[defect].function(np.asarray(images, np.float64), severity, rng)
    return np.clip(made, 0, 1).astype(np.float32)
