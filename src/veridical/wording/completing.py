"""A short sentence -> a complete one that keeps what it says, the rest as in a known image that agrees with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from veridical.wording.reading import named, read
from veridical.wording.sentences import Fact, ways
from veridical.wording.table import Range, row_of

Values = dict[str, float | str]

NEAR = 0.25  # standard deviations by which one of several images may be further from what is asked than the nearest
MISSING = 3.0  # standard deviations that count where an image does not state what is asked


@dataclass(frozen=True)
class Completed:
    """A complete sentence.

    Attributes
    ----------
    text : the sentence; where nothing could be read, the given one.
    unread : clauses of the given sentence that state nothing known; they end the complete one.
    broken : clauses of the given sentence that the others contradict.
    """

    text: str
    unread: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


class Completer:
    """Known complete captions, each of an image; from them come the facts that a short one leaves out.

    What is left out is drawn from what is known together with what is said, as a language model of the captions would (the
    nearest captions are a kernel estimate of it), and numbers that are said are kept as they are, which such a model would not
    promise.

    Parameters
    ----------
    captions : complete captions, such as `veridical.wording.state` writes.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self._names = tuple(named(captions[:1000]))
        found = [read(caption, self._names) for caption in captions]
        self._known = [(r.subject, {f[0].property: _number(f[0]) for f in r.stated}) for r in found if r.stated]
        self._found: dict[tuple[tuple[Fact, ...], ...], list[int]] = {}

    def complete(self, text: str, rng: np.random.Generator) -> Completed:
        """The sentence completed; `rng` chooses among the images that agree with it."""
        given = read(text, self._names)
        # What is said exactly is written last, over what is said vaguely.
        stated = tuple(sorted(given.stated, key=lambda facts: facts[0].how in ("number", "count")))
        near = self._nearest(stated)
        if not stated or not near:
            return Completed(text, given.unread)
        subject, donor = self._known[near[rng.integers(len(near))]]
        values = dict(donor)
        for facts in stated:
            fact = min(facts, key=lambda fact: self._far(fact, donor))
            values[fact.property] = self._kept(fact, values)
            if fact.how == "place":  # of what lies somewhere there is some
                for share in _shares(fact.property):
                    if share in values:
                        there = Fact(share, True, "presence", fact.said)
                        values[share] = self._kept(there, values)
        values = {name: value for name, value in values.items() if not _placeless(name, values)}
        broken = tuple(facts[0].said for facts in stated if all(self._far(fact, values) > 1e-9 for fact in facts))
        said = [_exactly(name, value) for name, value in values.items()]
        return Completed(", ".join((subject, *said, *given.unread)) + ".", given.unread, broken)

    def _nearest(self, stated: tuple[tuple[Fact, ...], ...]) -> list[int]:
        """Which known images agree with all facts, or nearly as well as the nearest; found once for each prompt."""
        if stated not in self._found:
            far = [sum(min(self._far(fact, of) for fact in facts) for facts in stated) for _, of in self._known]
            least = min(far, default=0.0)
            self._found[stated] = [k for k, distance in enumerate(far) if distance <= least + NEAR]
        return self._found[stated]

    def _far(self, fact: Fact, values: Mapping[str, float | str]) -> float:
        """How far values are from a fact, in standard deviations of its property; 0: it is true of them."""
        value = values.get(fact.property)
        if value is None:
            return MISSING
        if isinstance(value, str) or isinstance(fact.value, str):
            return 0.0 if value == fact.value else MISSING
        low, high = _range(fact)
        if (low is None or value >= low) and (high is None or value < high or value == low):
            return 0.0
        return max(
            low - value if low is not None else 0.0, value - high if high is not None else 0.0, 1e-6
        ) / self._stds.get(fact.property, 1.0)

    def _kept(self, fact: Fact, values: Mapping[str, float | str]) -> float | str:
        """A value of the fact's property of which it is true: the known image's own where it can be."""
        if self._far(fact, values) == 0:
            return values[fact.property]
        if isinstance(fact.value, str):
            return fact.value
        low, _ = _range(fact)
        if fact.how in ("number", "count") or fact.value is False:
            return 0.0 if low is None else low
        among = [v for v in self._numbers.get(fact.property, ()) if self._far(fact, {fact.property: v}) == 0]
        if among:
            return float(np.median(among))
        return low if low is not None else 0.0

    @cached_property
    def _numbers(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for _, values in self._known:
            for name, value in values.items():
                if not isinstance(value, str):
                    found.setdefault(name, []).append(value)
        return found

    @cached_property
    def _stds(self) -> dict[str, float]:
        return {name: float(np.std(values)) or 1.0 for name, values in self._numbers.items()}


def _range(fact: Fact) -> Range:
    """From (included) to (excluded); a number is its own range."""
    if isinstance(fact.value, bool):
        least = row_of(fact.property).seen or 1e-9
        return (least, None) if fact.value else (0.0, 0.0)
    if isinstance(fact.value, tuple):
        return fact.value
    assert not isinstance(fact.value, str)
    return fact.value, fact.value


def _number(fact: Fact) -> float | str:
    """The value that a complete caption states; of what it says by a word alone, a value for which that is true."""
    if isinstance(fact.value, str):
        return fact.value
    low, high = _range(fact)
    return low if low is not None else (high or 0.0)


def _shares(name: str) -> tuple[str, ...]:
    """Properties that say how much there is of what the property `name` is the place of."""
    thing = name.removesuffix("_place")
    return (f"{thing}_fraction", f"{thing}_area_fraction") if thing != name else ()


def _placeless(name: str, values: Mapping[str, float | str]) -> bool:
    """Whether it is the place of something that is not there."""
    return any(values.get(share) == 0 for share in _shares(name))


def _exactly(name: str, value: float | str) -> str:
    """What a complete caption says, with as many digits as the value has."""
    fact = ways(name, value)[0]
    if fact.how == "number" and fact.value != value and not isinstance(value, str):
        number = row_of(name).numbers[0]
        return number.phrases[0].format(f"{value * number.scale:.6g}")
    return fact.said
