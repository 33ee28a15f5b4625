"""Which words two texts share, and what of the attention to one text holds for the other."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Words and the vectors of the sequence that each is, see `veridical.editing.words.Words.places`.
Said = Sequence[tuple[str, tuple[int, ...]]]


class Exchange(NamedTuple):
    """From the attention to a source text to that to a target text: ``source @ matrix + own * target``.

    Attributes
    ----------
    matrix : ndarray of float32, shape (L, L)
        From places of the source to places of the target.
    own : ndarray of float32, shape (L,)
        1 for places of the target that have no partner.
    """

    matrix: NDArray[np.float32]
    own: NDArray[np.float32]


def plain(word: str) -> str:
    """A word without what only ends a clause, in small letters."""
    return word.strip(".,;:!?()\"'").casefold()


def exchange(source: Said, target: Said, length: int) -> Exchange:
    """Pair the words of two texts (Hertz et al. 2022, arXiv:2208.01626, section 3.2: word swap, and adding a phrase).

    Words that both have are partners, and so are words that take the place of as many others: the attention to these is shared
    out over the vectors of the new word. Other words of the target have none: attention to them is their own. Places that are no
    words (what begins and fills up a text, what stands behind it) have the same place as partner.

    Parameters
    ----------
    source, target : sequence of (word, places)
    length : int
        Of the sequence that is attended to.
    """
    matrix, own = np.eye(length, dtype=np.float32), np.zeros(length, np.float32)
    for places in (places for text in (source, target) for _, places in text):
        matrix[:, list(places)] = 0
    for places in (places for _, places in target):
        own[list(places)] = 1
    for (_, mine), (_, theirs) in _partners(source, target):
        if mine and theirs:
            own[list(theirs)] = 0
            if len(mine) == len(theirs):
                matrix[list(mine), list(theirs)] = 1
            else:
                matrix[np.ix_(mine, theirs)] = 1 / len(theirs)
    words = {place for _, places in source for place in places} - {place for _, places in target for place in places}
    own[list(words)] = 1  # where the source has a word and the target none, such as the end of a shorter text
    return Exchange(matrix, own)


def changed(source: Said, target: Said) -> tuple[list[str], list[str]]:
    """Words of the source that the target has no more, and words of the target that are new."""
    gone, new = unshared(source, target)
    return _plain(gone), _plain(new)


def unshared(source: Said, target: Said) -> tuple[Said, Said]:
    """Of two texts the words, with their places, that the other does not say there."""
    gone: list[tuple[str, tuple[int, ...]]] = []
    new: list[tuple[str, tuple[int, ...]]] = []
    for kind, i, j, k, m in SequenceMatcher(None, _plain(source), _plain(target), autojunk=False).get_opcodes():
        if kind != "equal":
            gone += source[i:j]
            new += target[k:m]
    return gone, new


def places_of(word: str, text: Said) -> list[int]:
    """Places of all that is this word in a text."""
    return [place for said, places in text if plain(said) == plain(word) for place in places]


def _partners(source: Said, target: Said) -> list[tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]]:
    found = []
    for kind, i, j, k, m in SequenceMatcher(None, _plain(source), _plain(target), autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and j - i == m - k):
            found += list(zip(source[i:j], target[k:m], strict=True))
    return found


def _plain(text: Said) -> list[str]:
    return [plain(word) for word, _ in text]
