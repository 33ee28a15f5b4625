"""Frames of DICOM files, unpacked by pydicom, or by imagecodecs where pydicom would need further packages."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.limits import check_cost


def transfer_syntax(header: Any) -> Any:
    """How the pixels of a `pydicom.Dataset` are packed, its UID."""
    from pydicom.uid import ImplicitVRLittleEndian

    return getattr(header, "file_meta", {}).get("TransferSyntaxUID", ImplicitVRLittleEndian)


def decode_frame(path: Path, number: int) -> np.ndarray:
    """Frame (H, W) or (H, W, 3) of a file, in its stored type."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that do not keep to the standard
        return _decode(path, number)


def _decode(path: Path, number: int) -> np.ndarray:
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    header = _header(path, path.stat().st_mtime_ns)
    syntax, count = transfer_syntax(header), int(header.get("NumberOfFrames") or 1)
    index = number if count > 1 else None
    if not syntax.is_encapsulated and not syntax.is_deflated and "TransferSyntaxUID" in header.file_meta:
        array = pixel_array(path, index=index)  # reads no more than this frame
    else:
        check_cost(path, nbytes=path.stat().st_size)
        whole = _dataset(path, path.stat().st_mtime_ns)
        try:
            array = pixel_array(whole, index=index)
        except Exception:
            # a compression that pydicom leaves to packages that are not there
            if syntax not in _CODECS:
                raise
            array = _unpacked(whole, number, count)
    if str(header.get("PhotometricInterpretation")) == "PALETTE COLOR":
        array = apply_color_lut(array, header)
        array = (array >> 8 if array.dtype.itemsize > 1 else array).astype(np.uint8)
    expected = (int(header.Rows), int(header.Columns))
    if array.shape[:2] != expected:
        raise ValueError(f"its pixels are {array.shape}, not {expected}")
    return array.astype(bool) if int(header.BitsAllocated) == 1 else array


@lru_cache(maxsize=2)
def _header(path: Path, _changed: int) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, force=True)


@lru_cache(maxsize=2)  # the frames of a file are read one after another
def _dataset(path: Path, _changed: int) -> Any:
    import pydicom
    from pydicom.uid import ImplicitVRLittleEndian

    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


_AS_RGB = ("RGB", "YBR_RCT", "YBR_ICT")  # JPEG 2000 turns its own colours back
_CODECS = {  # transfer syntax -> decoder of imagecodecs
    "1.2.840.10008.1.2.4.51": "jpeg8_decode",
    "1.2.840.10008.1.2.4.57": "jpegsof3_decode",
    "1.2.840.10008.1.2.4.70": "jpegsof3_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
}


def _unpacked(header: Any, number: int, count: int) -> np.ndarray:
    import imagecodecs
    from pydicom.encaps import get_frame

    if int(header.get("SamplesPerPixel", 1)) == 3 and str(header.PhotometricInterpretation) not in _AS_RGB:
        raise ValueError(f"{transfer_syntax(header).name} of {header.PhotometricInterpretation} is not read")
    packed = get_frame(header.PixelData, number, number_of_frames=count)
    return _signed(getattr(imagecodecs, _CODECS[transfer_syntax(header)])(packed), header)


def _signed(array: np.ndarray, header: Any) -> np.ndarray:
    """Decoded values, which have no sign, as the header has them: two's complement in the bits that are stored."""
    if int(header.get("PixelRepresentation", 0)) == 0 or array.dtype.kind == "i":
        return array.astype(f"{array.dtype.kind}{int(header.BitsAllocated) // 8}", copy=False)
    top = 1 << (int(header.BitsStored) - 1)
    wide = array.astype(np.int64) & (2 * top - 1)
    return ((wide ^ top) - top).astype(f"i{int(header.BitsAllocated) // 8}")
