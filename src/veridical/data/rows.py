"""Which row of a table that lies beside images belongs to which image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from veridical.core.errors import InputError
from veridical.data.spec import parse_spec
from veridical.data.split import group_of
from veridical.data.tables import stem


def places_of(spec: str) -> list[tuple[Path, str]]:
    """Folders where tables of the images in `spec` may lie, each with what it puts before the names of its rows."""
    root = root_of(spec)
    return [(root, ""), (root / "train", "train/"), (root / "test", "test/"), (root.parent, "")]


def root_of(spec: str) -> Path:
    """The folder that the names of images are relative to."""
    path = parse_spec(spec).path
    return path if path.is_dir() else path.parent


def bases_of(names: Sequence[str]) -> Counter[str]:
    """How many images have a file of each name, whatever their folder."""
    return Counter(stem(name.strip()).rsplit("/", 1)[-1] for name in names)


def row_of(spec: str, name: str, bases: Mapping[str, int], has: Callable[[str], bool]) -> str | None:
    """The row of an image: by full name, without the side of the split, by file name alone, or by the image that a tile was
    cut from.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    name : str
        Of the image.
    bases : mapping
        Of all images, see `bases_of`.
    has : callable
        Whether there is a row of that name.

    Raises
    ------
    InputError
        If the row of a file name alone may mean several images.
    """
    whole = stem(name.strip())
    base = whole.rsplit("/", 1)[-1]
    for key in _keys(whole, base):
        if has(key):
            if key == base != whole and bases[base] > 1:
                raise InputError(
                    f"{spec}: a row of {base} may mean {name} or another image of that name; write the folder too"
                )
            return key
    return None


def _keys(whole: str, base: str) -> Iterator[str]:
    side = whole.split("/")[0] + "/" if whole.startswith(("train/", "test/")) else ""
    yield from (whole, whole.removeprefix(side), side + base, base)
    yield from (group_of(whole), group_of(base))
