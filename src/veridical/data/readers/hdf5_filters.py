"""Compression filters of HDF5: those of detectors and beamlines come with the package hdf5plugin (the extra ``hdf5``)."""

from __future__ import annotations

import contextlib
from typing import Any

from veridical.core.errors import InputError

# registered numbers of filters that data of the field are found with; a file need not say the name
NAMES = {
    307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32012: "APAX", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32019: "JPEG", 32024: "SZ3", 32026: "Blosc2", 32028: "SPERR",
    32033: "HTJ2K",
}  # fmt: skip


def register_filters() -> bool:
    """Make the filters of hdf5plugin known to the HDF5 library, in this process; whether it is installed."""
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  its import registers them

        return True
    return False


def check_filters(array: Any, name: str) -> None:
    """Refuse an `h5py.Dataset` with a filter that is not there, with an InputError that names it."""
    import h5py

    plist = array.id.get_create_plist()
    for k in range(plist.get_nfilters()):
        code, _, _, words = plist.get_filter(k)
        has_plugin = not h5py.h5z.filter_avail(code) and register_filters()
        if h5py.h5z.filter_avail(code):
            continue
        called = NAMES.get(code) or words.decode(errors="replace").strip() or "without a name"
        remedy = (
            "write the file again with gzip"
            if has_plugin
            else "pip install hdf5plugin, or write the file again with gzip"
        )
        raise InputError(f"{name}: is compressed with the filter {code} ({called}), which is not installed; {remedy}")
