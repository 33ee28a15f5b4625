"""Text that came from outside (paths, names, labels), made fit to be shown."""

from __future__ import annotations

import re

# Control characters, those that turn or hide what follows them, line ends of other alphabets, halves of characters.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


def short(value: object) -> str:
    """A value as a sentence says it: of a long one the beginning."""
    many = isinstance(value, int) and value.bit_length() > 10_000  # Python writes no numbers of 5000 digits
    text = "a number of thousands of digits" if many else str(value)
    return text if len(text) < 80 else f"{text[:60]}..."


def shown(text: object, *, lines: bool = False) -> str:
    """Text in which nothing acts on a terminal or hides in a page: such characters are written as escapes.

    Parameters
    ----------
    text : object
    lines : bool
        Let line ends and tabs be what they are.

    Returns
    -------
    str
        ``\\x1b`` stands for a control character, ``\\xff`` too for a byte of a file name that is not UTF-8, ``\\u202e`` for
        others.
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        if lines and match[0] in "\n\t":
            return match[0]
        if 0xDC80 <= code <= 0xDCFF:  # as Python holds such a byte
            code -= 0xDC00
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"

    return UNSEEN.sub(escaped, str(text))


def is_name(text: str) -> bool:
    """Whether a dataset or a system may be called this: the name of a file or folder, and of nothing outside."""
    printed = all(character.isprintable() for character in text)
    return text not in ("", ".", "..") and not set(text) & set("/\\") and printed and len(text.encode()) <= 128
