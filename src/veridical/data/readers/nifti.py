"""NIfTI through nibabel: slices across the third axis, rows along the second, as stored; scaled as the header says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.imagefile import guard
from veridical.data.readers.pixels import MICROMETRES, check_claim, check_dtype, square_pixels
from veridical.data.readers.rescale import Rescaled, rescaled_dtype
from veridical.data.readers.volumes import volume
from veridical.data.slices import Lazy, Slices


def open_nifti(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """A ``.nii`` file, memory-mapped, or ``.nii.gz``, which is unpacked as a whole."""
    return guard(path, lambda: _open(path, options))


def _open(path: Path, options: Mapping[str, str]) -> Slices:
    import nibabel

    image: Any = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Pair):
        raise InputError(f"{path}: holds {type(image).__name__}, no images of NIfTI; give the volume")
    proxy: Any = image.dataobj
    header = image.header
    stored = proxy.dtype
    if stored.fields:
        raise InputError(f"{path}: holds colours ({stored}), which are not read from NIfTI; save the images as TIFF")
    stored = check_dtype(stored, path)
    shape = tuple(int(n) for n in proxy.shape)
    packed = path.suffix.lower() == ".gz"
    nbytes = int(np.prod(shape, dtype=object)) * stored.itemsize
    check_claim(path, nbytes, ratio=1032 if packed else 1)
    check_cost(path, nbytes=nbytes if packed else 0)
    dtype = rescaled_dtype(stored, float(proxy.slope), float(proxy.inter))
    size, notes = _pixel_size(header)
    return volume(
        "nifti",
        Lazy(_array, path, dtype),
        path,
        shape,
        dtype,
        letters="xyztcdef"[: len(shape)],
        options=options,
        mapped=not packed and dtype == stored,
        pixel_size=size,
        notes=notes,
    )


def _array(path: Path, dtype: np.dtype) -> Any:
    import nibabel

    proxy: Any = nibabel.load(path).dataobj  # type: ignore[attr-defined]
    return Rescaled(np.asarray(proxy.get_unscaled()), float(proxy.slope), float(proxy.inter), dtype)


def _pixel_size(header: Any) -> tuple[float | None, list[str]]:
    unit = header.get_xyzt_units()[0]
    across, down = (float(size) for size in header.get_zooms()[:2])
    if unit not in MICROMETRES:
        said = (across, down) != (1, 1)
        return None, [f"its spacing of {across:g} has no unit, so no pixel size is used"] if said else []
    return square_pixels(down * MICROMETRES[unit], across * MICROMETRES[unit])
