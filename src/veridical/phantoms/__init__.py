"""Images with known answers: label mask, table of properties and caption for three materials.

`generate` makes a set in memory and `write_phantoms` writes it as a folder. Image k depends only on the seed and k.
"""

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.core.files import check_folder, replacing, write_text
from veridical.core.limits import check_cost
from veridical.core.parse import parse_value
from veridical.phantoms import cmc, rocks, roots
from veridical.phantoms.cmc import CmcOptions
from veridical.phantoms.drawing import KINDS, Options, draw_phantom
from veridical.phantoms.rocks import RocksOptions
from veridical.phantoms.roots import RootsOptions
from veridical.phantoms.tomography import Scan
from veridical.wording import Fact

__all__ = [
    "KINDS", "CmcOptions", "Phantoms", "RocksOptions", "RootsOptions", "Scan", "cmc", "generate", "parse_options", "rocks",
    "roots", "write_phantoms",
]  # fmt: skip


@dataclass(frozen=True)
class Phantoms:
    """A set of phantoms.

    Attributes
    ----------
    images : (N, C, S, S) float32 in [0, 1]; C is 1 for cmc and rocks, 3 for roots.
    masks : (N, S, S) uint8 labels; their meaning is in `LABELS` of the kind's module.
    properties : N rows of numbers measured from the truth, of what lies inside the image.
    captions : several sentences of each; the first says everything in numbers, the others some of it in other words.
    facts : what each of those sentences says.
    """

    images: np.ndarray
    masks: np.ndarray
    properties: list[dict[str, float]]
    captions: list[tuple[str, ...]]
    facts: list[tuple[list[Fact], ...]]


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
            made = list(pool.map(one, range(n), chunksize=max(1, n // (4 * workers))))
    else:
        made = [one(k) for k in range(n)]
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
    options: Options = options_class(**values)
    return options


def check_output(folder: str | Path, bits: int) -> Path:
    """The folder that `write_phantoms` may write to; before they are drawn, which takes long.

    Raises
    ------
    InputError : the folder exists and is not empty, a file is in its way, or `bits` is neither 8 nor 16.
    """
    folder = Path(folder)
    if bits not in (8, 16):
        raise InputError(f"phantoms of {bits} bits cannot be written; use 8 or 16")
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not an empty folder: name a new one for the phantoms")
    return folder


def write_phantoms(folder: str | Path, phantoms: Phantoms, bits: int = 16) -> list[Path]:
    """Write a set as ``images/NNNN.png``, ``masks/NNNN.png``, ``properties.csv`` and ``captions.jsonl``.

    One-channel images are PNG of `bits` 8 or 16, colour images 8-bit PNG; the file of a mask has its image's name. Lines of
    the two tables name their image in `file_name`.

    Returns
    -------
    Paths of the images.

    Raises
    ------
    InputError : as `check_output` says.
    """
    folder = check_output(folder, bits)
    names = [f"{k:04d}.png" for k in range(len(phantoms.images))]
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        _write(folder, names, phantoms, bits)
    except BaseException:  # a full disk, Ctrl-C: the same command must find what it found before
        for name in ("images", "masks"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("properties.csv", "captions.jsonl"):
            (folder / name).unlink(missing_ok=True)
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise
    return [folder / "images" / name for name in names]


def _write(folder: Path, names: Sequence[str], phantoms: Phantoms, bits: int) -> None:
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for name, image, mask in zip(names, phantoms.images, phantoms.masks):
        if image.shape[0] == 1 and bits == 16:
            picture = Image.fromarray(np.round(image[0] * 65535).astype(np.uint16))
        else:
            picture = Image.fromarray(np.round(image.transpose(1, 2, 0) * 255).astype(np.uint8).squeeze())
        for which, shown in (("images", picture), ("masks", Image.fromarray(mask))):
            with replacing(folder / which / name) as temporary:
                shown.save(temporary, format="png")
    _write_tables(folder, names, phantoms)


def _write_tables(folder: Path, names: Sequence[str], phantoms: Phantoms) -> None:
    properties = phantoms.properties
    text = io.StringIO()
    table = csv.DictWriter(text, ["file_name", *properties[0]])
    table.writeheader()
    table.writerows({"file_name": name, **row} for name, row in zip(names, properties))
    write_text(folder / "properties.csv", text.getvalue())
    lines = [
        json.dumps({"file_name": name, "text": text, "facts": [asdict(fact) for fact in facts]}) + "\n"
        for name, texts, told in zip(names, phantoms.captions, phantoms.facts)
        for text, facts in zip(texts, told)
    ]
    write_text(folder / "captions.jsonl", "".join(lines))
