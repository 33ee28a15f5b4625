"""How large an input may be: one budget, checked from what a header says before anything is allocated or listed."""

from __future__ import annotations

import os

from veridical.core.errors import InputError

LARGEST_TILE = 4096  # pixels along a side of a tile that a bench compares

# Quantity: environment variable that raises the limit, limit, words.
LIMITS = {
    "pixels": ("VERIDICAL_MAX_PIXELS", 2**32, "pixels in one image"),
    "images": ("VERIDICAL_MAX_IMAGES", 2_000_000, "images"),
    "nbytes": ("VERIDICAL_MAX_BYTES", 16 * 2**30, "bytes in memory at once"),
}


def limit(quantity: str) -> int:
    """The limit of ``"pixels"`` of one image, ``"images"`` of a set, or ``"nbytes"`` in memory at once.

    Raises
    ------
    InputError
        If the environment variable that sets it is no positive number.
    """
    variable, usual, _ = LIMITS[quantity]
    text = os.environ.get(variable, "")
    if not text:
        return usual
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise InputError(f"{variable}={text[:40]} is no positive number: give one such as {usual}, or unset it.")
    return value


def check_cost(name: object, *, pixels: int = 0, images: int = 0, nbytes: int = 0) -> None:
    """Refuse an input that says it is larger than the limits, before it costs anything.

    Parameters
    ----------
    name : object
        Names the input in the error.
    pixels : int
        Of its largest image.
    images : int
        How many images it holds.
    nbytes : int
        Bytes that have to be in memory at once: a decoded image, a decompressed chunk, a whole set.

    Raises
    ------
    InputError
        Says how large it is, and how to raise the limit.
    """
    for quantity, value in (("pixels", pixels), ("images", images), ("nbytes", nbytes)):
        if int(value) > limit(quantity):
            variable, _, words = LIMITS[quantity]
            raise InputError(
                f"{name}: has {_short(int(value))} {words}, more than {limit(quantity):,}: its header is broken, or set "
                f"{variable}={_short(int(value))} if it is meant"
            )


def _short(value: int) -> str:
    return str(value) if value < 10**18 else f"1e{len(str(value)) - 1}" if value < 10**300 else "endlessly many"
