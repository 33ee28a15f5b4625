"""Images with known answers: label mask, table of properties and caption for three materials.

`generate` makes a set in memory and `write_phantoms` writes it as a folder. Image k depends only on the seed and k. `pairs` makes
images before and after an instruction, and `write_pairs` writes them.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.core.parse import parse_value
from veridical.core.progress import reached
from veridical.phantoms import cmc, rocks, roots
from veridical.phantoms.cmc import CmcOptions
from veridical.phantoms.drawing import KINDS, Options, draw_phantom
from veridical.phantoms.pairing import CHANGES, Pairs, pairs
from veridical.phantoms.rocks import RocksOptions
from veridical.phantoms.roots import RootsOptions
from veridical.phantoms.spheres import SpheresOptions, draw_spheres, write_spheres
from veridical.phantoms.tomography import Scan
from veridical.phantoms.writing import Phantoms, check_output, write_pairs, write_phantoms

__all__ = [
    "CHANGES", "KINDS", "CmcOptions", "Pairs", "Phantoms", "RocksOptions", "RootsOptions", "Scan", "SpheresOptions",
    "check_output", "cmc", "draw_spheres", "generate", "pairs", "parse_options", "parse_volume_options", "rocks", "roots",
    "write_pairs", "write_phantoms", "write_spheres",
]  # fmt: skip


def generate(
    kind: str,
    n: int,
    size: int = 256,
    seed: int = 0,
    *,
    options: Options | None = None,
    workers: int = 1,
) -> Phantoms:
    """Make a set of phantoms.

    Image k is drawn from ``default_rng([seed, k])``: it depends neither on n nor on the number of processes. The size
    is the field of view; a pixel is as large in a small image as in a large one.

    Parameters
    ----------
    kind : "cmc", "rocks" or "roots".
    n : number of images.
    size : side of the square images in pixels, at least 32.
    seed : not negative.
    options : what to draw, of the kind's own class (`CmcOptions`, `RocksOptions`, `RootsOptions`).
    workers : processes to share the work; no more than there are images or processors.

    Raises
    ------
    InputError : unknown kind, options of another kind, or numbers out of range.
    """
    if kind not in KINDS:
        raise InputError(f"there is no phantom {kind!r}: choose one of {', '.join(KINDS)}")
    _, options_class = KINDS[kind]
    if options is not None and not isinstance(options, options_class):
        raise InputError(f"options of the {kind} phantom must be {options_class.__name__}")
    if n < 1 or size < 32 or seed < 0:
        raise InputError(f"a phantom set needs n >= 1, size >= 32 and seed >= 0, not n={n}, size={size}, seed={seed}")
    values = n * size**2 * (13 if kind == "roots" else 5)  # images are float32, masks uint8
    check_cost(f"phantom:{kind}?n={n}&size={size}", pixels=size**2, images=n, nbytes=values)
    one = partial(draw_phantom, kind, size, seed, options or options_class())
    workers = min(workers, n, os.cpu_count() or 1)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            made = []
            for each in pool.map(one, range(n), chunksize=max(1, n // (4 * workers))):
                made.append(each)
                reached(len(made) / n, f"{n} {kind} phantoms are drawn")
    else:
        made = []
        for k in range(n):
            made.append(one(k))
            reached((k + 1) / n, f"{n} {kind} phantoms are drawn")
    views = [view for view, _ in made]
    return Phantoms(
        np.stack([view.image for view in views]),
        np.stack([view.mask for view in views]),
        [view.properties for view in views],
        [tuple(text for text, _ in said) for _, said in made],
        [tuple(facts for _, facts in said) for _, said in made],
    )


def parse_options(kind: str, given: dict[str, str]) -> Options:
    """The options of a kind of phantom from texts, such as ``{"porosity": "0.1,0.4"}``: a number, or from low to high.

    Raises
    ------
    InputError : unknown kind or option, a text that does not read as such, or numbers out of range.
    """
    if kind not in KINDS:
        raise InputError(f"there is no phantom {kind!r}: choose one of {', '.join(KINDS)}")
    _, options_class = KINDS[kind]
    options: Options = options_class(**_values(kind, options_class, given))
    return options


def parse_volume_options(given: dict[str, str]) -> SpheresOptions:
    """Those of ``spheres``, whose phantoms are volumes; likewise."""
    return SpheresOptions(**_values("spheres", SpheresOptions, given))


def _values(kind: str, options_class: type, given: dict[str, str]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in fields(options_class) if f.name != "scan"}
    values = {}
    for name, text in given.items():
        if name not in defaults:
            raise InputError(f"a {kind} phantom has no option {name!r}: it has {', '.join(defaults)}")
        try:
            value = parse_value(text, defaults[name])
        except InputError as error:
            usual = defaults[name]
            example = ",".join(map(str, usual)) if isinstance(usual, tuple) else usual
            raise InputError(
                f"phantom option {name}={text} cannot be read: write for example {name}={example}"
            ) from error
        values[name] = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return values
