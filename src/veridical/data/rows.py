"""Which rows of a table that lies beside images belong to which image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from veridical.core.errors import InputError
from veridical.data.names import group_of, path_of, same, side_of, without_side
from veridical.data.spec import parse_spec
from veridical.data.tables import stem


def places_of(spec: str) -> list[tuple[Path, str]]:
    """Folders where tables of the images in `spec` may lie, each with what it puts before the names of its rows."""
    root = root_of(spec)
    try:
        sides = [each for each in sorted(root.iterdir()) if side_of(each.name) is not None and each.is_dir()]
    except OSError:
        sides = []
    return [(root, ""), *((side, f"{side.name}/") for side in sides), (root.parent, "")]


def root_of(spec: str) -> Path:
    """The folder that the names of images are relative to."""
    path = parse_spec(spec).path
    return path if path.is_dir() else path.parent


def key_of(image: str, prefix: str = "") -> str:
    """What a row says of its image, as `rows_of` takes it: a path without suffix."""
    return prefix + stem(path_of(image))


def rows_of(spec: str, names: Sequence[str], keys: Sequence[str]) -> list[list[str]]:
    """The rows of each image: by its name, without the side of the split, by its file name alone, or by the image that a tile
    was cut from. Case, Unicode form and kind of slash do not matter; an absolute path or address matches by its end.

    Parameters
    ----------
    spec : str
        Names the data in errors, and where they lie.
    names : sequence of str
        Of all images.
    keys : sequence of str
        Of the rows, see `key_of`.

    Raises
    ------
    InputError
        If the row of a file name alone may mean several images.
    """
    known: dict[str, list[str]] = {}
    for key in dict.fromkeys(keys):
        known.setdefault(same(key), []).append(key)
    wholes = [same(stem(name.strip())) for name in names]
    bases = Counter(whole.rsplit("/", 1)[-1] for whole in wholes)
    alike = Counter(wholes)
    above = [same(part) for part in root_of(spec).absolute().parts[1:]][::-1]
    ends: dict[str, list[str]] | None = None
    found = []
    for name, whole in zip(names, wholes):
        base = whole.rsplit("/", 1)[-1]
        hit = next((key for key in _paths(whole, above) if key in known), None)
        rows = known[hit] if hit is not None else []
        for step in ("path", "name", "any") if hit is None else ():
            if step == "name":
                hit = next((key for key in _names(whole, base) if key in known), None)
                rows = known[hit] if hit is not None else []
            elif "/" in whole or step == "any":
                ends = _ends(known) if ends is None else ends
                rows = ends.get(whole, [])
                if len({same(row) for row in rows}) > 1:
                    raise InputError(
                        f"{spec}: {rows[0]} and {rows[1]} may both be the row of {name}; write names relative to it"
                    )
            if rows:
                break
        if hit == base != whole and bases[base] > 1:
            raise InputError(
                f"{spec}: a row of {base} may mean {name} or another image of that name; write the folder too"
            )
        if alike[whole] > 1 and len(rows) > 1:  # images that differ in case: as they are written
            rows = [row for row in rows if row.rsplit("/", 1)[-1] == stem(name).rsplit("/", 1)[-1]] or rows
        found.append(rows)
    return found


def _paths(whole: str, above: Sequence[str]) -> Iterator[str]:
    """The path of an image, without the side of the split, and from each folder above."""
    yield from (whole, without_side(whole))
    longer = whole
    for folder in above:
        longer = f"{folder}/{longer}"
        yield longer


def _names(whole: str, base: str) -> Iterator[str]:
    side = whole.split("/")[0] + "/" if without_side(whole) != whole else ""
    yield from (side + base, base)
    yield from (group_of(whole), group_of(base))


def _ends(known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Rows with a path that says where an image lies on some machine, by every end of that path."""
    found: dict[str, list[str]] = {}
    for folded, rows in known.items():
        mine = [row for row in rows if row.startswith("/") or row[1:3] in (":/", ":\\")]
        parts = folded.split("/")
        for k in range(1, len(parts) if mine else 0):
            found.setdefault("/".join(parts[k:]), []).extend(mine)
    return found
