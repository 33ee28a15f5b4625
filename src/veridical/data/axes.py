"""Which axes of an array are height, width, colour and slices: one decision for every reader, with what it left out.

Longer than other files because every doubtful case has its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from veridical.core.errors import InputError

UNNAMED = "qi0123456789"  # letters of axes that nobody gave a meaning
FEW = 9  # an axis without a name and so long at most may be channels
COLOURS = (("r", "red"), ("g", "green"), ("b", "blue"))
OPTIONS = ("channel", "axes")


@dataclass(frozen=True)
class Plan:
    """How the images of an array are cut from it.

    Attributes
    ----------
    axes : str
        One letter an axis of the array: y and x, s for the colours that are read, any other letter.
    held : tuple of (int or None)
        For each axis the number at which it is held, or None where all of it is read or counted.
    shape : (int, int)
        Height and width of an image.
    channels : int
        1 or 3.
    leading : tuple of int
        Sizes of the axes that count images, in the order of the array.
    colours : tuple of int
        Numbers of red, green and blue along s; empty for grey images.
    notes : tuple of str
        What was assumed and what is left out.
    """

    axes: str
    held: tuple[int | None, ...]
    shape: tuple[int, int]
    channels: int
    leading: tuple[int, ...]
    colours: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many images there are."""
        return prod(self.leading)

    @cached_property
    def _cut(self) -> tuple[int | slice | None, ...]:
        """Index into the array, None for the axes that count images."""
        whole = slice(None)
        return tuple(
            whole if letter in "yxs" and held is None else held
            for letter, held in zip(self.axes, self.held, strict=True)
        )

    @cached_property
    def _order(self) -> list[int]:
        """Which axes of what `index` cuts out are height, width and colour."""
        kept = [letter for letter, held in zip(self.axes, self.held, strict=True) if letter in "yxs" and held is None]
        return [kept.index(letter) for letter in ("yxs" if "s" in kept else "yx")]

    def index(self, number: int) -> tuple[int | slice, ...]:
        """Index into the array of image `number`."""
        numbers = iter(
            (number,) if len(self.leading) == 1 else map(int, np.unravel_index(number, self.leading or (1,)))
        )
        return tuple(next(numbers) if each is None else each for each in self._cut)

    def image(self, cut: np.ndarray) -> np.ndarray:
        """What `index` cut out, as (H, W) or (H, W, 3); a view if the colours lie in order."""
        cut = cut.transpose(self._order)
        if cut.ndim == 3:
            cut = cut[..., :3] if self.colours == (0, 1, 2) else cut[..., list(self.colours)]
        return cut


def letter_of(name: str, kind: str | None = None) -> str:
    """The letter of an axis by its name, or by what kind of axis it is; ``q`` where they say nothing."""
    word = {"channel": "c", "time": "t"}.get(kind or name.lower(), name.lower())
    return word if len(word) == 1 and word.isalpha() and word.isascii() and word != "s" else "q"


def named_axes(dimensions: Sequence[str | None], ndim: int) -> str | None:
    """Letters from the names of dimensions, where height and width are among them."""
    letters = "".join(letter_of(name or "q") for name in dimensions)
    return letters if len(letters) == ndim and letters.count("y") == letters.count("x") == 1 else None


def check_options(name: object, options: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse options (after the ``?`` of a specification) that are not known, with an InputError that lists the known."""
    for option in options:
        if option not in known:
            listed = f"use {', '.join(known)}" if known else "it takes none"
            raise InputError(f"{name}: there is no option {option} for this kind of file; {listed}")


def plan_axes(
    name: object,
    shape: Sequence[int],
    letters: str | None = None,
    *,
    dtype: np.dtype,
    channel_names: Sequence[str] = (),
    colour: bool = True,
    options: Mapping[str, str] | None = None,
    also: Collection[str] = (),
) -> Plan:
    """Decide what the axes of an array are.

    Parameters
    ----------
    name : object
        Names the array in errors.
    shape : sequence of int
    letters : str, optional
        One letter an axis as the file names them, in any case: y, x, z, t, c for channels, s for interleaved colour
        (and alpha), q or i for an axis without a name. Without letters the shape alone is judged.
    dtype : dtype
    channel_names : sequence of str
        Of the axis c, where the file has names.
    colour : bool
        Whether three channels without names may be red, green and blue: not in formats that have another way to say so.
    options : mapping
        What the user asked for: ``channel`` (name, number or ``rgb``), ``axes`` (letters in place of those of the file), or the
        letter of another axis and the number along it.
    also : collection of str
        Options that the reader has dealt with.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If the array holds no images, or may be read in several ways: says how to choose.
    """
    notes: list[str] = []
    options, shape = dict(options or {}), tuple(shape)
    if len(shape) < 2 or 0 in shape:
        what = "is empty" if 0 in shape else f"has {len(shape)} axis"
        raise InputError(f"{name}: the array {what} (its shape is {shape}); give one with height and width")
    if asked := options.pop("axes", ""):
        letters = _asked_letters(name, asked, shape)
    elif letters is None:
        letters = _guessed(name, shape, options, notes)
    else:
        letters = _unique(letters.lower())
        if len(letters) != len(shape) or not {"y", "x"} <= set(letters):
            raise InputError(f"{name}: has the axes {letters} of {shape}, without height and width; {_how(shape)}")
    selectable = [letter for letter in letters if letter not in "yxcs" + UNNAMED]
    check_options(name, options, (*OPTIONS, *also, *selectable))
    sizes = dict(zip(letters, shape, strict=True))
    held: dict[str, int] = {}
    for letter in selectable:
        if letter in options:
            held[letter] = _number(name, letter, options[letter], sizes[letter])
            notes.append(f"only number {held[letter]} of {sizes[letter]} along the axis {letter} is read")
    may_be_rgb = colour and dtype == np.uint8
    letters, colours = _channels(
        name, letters, sizes, channel_names, may_be_rgb, options.get("channel", ""), held, notes
    )
    sizes = dict(zip(letters, shape, strict=True))
    leading = [letter for letter in letters if letter not in "yxs" and letter not in held]
    _remark(name, leading, sizes, bool(asked), notes)
    return Plan(
        axes=letters,
        held=tuple(held.get(letter) for letter in letters),
        shape=(sizes["y"], sizes["x"]),
        channels=3 if colours else 1,
        leading=tuple(sizes[letter] for letter in leading),
        colours=colours,
        notes=tuple(notes),
    )


def _channels(
    name: object,
    letters: str,
    sizes: Mapping[str, int],
    names: Sequence[str],
    may_be_rgb: bool,
    asked: str,
    held: dict[str, int],
    notes: list[str],
) -> tuple[str, tuple[int, ...]]:
    """Letters, with s where three channels are colours, and the numbers of red, green and blue; holds other channels."""
    axis = next((letter for letter in "cs" if letter in letters and (letter == "c" or "c" not in letters)), "")
    if "c" in letters and "s" in letters:
        if min(sizes["c"], sizes["s"]) > 1:
            raise InputError(f"{name}: has {sizes['c']} channels of {sizes['s']} colours; save one of them to a file")
        axis = max("cs", key=sizes.__getitem__)
        held["s" if axis == "c" else "c"] = 0
    n = sizes.get(axis, 1)
    names = [_clean(each) for each in names] if axis == "c" and len(names) == n else []
    names = names if any(names) else []
    if axis == "s" and not names:
        names = ["red", "green", "blue", "alpha"][:n] if n in (3, 4) else ["grey", "alpha"] if n == 2 else []
    if asked and n > 1 and not (asked.lower() == "rgb" and n in (3, 4)):
        held[axis] = _channel(name, asked, names, n)
        others = [names[k] or str(k) for k in range(n) if k != held[axis]] if 1 < len(names) <= 12 else []
        rest = ", ".join(others) or ("the other" if n == 2 else f"the other {n - 1}")
        called = f"{held[axis]} ({names[held[axis]]})" if names else held[axis]
        notes.append(f"channel {called} of {n} is read, without {rest}")
        return letters, ()
    if asked and n == 1:
        if asked not in ("0", *names):
            raise InputError(
                f"{name}: has one channel{f' ({names[0]})' if names else ''}, not {asked}: leave channel out"
            )
        return _hold(axis, letters, held)
    if n == 1:
        return _hold(axis, letters, held)
    if axis == "s" and n == 2:
        notes.append("alpha left out")
        return _hold(axis, letters, held)
    if axis == "s" and n in (3, 4):
        notes += ["alpha left out"] if n == 4 else []
        return letters, (0, 1, 2)
    order = _colour_order(names)
    if asked or order or (n == 3 and not names and may_be_rgb):
        if not asked:
            notes.append("three channels are read as red, green and blue; ?channel=0 reads one")
        if n == 4:
            notes.append("the fourth channel is left out")
        return _recoloured(letters, axis), order or (0, 1, 2)
    others = [letter for letter in letters if letter not in "yx" and letter != axis and sizes[letter] > 1]
    as_slices = letters.replace(axis, next(letter for letter in "zn" if letter not in letters))
    if axis == "c" and not names and n > FEW and not others:
        notes.append(f"{n} channels without names are read as slices; ?channel=0 reads one")
        return as_slices, ()
    free = iter("abdefgh")
    as_slices = "".join(letter if letter.isalpha() else next(free) for letter in as_slices)
    listed = f" ({', '.join(names[:12])}{', ...' if n > 12 else ''})" if names else ""
    first = names[0] if names and names[0] else "0"
    colours = ", ?channel=rgb as colours" if n == 3 else ""
    raise InputError(
        f"{name}: has {n} channels{listed}; read one with ?channel={first}, or all with ?axes={as_slices} as slices{colours}"
    )


def _clean(name: str) -> str:
    """A name that a file gives, on one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:60]


def _hold(axis: str, letters: str, held: dict[str, int]) -> tuple[str, tuple[int, ...]]:
    if axis:
        held[axis] = 0
    return letters, ()


def _recoloured(letters: str, axis: str) -> str:
    """Letters with s for the axis of the channels; one that was called s has one entry and is held under another letter."""
    return letters if axis == "s" else letters.replace("s", "0").replace("c", "s")


def _colour_order(names: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the channels called red, green and blue, if three are and nothing else is there."""
    lowered = [name.strip().lower() for name in names]
    order = [next((k for k, name in enumerate(lowered) if name in words), -1) for words in COLOURS]
    return tuple(order) if len(names) == 3 and sorted(order) == [0, 1, 2] else ()


def _channel(name: object, asked: str, names: Sequence[str], n: int) -> int:
    """Number of the channel that is called `asked`, or has that number."""
    exact = [k for k, known in enumerate(names) if known == asked]
    loose = [k for k, known in enumerate(names) if known.strip().lower() == asked.strip().lower()]
    for found in (exact, loose):
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{name}: {len(found)} channels are called {asked}; give a number from 0 to {n - 1}")
    if not (asked.isdecimal() and len(asked) < 10 and int(asked) < n):
        listed = f"one of {', '.join(names[:12])}, or " if names else ""
        raise InputError(f"{name}: has no channel {asked}; give {listed}a number from 0 to {n - 1}")
    return int(asked)


def _number(name: object, letter: str, asked: str, n: int) -> int:
    if not (asked.isdecimal() and len(asked) < 10 and int(asked) < n):
        raise InputError(f"{name}: the axis {letter} has no number {asked}; give one from 0 to {n - 1}")
    return int(asked)


def _asked_letters(name: object, asked: str, shape: tuple[int, ...]) -> str:
    letters = asked.lower()
    right = re.fullmatch(r"[a-z]+", letters) and len(letters) == len(set(letters)) == len(shape)
    if not right or not {"y", "x"} <= set(letters):
        raise InputError(f"{name}: axes={asked} does not describe the shape {shape}; {_how(shape)}")
    return letters


def _how(shape: tuple[int, ...]) -> str:
    return (
        f"give ?axes= with one letter for each of the {len(shape)} axes, y and x among them, such as {_example(shape)}"
    )


def _example(shape: tuple[int, ...]) -> str:
    return "abdefghtczyx"[-len(shape) :] if len(shape) <= 12 else "zyx"


def _unique(letters: str) -> str:
    """Letters of which each occurs once: another axis of that letter has no name."""
    free, out = iter(UNNAMED[2:] + "abdefghjk"), ""
    for letter in letters:
        out += letter if letter not in out else next(free)
    return out


def _guessed(name: object, shape: tuple[int, ...], options: Mapping[str, str], notes: list[str]) -> str:
    """Letters of an array of which only the shape is known: height and width last, or before a short axis of channels."""
    last = len(shape) >= 3 and shape[-1] <= 4 and min(shape[-3:-1]) > 4
    if last:
        return _unique("q" * (len(shape) - 3)) + "yx" + ("s" if shape[-1] in (3, 4) else "c")
    leading = [n for n in shape[:-2] if n > 1]
    if len(shape) > 3 and shape[-3] == 3:
        # the layout of this package's own arrays, and of torch
        notes.append(f"the axis of 3 in the shape {shape} is read as red, green and blue; {_how(shape)} otherwise")
        return _unique("q" * (len(shape) - 3)) + "syx"
    if len(leading) == 1 and leading[0] <= 4:
        letters = "".join("c" if n > 1 else free for n, free in zip(shape[:-2], "abdef")) + "yx"
        notes.append(f"the shape {shape} is read as {leading[0]} slices; ?axes={letters} says that they are channels")
    elif len(shape) == 3 and shape[0] == shape[1] > 2 * shape[2]:
        notes.append(
            f"the shape {shape} is read as {shape[0]} slices of {shape[2]} columns; ?axes=yxz counts the last axis"
        )
    if "channel" in options and len(leading) == 1 and leading[0] <= FEW:
        return _unique("".join("c" if n > 1 else "q" for n in shape[:-2])) + "yx"
    return _unique("q" * (len(shape) - 2)) + "yx"


def _remark(name: object, leading: Sequence[str], sizes: Mapping[str, int], asked: bool, notes: list[str]) -> None:
    """Refuse, or note, more than one axis of slices, and times."""
    counted = [letter for letter in leading if sizes[letter] > 1]
    unnamed = [letter for letter in counted if letter in UNNAMED]
    if len(counted) > 1 and not asked:
        if unnamed and any(sizes[letter] <= FEW for letter in unnamed):
            shape = tuple(sizes.values())
            raise InputError(f"{name}: does not say which of the axes of {shape} are channels or slices; {_how(shape)}")
        words = " x ".join(str(sizes[letter]) for letter in counted)
        named = next((letter for letter in counted if letter not in UNNAMED), "")
        more = f"; ?{named}=0 reads one number along {named}" if named else ""
        notes.append(f"{words} images along {len(counted)} axes are read one after another{more}")
    if "t" in counted:
        notes.append(
            f"{sizes['t']} points in time are read as images; what is held out may show the places of training"
        )
