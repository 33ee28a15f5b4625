"""Sentences -> tokens of fixed length, and back to what is strange in them: a vocabulary fitted on training captions.

Words are byte-level pair encodings (Sennrich et al. 2016, arXiv:1508.07909), so that nothing is unknown. A number that is a
property keeps its value: it is one token ``<num>`` beside which stands its standardised value; other numbers are digits. For
text towers that take tokens alone, all numbers can be spelled, between a token that begins and one that ends.

The rule: a number belongs to the word before it (of the same clause, and not one such as "of" or "is"), or else to the word
after it: "porosity 0.31" to "porosity", "12 fibres" to "fibres". It is a property if that word has numbers in at least two
training captions, not all equal.

Longer than other files because fitting, writing and reading back go by the same rule.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from typing_extensions import TypedDict

from veridical.core.errors import InputError
from veridical.core.files import parse_json
from veridical.core.tokens import BEGIN, END, NUM, PAD, SPECIAL

FILE = "tokenizer.json"
FEWEST_TOKENS, MOST_TOKENS = 32, 128  # of a caption; longer ones are cut
LOOK = 2000  # captions among which the longest is looked for
MOST_PIECES = 4096  # in the vocabulary
NO_WORDS = "the captions of the training images hold no words: correct them, or leave out --text."
LARGEST = 1e30  # number that is a value: a larger one, squared or standardised, may be none any more

# Not within a word, a date or a version; a unit may follow at once, as in 5mm.
_NUMBER = re.compile(r"(?:(?<!\S)[+-])?(?<![\w])(?<![0-9][.,])[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?(?![0-9]|[.,][0-9])")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_END = re.compile(r"[,;.()\[\]]")  # of a clause
_FILLERS = {
    "a", "an", "the", "of", "is", "are", "was", "were", "at", "about", "around", "near", "approximately",
    "equals", "to",
}  # fmt: skip


Found = tuple[str, float, int, int]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


@dataclass(frozen=True)
class Number:
    """A property of training captions, in its own units."""

    mean: Finite
    std: Finite
    low: Finite
    high: Finite


@dataclass(frozen=True)
class Vocabulary:
    """Words and numbers of training captions; made by `fit_vocabulary`.

    Attributes
    ----------
    tokenizer : tokenizers.Tokenizer
        Token 0 fills up, token 1 stands for a property's number.
    numbers : dict
        The properties, by the word that their numbers belong to.
    words : tuple of str
        All words of the training captions, sorted.
    length, spelled : int
        Tokens of every caption: with values, and with all numbers spelled.
    """

    tokenizer: Tokenizer
    numbers: dict[str, Number]
    words: tuple[str, ...]
    length: int
    spelled: int

    @property
    def size(self) -> int:
        """Number of different tokens."""
        return self.tokenizer.get_vocab_size()

    def encode(self, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Tokens of captions.

        Returns
        -------
        ids : ndarray of int64, shape (N, length)
            0 after the end; an empty caption is 0 throughout.
        values : ndarray of float32, shape (N, length)
            Standardised values of the properties where `ids` is 1, else 0.
        cut : list of int
            Which captions were longer, and lost their end.
        """
        ids = np.zeros((len(captions), self.length), np.int64)
        values = np.zeros((len(captions), self.length), np.float32)
        cut = []
        texts = [_normal(caption) for caption in captions]
        written = [self._written(text, _numbers(text)) for text in texts]
        for row, encoding in enumerate(self.tokenizer.encode_batch_fast([text for text, _ in written])):
            found = np.array(encoding.ids, np.int64)
            if len(found) > self.length:
                cut.append(row)
            beside = np.zeros(len(found), np.float32)
            beside[found == NUM] = written[row][1]
            ids[row, : len(found)] = found[: self.length]
            values[row, : len(found)] = beside[: self.length]
        return ids, values, cut

    def cut(self, captions: Sequence[str]) -> int:
        """How many captions are longer, and lose their end."""
        # a token is a byte at least, so that short ones need not be looked at
        long = [text for text in map(_normal, captions) if len(text.encode()) >= self.length]
        return len(self.encode(long)[2])

    def spell(self, captions: Sequence[str]) -> np.ndarray:
        """Tokens of captions whose numbers are all digits, int64 (N, spelled): `BEGIN`, the tokens, `END`, and 0 after it."""
        ids = np.zeros((len(captions), self.spelled), np.int64)
        texts = [f" {text}" if (text := _normal(caption)) else "" for caption in captions]
        for row, encoding in enumerate(self.tokenizer.encode_batch_fast(texts)):
            found = [BEGIN, *encoding.ids[: self.spelled - 2], END]
            ids[row, : len(found)] = found
        return ids

    def _written(self, text: str, numbers: list[Found]) -> tuple[str, list[float]]:
        """A text with ``<num>`` for each property, and their values."""
        pieces, values, at = [], [], 0
        for word, value, start, end in numbers:
            if word in self.numbers:
                known = self.numbers[word]
                pieces += [text[at:start], SPECIAL[NUM]]
                values.append((value - known.mean) / known.std)
                at = end
        text = "".join((*pieces, text[at:]))
        return (f" {text}" if text else ""), values  # a word is the same token at the beginning, after a space

    def learn(self, word: str) -> Vocabulary:
        """The same with a new word, whose token is the last.

        Raises
        ------
        InputError
            If it is no word, or one already.
        """
        said = _normal(word)
        if _words(said) != [said]:
            raise InputError(f"word={word!r} is no word: give letters without spaces, such as sandrock.")
        if said in self._known:
            raise InputError(f"word={said} is a word of the captions already: give letters that are none.")
        tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        tokenizer.add_tokens([AddedToken(said, single_word=True, lstrip=True, normalized=False)])
        return replace(self, tokenizer=tokenizer, words=tuple(sorted((*self.words, said))))

    def knowing(self, captions: Sequence[str]) -> Vocabulary:
        """The same tokens and ranges of numbers; the words of these captions are known, too."""
        said = {word for caption in captions for word in _words(_normal(caption))}
        return replace(self, words=tuple(sorted(said | self._known)))

    def widened(self, captions: Sequence[str]) -> tuple[Vocabulary, list[str]]:
        """The same tokens for other training captions, whose words and ranges of numbers are known from then on.

        Returns
        -------
        vocabulary : Vocabulary
        notes : list of str
            What these captions say that those the tokens were fitted on never said.
        """
        texts = [_normal(caption) for caption in captions]
        said = {word for text in texts for word in _words(text)}
        if not said:
            raise InputError(NO_WORDS)
        seen: dict[str, list[float]] = {}
        for text in texts:
            for word, value, _, _ in _numbers(text):
                seen.setdefault(word, []).append(value)
        numbers = {
            word: replace(known, low=min(seen[word]), high=max(seen[word])) if word in seen else known
            for word, known in self.numbers.items()
        }
        notes = []
        if strange := sorted(said - self._known):
            named = ", ".join(map(repr, strange[:4]))
            notes.append(f"{len(strange)} words are new to the tokenizer that reads these captions, such as {named}")
        far = [word for word, known in self.numbers.items() if word in seen and numbers[word] != known]
        far = [w for w in far if numbers[w].low < self.numbers[w].low or numbers[w].high > self.numbers[w].high]
        if far:
            notes.append(f"numbers of {', '.join(map(repr, far))} lie outside those that the tokenizer was fitted on")
        return replace(self.knowing(texts), numbers=numbers), notes

    def reads_as(self, other: Vocabulary) -> bool:
        """Whether both make the same tokens and values of every caption."""

        def scales(one: Vocabulary) -> dict[str, tuple[float, float]]:
            return {word: (number.mean, number.std) for word, number in one.numbers.items()}

        same = (self.length, self.spelled, scales(self)) == (other.length, other.spelled, scales(other))
        return same and self.tokenizer.to_str() == other.tokenizer.to_str()

    def places(self, caption: str, spelled: bool) -> list[tuple[str, tuple[int, ...]]]:
        """Words of a caption, as they are written, and which of its tokens (by `spell`, else by `encode`) each is."""
        text = _normal(caption)
        written = text if spelled else self._written(text, _numbers(text))[0].strip()
        found = self.tokenizer.encode(f" {written}" if written else "")
        most = self.spelled - 2 if spelled else self.length
        words, places, at = text.split(), [], 1
        for said, word in zip(written.split(), words, strict=True):
            mine = [k for k, (start, end) in enumerate(found.offsets[:most]) if start < at + len(said) and end > at]
            # spelled captions begin with a token of their own
            places.append((word, tuple(k + 1 if spelled else k for k in mine)))
            at += len(said) + 1
        return places

    def notes(self, caption: str) -> list[str]:
        """Which words the training captions never said, with those nearest to them."""
        text = _normal(caption)
        strange = [word for word in dict.fromkeys(_words(text)) if word not in self._known]
        if strange:
            near = {word: difflib.get_close_matches(word, self.words, n=2, cutoff=0.6) for word in strange}
            said = ", ".join(
                f"{word!r}" + (f" (nearest: {', '.join(map(repr, near[word]))})" if near[word] else "")
                for word in strange
            )
            return [f"the training captions never say {said}"]
        return []

    def beyond(self, caption: str) -> list[str]:
        """Which properties lie outside the range of the training captions, by more than rounding, 1 % of it."""
        text = _normal(caption)
        found = []
        for word, value, start, end in _numbers(text):
            known = self.numbers.get(word)
            slack = (known.high - known.low) / 100 if known else 0.0
            if known and not known.low - slack <= value <= known.high + slack:
                found.append(
                    f"{word!r} {text[start:end]} lies outside the training captions, {known.low:g} to {known.high:g}"
                )
        return found

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.words)

    def to_json(self) -> str:
        """Return the content of ``tokenizer.json``; its entry ``tokenizer`` is what the library tokenizers reads."""
        content: dict[str, Any] = {
            "length": self.length,
            "spelled": self.spelled,
            "numbers": {word: asdict(number) for word, number in self.numbers.items()},
            "words": self.words,
            "tokenizer": json.loads(self.tokenizer.to_str()),
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, name: object = FILE) -> Vocabulary:
        """Return what `to_json` wrote to the file `name`.

        Raises
        ------
        InputError
            If it is something else.
        """
        stored: Stored = parse_json(text, Stored, name)
        try:
            tokenizer = Tokenizer.from_str(json.dumps(stored["tokenizer"]))
        except Exception as error:  # the library raises nothing more special
            raise InputError(f"{name}: its tokenizer cannot be read ({error}): restore it or train again.") from error
        if any(not number.std > 0 for number in stored["numbers"].values()):
            raise InputError(f"{name}: a number has no deviation: it was damaged; restore it or train again.")
        return cls(tokenizer, stored["numbers"], tuple(stored["words"]), stored["length"], stored["spelled"])


class Stored(TypedDict):
    """The content of ``tokenizer.json``."""

    length: Annotated[int, Field(strict=True, ge=1, le=MOST_TOKENS)]
    spelled: Annotated[int, Field(strict=True, ge=2, le=MOST_TOKENS)]
    numbers: dict[str, Number]
    words: list[str]
    tokenizer: dict[str, Any]


def fit_vocabulary(captions: Sequence[str]) -> Vocabulary:
    """Fit a vocabulary on the training captions, and on nothing else; the same captions give the same one.

    Raises
    ------
    InputError
        If there are no words.
    """
    texts = [_normal(caption) for caption in captions]
    words = sorted({word for text in texts for word in _words(text)})
    if not words:
        raise InputError(NO_WORDS)
    seen: dict[str, list[float]] = {}
    of: dict[str, set[int]] = {}
    found = [_numbers(text) for text in texts]
    for k, in_text in enumerate(found):
        for word, value, _, _ in in_text:
            seen.setdefault(word, []).append(value)
            of.setdefault(word, set()).add(k)
    numbers = {}
    for word in sorted(seen):
        values = np.array(seen[word])
        if len(of[word]) > 1 and values.std() > 0:
            numbers[word] = Number(*map(float, (values.mean(), values.std(), values.min(), values.max())))
    draft = Vocabulary(Tokenizer(models.BPE()), numbers, tuple(words), MOST_TOKENS, MOST_TOKENS)
    tokenizer = draft.tokenizer
    special = [SPECIAL[PAD], AddedToken(SPECIAL[NUM], lstrip=True, special=True), SPECIAL[BEGIN], SPECIAL[END]]
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_PIECES,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    written = [draft._written(text, in_text)[0] for text, in_text in zip(texts, found)]
    tokenizer.train_from_iterator(written, trainer)
    plain = [f" {text}" for text in texts]
    return Vocabulary(
        tokenizer, numbers, tuple(words), _length(_longest(tokenizer, written)), _length(2 + _longest(tokenizer, plain))
    )


def _longest(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """Tokens of the longest text, looked for among those of most letters."""
    few = sorted(dict.fromkeys(texts), key=len)[-LOOK:]
    return max(len(encoding) for encoding in tokenizer.encode_batch_fast(few))


def _length(longest: int) -> int:
    """Half as many again: words never said take more tokens."""
    return min(MOST_TOKENS, max(FEWEST_TOKENS, -(-3 * longest // 16) * 8))


def _normal(text: str) -> str:
    text = "".join(map(str.lower, unicodedata.normalize("NFKC", text)))  # a letter at a time, as other tokenizers do
    return " ".join(re.sub(r"<(?=(?:pad|num|begin|end)>)", "< ", text).split())


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _numbers(text: str) -> list[Found]:
    """Each number that belongs to a word, see above: the word, the value, where it begins and ends."""
    matches = [match for match in _NUMBER.finditer(text) if abs(float(match[0])) < LARGEST]
    edges = [0, *(edge for match in matches for edge in match.span()), len(text)]
    found = []
    for k, match in enumerate(matches):
        before, after = text[edges[2 * k] : match.start()], text[match.end() : edges[2 * k + 3]]
        near = _said(_END.split(before)[-1])[-1:] or _said(_END.split(after)[0])[:1]
        found += [(word, float(match[0]), *match.span()) for word in near]
    return found


def _said(clause: str) -> list[str]:
    return [word for word in _words(clause) if word not in _FILLERS]
