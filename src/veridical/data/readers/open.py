"""Folders, stacks and stores -> lazy slices in the stored type.

Whatever the user's data can do wrong is an `InputError` that names the file. The headers of all files are checked when
a set is opened; pixels are decoded when a slice is read.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.data.axes import check_options
from veridical.data.readers.drawn import Drawn, drawn
from veridical.data.readers.folders import open_file, open_folder
from veridical.data.readers.formats import FORMATS, open_format
from veridical.data.readers.hdf5 import open_hdf5
from veridical.data.readers.hdf5_pile import open_pile
from veridical.data.readers.imagefile import SUFFIXES, check_readable
from veridical.data.readers.pairs import is_pairs, open_pairs
from veridical.data.readers.runs import check_no_run
from veridical.data.readers.tiff_stack import open_tiff
from veridical.data.readers.volumes import open_npy
from veridical.data.readers.zarr_store import is_zarr, open_zarr
from veridical.data.slices import Slices
from veridical.data.spec import HOLDERS, Spec, parse_spec

HDF5_SUFFIXES = tuple(suffix for suffix in HOLDERS if suffix != ".zarr")


def open_slices(spec: str | Path) -> Slices:
    """Open a set of images without decoding its pixels.

    Parameters
    ----------
    spec : str or Path
        - a folder of PNG, TIFF, JPEG, BMP or NPY images, searched recursively; if it holds ``train/`` and ``test/`` (or the
          like), only these two; of a folder with ``pairs.jsonl`` the images after
          (`veridical.data.readers.pairs`). Label images (``masks/``, ``labels/``, ``core_mask.png``, ...), folders called
          ``known_bad`` and hidden ones are left out;
        - an image file, a multi-page TIFF or a ``.npy`` array;
        - ``file.h5:/path``, where the path is ``/exchange/data`` if not given, or ``file.h5:/group/name_*`` for one dataset a
          slice;
        - a Zarr array (version 2 or 3) or OME-Zarr image, of which the highest resolution is taken;
        - DICOM (a file, or a folder with a series), NIfTI, NRRD, MetaImage, MRC, NPZ, raw with a shape: see
          `veridical.data.readers.formats`;
        - ``skimage:NAME``, an image that scikit-image ships;
        - ``phantom:KIND``, or ``phantom:KIND?n=64&size=256&seed=0``, and options of the phantom:
          ``phantom:rocks?porosity=0.1,0.4``. With ``pairs=add_crack,remove_cracks`` or ``pairs=all`` the images after these
          changes.

        Files may have options, ``stack.ome.tif?channel=DAPI&series=1`` (see `veridical.data.axes.plan_axes`).

    Returns
    -------
    Slices

    Raises
    ------
    InputError
        If nothing readable is there.
    """
    text = os.fspath(spec)
    if text.startswith("phantom:"):
        return _phantom(text)
    if text.startswith("skimage:"):
        text = str(_shipped(text))
    if not text:
        raise InputError("data of an empty name cannot be opened: give a folder or a file")
    given = parse_spec(text)
    try:
        slices = _open(given)
        for said in slices.notes:
            tell(spec, said)
        return slices
    except PermissionError as error:
        raise InputError(f"{error.filename or given.path}: you may not read this; change its permissions") from None


def _open(given: Spec) -> Slices:
    path, key, options = given
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    check_no_run(path)
    if path.is_dir():
        if is_zarr(path):
            return open_zarr(path, key, options)
        if is_pairs(path):
            check_options(path, options, ())
            return open_pairs(path)
        return open_folder(path, lambda only: _open(Spec(only, None, {})), options)
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix in HDF5_SUFFIXES:
        return (open_pile if key and "*" in key else open_hdf5)(path, key or "", options)
    if suffix == ".npy":
        return open_npy(path, options)
    if suffix in (".tif", ".tiff"):
        return open_tiff(path, options) or open_file(path)
    if suffix in SUFFIXES:
        check_options(path, options, ())
        return open_file(path)
    if found := open_format(path, key, options):
        return found
    kinds = ", ".join((*SUFFIXES, *HDF5_SUFFIXES, ".zarr", *FORMATS))
    raise InputError(f"{path}: is not a kind of file that can be read; give one of {kinds}")


# ------------------------------------------------------------------------------------------ shipped and made images


def _shipped(text: str) -> Path:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
    name = Path(text.removeprefix("skimage:")).stem
    if name not in found:
        raise InputError(f"{text}: scikit-image ships no such image; it has {', '.join(found)}")
    return found[name]


def _phantom(text: str) -> Slices:
    from urllib.parse import parse_qsl

    from veridical.phantoms import parse_options

    kind, _, query = text.removeprefix("phantom:").partition("?")
    counts, others, changes = {"n": 64, "size": 256, "seed": 0}, {}, ""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in others or (name == "pairs" and changes):
            raise InputError(f"{text}: {name} is given twice: leave one out")
        if name == "pairs":
            changes = value
        elif name not in counts:
            others[name] = value
        elif not value.isdecimal() or len(value) > 4000 or (name != "seed" and int(value) < 1):
            kind_of = "whole" if name == "seed" else "positive"
            raise InputError(
                f"{text}: {name}={value} is no {kind_of} number; write for example phantom:{kind}?n=64&size=256&seed=0"
            )
        else:
            counts[name] = int(value)
    try:
        options = parse_options(kind, others)
    except InputError as error:
        raise InputError(f"{text}: {error}") from error
    n, size = counts["n"], counts["size"]
    # all are made at once: images, float32, and masks
    check_cost(text, pixels=size * size, images=n, nbytes=n * size * size * (13 if kind == "roots" else 5))
    made = partial(drawn, kind, n, size, counts["seed"], options, changes)
    if changes:
        check_cost(text, pixels=size * size, images=2 * n, nbytes=n * size * size * (27 if kind == "roots" else 11))
        made()  # what cannot be changed is said when it is opened
    return Slices(
        kind="phantom",
        names=[f"{kind}_{k:04d}" for k in range(n)],
        shapes=[(size, size)] * n,
        dtype=np.dtype(np.float32),
        channels=3 if kind == "roots" else 1,
        read=partial(_phantom_image, made),
        mapped=True,
        masked=[True] * n,
        read_mask=partial(_phantom_mask, made),
        properties=partial(_phantom_properties, made),
        captions=partial(_phantom_captions, made),
        read_before=partial(_phantom_before, made) if changes else None,
    )


def _phantom_image(made: Callable[[], Drawn], index: int) -> np.ndarray:
    return _as_stored(made().images[index])


def _phantom_before(made: Callable[[], Drawn], index: int) -> np.ndarray:
    before = made().before
    assert before is not None
    return _as_stored(before[index])


def _as_stored(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def _phantom_mask(made: Callable[[], Drawn], index: int) -> np.ndarray:
    return made().masks[index]


def _phantom_properties(made: Callable[[], Drawn]) -> list[dict[str, float]]:
    return made().properties


def _phantom_captions(made: Callable[[], Drawn]) -> list[tuple[str, ...]]:
    return made().captions
