"""A sentence -> the facts that it states: `sentences` backwards, for what is asked in the words of captions."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from veridical.wording.place import PLACES
from veridical.wording.sentences import Fact, Value
from veridical.wording.table import NUMERALS, ROWS, row_of

_DIGITS = r"([0-9]+(?:\.[0-9]+)?)"
_ARTICLE = r"(?:an? |the )?"
# Of complete captions: the properties of named classes, and columns of a table.
_CLASSES = (
    (re.compile(rf"(\S+)-fraction {_DIGITS}"), "{}_area_fraction"),
    (re.compile(rf"mean (\S+)-diameter {_DIGITS} px"), "mean_{}_diameter_px"),
    (re.compile(r"number of (\S+) [0-9]+|[0-9]+ (\S+)"), "n_{}"),
    (re.compile(rf"(\S+) (?:{'|'.join(PLACES.values())})"), "{}_place"),
    (re.compile(rf"(\S+) {_DIGITS}"), "{}"),
)


# Numbers that are left, and words that make another thing of the fact beside them.
_DOUBT = re.compile(
    r"[0-9]|\b(?:no|not|without|than|less|more|fewer|between|least|most|up to|over|under|above|below|around|about|nearly|almost|"
    r"from|or)\b",
    re.IGNORECASE,
)
# A word about a thing that has a place, but none that denies it or names another.
_ABOUT = r"(?!(?:no|not|without|less|more|few|fewer|and|or|with|of|than)\b)[a-z-]+"
_JOINING = (
    "with",
    "and",
    "of",
    "that",
    "has",
    "having",
    "showing",
    "contains",
    "containing",
    "a",
    "an",
    "the",
    "in",
    "it",
)


@dataclass(frozen=True)
class Read:
    """What a sentence says.

    Attributes
    ----------
    subject : what its first clause says besides facts.
    stated : one entry a clause: the facts that it may be, of which one is meant ("no cracks": a number or a share of 0).
    unread : what is neither, to be kept as it is: numbers that belong to nothing known, comparisons.
    """

    subject: str
    stated: tuple[tuple[Fact, ...], ...]
    unread: tuple[str, ...]


def read(text: str, names: Sequence[str]) -> Read:
    """What a sentence says of the properties `names`; capitals, articles and the full stop do not matter."""
    subject, stated, unread = "", [], []
    for k, clause in enumerate(_clauses(text)):
        found = _facts(clause, names)
        each, rest = ([found], "") if found else _inside(clause, names)
        stated += each
        if k == 0 and not _DOUBT.search(rest):
            subject = rest
        elif rest:
            unread.append(rest)
    return Read(subject, tuple(stated), tuple(unread))


def _inside(clause: str, names: Sequence[str]) -> tuple[list[tuple[Fact, ...]], str]:
    """Facts that stand among other words, "a tow with three cracks and no binder", and the other words."""
    found, rest = _facts_out(clause, names)
    if _DOUBT.search(rest):
        return [], clause
    words = rest.split()
    while words and words[-1].lower() in _JOINING:
        words.pop()
    while words and words[0].lower() in _JOINING and found:
        words.pop(0)
    return found, " ".join(words)


def _facts_out(clause: str, names: Sequence[str]) -> tuple[list[tuple[Fact, ...]], str]:
    """Facts of a clause, the longest phrases first, and the words around them."""
    found: list[tuple[Fact, ...]] = []
    rest = clause
    while True:
        alone = (re.compile(rf"(?<!\S){pattern.pattern}(?!\S)") for pattern, _ in _patterns(tuple(names)))
        spans = [m for pattern in alone for m in pattern.finditer(rest.lower())]
        if not spans:
            return found, rest
        longest = max(spans, key=lambda m: len(m[0]))
        found.append(_facts(longest[0], names))
        rest = " ".join((rest[: longest.start()] + rest[longest.end() :]).split())


def named(captions: Iterable[str]) -> list[str]:
    """Names of the properties that complete captions state."""
    names: dict[str, None] = {}
    for caption in captions:
        for clause in _clauses(caption)[1:]:
            found = _facts(clause, tuple(ROWS))
            if found:
                names[found[0].property] = None
            else:
                matches = ((pattern.fullmatch(clause.lower()), name) for pattern, name in _CLASSES)
                word = next((name.format(next(filter(None, m.groups()))) for m, name in matches if m), None)
                if word:
                    names[word] = None
    return list(names)


def _clauses(text: str) -> list[str]:
    text = " ".join(text.replace("%", " percent").split()).rstrip(". ")
    return [clause.strip() for clause in text.split(", ") if clause.strip()]


def _facts(clause: str, names: Sequence[str]) -> tuple[Fact, ...]:
    matches = ((m, make) for pattern, make in _patterns(tuple(names)) if (m := pattern.fullmatch(clause.lower())))
    return tuple(make(m) for m, make in matches)


Make = Callable[[re.Match[str]], Fact]


@lru_cache(maxsize=16)
def _patterns(names: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], Make], ...]:
    return tuple(pair for name in names for pair in _patterns_of(name))


def _patterns_of(name: str) -> Iterator[tuple[re.Pattern[str], Make]]:
    row = row_of(name)

    def always(phrases: Iterable[str], value: Value, how: str) -> Iterator[tuple[re.Pattern[str], Make]]:
        for phrase in phrases:
            yield _pattern(phrase), lambda m: Fact(name, value, how, m[0])

    def scaled(scale: float) -> Make:
        return lambda m: Fact(name, round(float(m[1]) / scale, 12), "number", m[0])

    for number in row.numbers:
        for phrase in number.phrases:
            yield _pattern(phrase), scaled(number.scale)
    if row.count:
        one, many = row.count
        yield _pattern(f"number of {many} {{}}"), lambda m: Fact(name, int(float(m[1])), "count", m[0])
        pattern = re.compile(rf"([0-9]+|{'|'.join(NUMERALS)}) (?:{re.escape(one)}|{re.escape(many)})")
        yield pattern, lambda m: Fact(name, NUMERALS.index(m[1]) if m[1] in NUMERALS else int(m[1]), "count", m[0])
    for bounds, phrases in row.words:
        yield from always(phrases, bounds, "word")
    yield from always(row.absent, False, "presence")
    yield from always(row.present, True, "presence")

    def at(place: str) -> Make:
        return lambda m: Fact(name, place, "place", m[0])

    for place, said in PLACES.items() if row.places else ():
        yield from always((phrase.format(said) for phrase in row.places), place, "place")
        thing = re.escape(name.removesuffix("_place").replace("_", " "))  # "a thin binder layer at the top"
        other = re.compile(rf"{_ARTICLE}(?:{_ABOUT} )?{thing}(?: {_ABOUT})? {said}")
        yield other, at(place)


def _pattern(phrase: str) -> re.Pattern[str]:
    """Of a phrase, with or without article, and "of" before its number."""
    phrase = re.sub(r"^an? ", "", phrase.lower())
    return re.compile(
        _ARTICLE + re.escape(phrase).replace(r"of\ \{\}", r"\{\}").replace(r"\{\}", rf"(?:of )?{_DIGITS}")
    )
