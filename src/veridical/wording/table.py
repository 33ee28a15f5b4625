"""How each property is said: one row a property, several paraphrases each.

Where a number stands, it belongs to the word before it, or after it where it begins a clause (see
`veridical.conditions.vocabulary`). So that a word's number means one thing, each row has words of its own for its numbers,
one for each unit: "fraction" of fibres is a number in 0 to 1, "loading" is the same in percent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

Range = tuple[float | None, float | None]
"""From (included) to (excluded); None is no bound."""


@dataclass(frozen=True)
class Number:
    """Phrases of a number in one unit.

    Attributes
    ----------
    phrases : with ``{}`` where the number stands; none begins with it.
    decimals : that are said; None is four digits, wherever the point is.
    scale : what is said over the property's value, 100 for percent.
    """

    phrases: tuple[str, ...]
    decimals: int | None = 2
    scale: float = 1.0


@dataclass(frozen=True)
class Row:
    """How one property is said.

    Attributes
    ----------
    numbers : its units, the first of which is said in a complete sentence.
    count : what is counted, as one and as many of it.
    words : ranges of the property, and phrases that say so.
    absent : phrases that say that the property is 0.
    present : phrases that say that it is at least `seen`.
    seen : least value above 0 that an eye notices; what lies between is said as a number or not at all.
    places : phrases with ``{}`` for a place such as "in the upper left".
    """

    numbers: tuple[Number, ...] = ()
    count: tuple[str, str] | None = None
    words: tuple[tuple[Range, tuple[str, ...]], ...] = ()
    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    seen: float = 0.0
    places: tuple[str, ...] = ()


def _percent(*phrases: str, decimals: int = 0) -> Number:
    return Number(tuple(f"{phrase} percent" for phrase in phrases), decimals, 100.0)


def _pixels(*phrases: str, decimals: int = 1) -> Number:
    return Number(tuple(f"{phrase} px" for phrase in phrases), decimals)


ROWS: dict[str, Row] = {
    # ceramic-matrix composites
    "fibre_volume_fraction": Row(
        (
            Number(("fibre volume fraction {}", "a fibre fraction of {}", "a volume fraction of {}")),
            _percent("a fibre loading of {}", "fibre loading {}"),
        ),
        words=(
            ((0.0, 0.35), ("sparse fibres", "fibres far apart")),
            ((0.35, 0.5), ("loosely packed fibres", "a loose fibre packing")),
            ((0.5, 0.57), ("fibres of medium density", "a medium fibre packing")),
            ((0.57, None), ("densely packed fibres", "dense fibres", "a dense fibre packing")),
        ),
    ),
    "n_fibres": Row(count=("fibre", "fibres")),
    "mean_diameter_px": Row(
        (_pixels("mean fibre diameter {}", "fibres of mean diameter {}", "a fibre diameter of {}"),),
        words=(
            ((0.0, 9.0), ("very thin fibres",)),
            ((9.0, 11.0), ("thin fibres", "slender fibres")),
            ((11.0, 13.0), ("fibres of medium thickness",)),
            ((13.0, None), ("thick fibres", "large fibres")),
        ),
    ),
    "binder_fraction": Row(
        (_percent("binder share {}", "a binder share of {}"),),
        absent=("no binder", "without binder", "no binder region"),
        present=("a binder region", "binder beside the fibres"),
        seen=0.01,
    ),
    "binder_place": Row(places=("a curved binder border {}", "binder {}")),
    "n_cracks": Row(
        count=("crack", "cracks"),
        absent=("no cracks", "without cracks", "uncracked"),
        present=("cracked", "damaged by cracking"),
        seen=1,
    ),
    "crack_fraction": Row(
        (_percent("crack extent {}", "a crack extent of {}"),),
        absent=("no cracks", "without cracks", "uncracked"),
        present=("cracked", "damaged by cracking"),
        seen=0.01,
    ),
    # rocks and sediment
    "porosity": Row(
        (Number(("porosity {}", "a porosity of {}")), _percent("a pore volume of {}", "pore volume {}")),
        words=(
            ((0.0, 0.15), ("hardly any pores", "very low porosity")),
            ((0.15, 0.3), ("low porosity", "tightly packed grains")),
            ((0.3, 0.42), ("moderate porosity", "a medium packing of grains")),
            ((0.42, None), ("high porosity", "loosely packed grains")),
        ),
    ),
    "n_grains": Row(count=("grain", "grains")),
    "mean_grain_diameter_px": Row(
        (_pixels("mean grain diameter {}", "grains of mean diameter {}", "a grain diameter of {}", decimals=0),),
        words=(
            ((0.0, 16.0), ("fine grains", "small grains")),
            ((16.0, 26.0), ("medium grains", "grains of medium size")),
            ((26.0, None), ("coarse grains", "large grains")),
        ),
    ),
    "mineral_fraction": Row(
        (_percent("mineral content {}", "a mineral content of {}", decimals=1),),
        words=(
            ((0.002, 0.015), ("few bright minerals", "a few bright specks of mineral")),
            ((0.015, None), ("many bright minerals", "plenty of bright mineral")),
        ),
        absent=("no bright minerals", "without bright minerals", "no dense mineral"),
        present=("bright minerals", "dense mineral"),
        seen=0.002,
    ),
    "outside_fraction": Row(
        (_percent("outside area {}", "an outside area of {}"),),
        absent=("no tube wall", "entirely inside the tube"),
        present=("the tube wall in view", "part of the tube wall"),
        seen=0.01,
    ),
    "tube_place": Row(places=("the wall of the tube {}", "the rim of the tube {}")),
    # roots
    "total_length_px": Row((_pixels("total root length {}", "a root length of {}", "root length {}", decimals=0),)),
    "n_main": Row(count=("main root", "main roots")),
    "n_laterals": Row(
        count=("lateral", "laterals"),
        words=(((2, 4), ("few laterals",)), ((8, None), ("many laterals", "profuse laterals"))),
        absent=("no laterals", "without laterals"),
        present=("lateral growth", "lateral roots in view"),
        seen=1,
    ),
    "n_tips": Row(count=("tip", "tips"), absent=("no root tips", "without root tips")),
    "mean_width_px": Row(
        (_pixels("mean root width {}", "a root width of {}"),),
        words=(((0.0, 2.8), ("thin roots", "slender roots")), ((3.6, None), ("thick roots", "stout roots"))),
    ),
    "root_area_fraction": Row(
        (_percent("root cover {}", "a root cover of {}", decimals=1),),
        words=(((0.0, 0.03), ("sparse roots",)), ((0.07, None), ("dense roots", "a dense root cover"))),
    ),
    # images without label images, see `veridical.captioning`
    "mean_grey_level": Row(
        (Number(("mean grey level {}", "a grey level of {}")),),
        words=(((0.0, 0.35), ("a dark image",)), ((0.65, None), ("a bright image",))),
    ),
    "contrast": Row(
        (Number(("contrast {}", "a contrast of {}")),),
        words=(((0.0, 0.08), ("low contrast",)), ((0.2, None), ("high contrast",))),
    ),
    "correlation_length_px": Row(
        (_pixels("correlation-length {}", "a correlation-length of {}"),),
        words=(((0.0, 2.0), ("a fine texture",)), ((6.0, None), ("a coarse texture",))),
    ),
    "alignment": Row(
        (Number(("alignment {}", "an alignment of {}")),),
        words=(((0.0, 0.1), ("no preferred direction",)), ((0.4, None), ("lines in one direction",))),
    ),
}


def row_of(name: str) -> Row:
    """The row of a property.

    Names that `ROWS` lacks are read by their form, which is how named classes of real images are said:
    ``CLASS_area_fraction``, ``n_CLASSES``, ``mean_CLASS_diameter_px``, ``CLASS_place``; any other name is said as it is
    before its number. A class name of several words, with underscores, becomes one word with hyphens.
    """
    if name in ROWS:
        return ROWS[name]
    if match := re.fullmatch(r"(.+)_area_fraction", name):
        return _area(_word(match[1]))
    if match := re.fullmatch(r"n_(.+)", name):
        many = _word(match[1])
        return Row(count=(singular(many), many), absent=(f"no {many}", f"without {many}"))
    if match := re.fullmatch(r"mean_(.+)_diameter_px", name):
        word = _word(match[1])
        return Row((_pixels(f"mean {word}-diameter {{}}", f"a {word}-diameter of {{}}"),))
    if match := re.fullmatch(r"(.+)_place", name):
        return Row(places=(f"{_word(match[1])} {{}}",))
    return Row((Number((f"{_word(name)} {{}}",), decimals=None),))


def _area(word: str) -> Row:
    one = singular(word)  # not the plural, whose numbers are counts
    return Row(
        (Number((f"{one}-fraction {{}}", f"a {one}-fraction of {{}}"), 3),),
        words=(
            ((0.001, 0.02), (f"hardly any {word}", f"traces of {word}")),
            ((0.02, 0.1), (f"a small share of {word}",)),
            ((0.1, 0.3), (f"a fair share of {word}",)),
            ((0.3, 0.5), (f"a large share of {word}",)),
            ((0.5, None), (f"mostly {word}",)),
        ),
        absent=(f"no {word}", f"without {word}"),
    )


def said_as(name: str, value: str) -> str:
    """What a column of words says: the name of the column, then the word."""
    return f"{_word(name)} {' '.join(value.split())}"


def _word(name: str) -> str:
    return re.sub(r"[\W_]+", "-", name).strip("-")


def singular(many: str) -> str:
    """One of many: "pores" to "pore", "cavities" to "cavity"; a word without s stays."""
    if many.endswith("ies"):
        return many[:-3] + "y"
    return many[:-1] if many.endswith("s") and not many.endswith("ss") else many


NO_NOUNS = ("without", "cracked", "uncracked", "damaged", "entirely")
"""First words of the phrases that "and" cannot join to a noun."""

NUMERALS: Sequence[str] = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
