"""One image file -> one array in its stored type: a table of suffixes, and one sentence for whatever is wrong with a file.

Palettes and orientation tags are applied, CMYK becomes RGB, alpha is left out; 16-bit data are never cut to 8 bits.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from veridical.core.errors import InputError, explain
from veridical.core.files import open_regular
from veridical.core.limits import check_cost
from veridical.data.readers.jpeg2000 import jpeg2000_header, jpeg2000_pixels
from veridical.data.readers.netpbm import netpbm_header, netpbm_pixels
from veridical.data.readers.picture import picture_header, picture_pixels
from veridical.data.readers.pixels import ALPHA, Header, check_dtype, drop_alpha
from veridical.data.readers.sidecar import read_sidecar
from veridical.data.readers.tiff import tiff_header, tiff_pixels

T = TypeVar("T")


def read_header(path: Path) -> Header:
    """Size, type and channels of an image file, without decoding it.

    Raises
    ------
    InputError
        If it is no image, or says that it is larger than the limits of `veridical.core.limits`.
    """
    check_readable(path)
    header = guard(path, lambda: _codec(path).header(path))
    pixels = header.shape[0] * header.shape[1]
    mapped = path.suffix.lower() == ".npy"
    check_cost(path, pixels=pixels, nbytes=0 if mapped else pixels * header.channels * header.dtype.itemsize)
    if header.pixel_size is None:
        header.pixel_size, notes = read_sidecar(path, header.shape)
        header.notes += notes
    return header


def read_image(path: str | Path) -> np.ndarray:
    """Decode one image file to (H, W) or (H, W, 3) in its stored type."""
    path = Path(path)
    check_readable(path)
    return guard(path, lambda: _codec(path).pixels(path))


def guard(path: Path, work: Callable[[], T]) -> T:
    """Run `work` and turn whatever a broken file makes its decoder raise into one sentence."""
    try:
        return work()
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path}: there is not enough memory to read it; close other programs or cut it into parts"
        ) from None
    except OSError as error:
        if (
            error.errno is not None
        ):  # the system's word; decoders raise OSError without a number for what they cannot read
            raise InputError(f"{path}: {explain(error)}") from None
        raise _damaged(path, error) from None
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).replace(str(path), "").split())[:120] or type(error).__name__
    return InputError(f"{path}: is damaged, cut short or not what its name says ({reason}); copy or export it again")


def check_readable(path: Path) -> None:
    """Raise `InputError` for what is no regular file, cannot be opened or holds nothing."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise InputError(f"{path}: the file is empty (zero bytes); copy or export it again")
        guard(path, lambda: file.read(1))


# ------------------------------------------------------------------------------------------------------------- NPY


def _npy_header(path: Path) -> Header:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise InputError(f"{path}: has the shape {array.shape}, not that of one image; open a volume by its own path")
    note = ALPHA if channels == 4 else None
    return Header(array.shape[:2], check_dtype(array.dtype, path), min(channels, 3), notes=[note] if note else [])


def _npy_pixels(path: Path) -> np.ndarray:
    return drop_alpha(np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)))


# -------------------------------------------------------------------------------------------------------- the table


class Codec(NamedTuple):
    """How a kind of file is read: its header without decoding it, and its pixels."""

    header: Callable[[Path], Header]
    pixels: Callable[[Path], np.ndarray]


_PICTURE, _TIFF = Codec(picture_header, picture_pixels), Codec(tiff_header, tiff_pixels)
_NETPBM, _JPEG2000 = Codec(netpbm_header, netpbm_pixels), Codec(jpeg2000_header, jpeg2000_pixels)
CODECS = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp"), _PICTURE),
    **dict.fromkeys((".tif", ".tiff"), _TIFF),
    ".npy": Codec(_npy_header, _npy_pixels),
    **dict.fromkeys((".jp2", ".j2k"), _JPEG2000),
    **dict.fromkeys((".pgm", ".ppm", ".pbm", ".pnm"), _NETPBM),
}
SUFFIXES = tuple(CODECS)


def _codec(path: Path) -> Codec:
    return CODECS.get(path.suffix.lower(), _PICTURE)
