"""What may be changed in phantoms, and what their data are called. Imports no torch, as the help of the command line reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from veridical.core.errors import InputError
from veridical.core.text import short

NAMED = {  # what an instruction changes, as the ruler measures it
    "add_crack": "n_cracks", "remove_cracks": "n_cracks", "more_fibres": "n_fibres", "fewer_fibres": "n_fibres",
    "larger_fibres": "fibre_volume_fraction", "smaller_fibres": "fibre_volume_fraction", "add_binder": "binder_fraction",
    "remove_binder": "binder_fraction", "more_pores": "porosity", "fewer_pores": "porosity", "larger_grains": "porosity",
    "remove_grain": "porosity", "add_mineral": "mineral_fraction", "remove_minerals": "mineral_fraction",
    "add_laterals": "n_laterals", "remove_laterals": "n_laterals", "thicker_roots": "mean_width_px",
    "thinner_roots": "mean_width_px", "longer_root": "total_length_px", "shorter_root": "total_length_px",
}  # fmt: skip


class Phantom(NamedTuple):
    """What ``phantom:KIND?...`` says: kind, size, options as text."""

    kind: str
    size: int
    given: dict[str, str]


def phantom_of(data: str) -> Phantom | None:
    """The phantoms of a dataset of which pairs can be made; None for other data."""
    if not data.startswith("phantom:"):
        return None
    kind, _, query = data.removeprefix("phantom:").partition("?")
    from veridical.phantoms.pairing import CHANGES

    asked = dict(parse_qsl(query))
    size = asked.pop("size", "256")
    if not (size.isascii() and size.isdecimal() and len(size) < 8):
        raise InputError(f"{data}: size={short(size)} is no number of pixels: write such as size=64.")
    given = {name: value for name, value in asked.items() if name not in ("n", "seed", "pairs")}
    return Phantom(kind, int(size), given) if kind in CHANGES else None


def paired_data(data: str, changes: Sequence[str], n: int) -> str:
    """The spec of pairs of phantoms to learn instructions from; their seed is that of the data."""
    kind, _, query = data.removeprefix("phantom:").partition("?")
    asked = dict(parse_qsl(query)) | {"pairs": ",".join(changes), "n": str(n)}
    return f"phantom:{kind}?{urlencode(asked, safe=',+')}".replace("+", "%2B")
