"""Properties -> a sentence that says some of them, and what it says as facts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from veridical.wording.place import PLACES
from veridical.wording.table import NO_NOUNS, NUMERALS, Range, row_of, said_as

Value = float | int | bool | str | Range


@dataclass(frozen=True)
class Fact:
    """What a sentence says of one property.

    Attributes
    ----------
    property : its name, as in the table of properties.
    value : in the property's own unit, rounded as it is said; of a "word" the range (from, to) that it stands for, of
        "presence" True or False, of a "place" its name.
    how : "number", "word", "count", "presence" or "place".
    said : the very words in the sentence.
    """

    property: str
    value: Value
    how: str
    said: str


def ways(name: str, value: float | str) -> list[Fact]:
    """All true facts that can be said of a property, the fullest first: as number or count, as word, presence, place.

    Raises
    ------
    ValueError : a place that is none of `PLACES`.
    """
    row = row_of(name)
    if isinstance(value, str) and not row.places:
        return [Fact(name, value, "word", said_as(name, value))]
    if isinstance(value, str):
        if value not in PLACES:
            raise ValueError(f"{name}={value!r} is no place: give one of {', '.join(PLACES)}")
        return [Fact(name, value, "place", phrase.format(PLACES[value])) for phrase in row.places]
    if not np.isfinite(value):
        return []
    found = []
    for number in row.numbers:
        text = f"{value * number.scale:{'.4g' if number.decimals is None else f'.{number.decimals}f'}}"
        text = text.removeprefix("-") if float(text) == 0 else text
        as_said = round(float(text) / number.scale, 12)
        found += [Fact(name, as_said, "number", phrase.format(text)) for phrase in number.phrases]
    if row.count:
        found += [Fact(name, int(value), "count", said) for said in _counts(int(value), *row.count)]
    for (low, high), phrases in row.words:
        if (low is None or value >= low) and (high is None or value < high):
            found += [Fact(name, (low, high), "word", phrase) for phrase in phrases]
    if value == 0:
        found += [Fact(name, False, "presence", phrase) for phrase in row.absent]
    elif value >= row.seen:
        found += [Fact(name, True, "presence", phrase) for phrase in row.present]
    return found


def _counts(count: int, one: str, many: str) -> Iterator[str]:
    """In digits, then in words. The number 1 stands behind the plural: numbers of one thing belong to one word."""
    if count != 1:
        yield f"{count} {many}"
    if " " not in many:
        yield f"number of {many} {count}"
    elif count == 1:
        yield f"1 {one}"
    if count < len(NUMERALS):
        yield f"{NUMERALS[count]} {one if count == 1 else many}"


def state(subject: str, properties: Mapping[str, float | str]) -> tuple[str, list[Fact]]:
    """The complete sentence: all properties, as numbers where they have one.

    Parameters
    ----------
    subject : what the image is, without an article: "X-ray microCT slice of sediment grains".
    properties : numbers by the name of the property, see `veridical.wording.table`, and places by ``CLASS_place``.

    Returns
    -------
    The sentence, and its facts in the order in which they are said.
    """
    facts = [found[0] for name, value in properties.items() if (found := ways(name, value))]
    return _sentence(subject, facts, ""), facts


def describe(
    subject: str, properties: Mapping[str, float | str], rng: np.random.Generator, leave_out: float = 0.3
) -> tuple[str, list[Fact]]:
    """A true sentence that says some of the properties, in words that the generator chooses.

    Parameters
    ----------
    subject, properties : as in `state`.
    rng : chooses what is said, how, and in which order.
    leave_out : probability that a property is not said; one at least is.

    Returns
    -------
    The sentence, and its facts in the order in which they are said.
    """
    sayable = [found for name, value in properties.items() if (found := ways(name, value))]
    keep = rng.random(len(sayable)) >= leave_out
    if sayable and not keep.any():
        keep[rng.integers(len(sayable))] = True
    facts = [_choose(found, rng) for found, kept in zip(sayable, keep) if kept]
    # neighbours change places: what belongs together stays near
    facts = [facts[k] for k in np.argsort(np.arange(len(facts)) + rng.uniform(0, 2, len(facts)))]
    return _sentence(subject, facts, " and" if rng.random() < 0.5 else ""), facts


def _choose(facts: Sequence[Fact], rng: np.random.Generator) -> Fact:
    """First how, then in which words: a manner with many paraphrases is no more frequent than one with few.

    What is absent is called so: "no binder", not "binder share 0 percent".
    """
    manners = list(dict.fromkeys(fact.how for fact in facts))
    if any(fact.value is False for fact in facts) and "number" in manners:
        manners.remove("number")
    how = manners[rng.integers(len(manners))]
    same = [fact for fact in facts if fact.how == how]
    return same[rng.integers(len(same))]


def _sentence(subject: str, facts: Sequence[Fact], last: str) -> str:
    """Subject and facts with commas between them; `last` is "" or " and", which takes a digit's clause from it."""
    said = [fact.said for fact in facts]
    if len(said) > 1 and last and not said[-1][0].isdigit() and not said[-1].startswith(NO_NOUNS):
        said[-2:] = [f"{said[-2]}{last} {said[-1]}"]
    text = ", ".join((subject, *said))
    return text[0].upper() + text[1:] + "."
