"""Files of the field: a table from suffix to reader, and one sentence for those that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from veridical.core.errors import InputError
from veridical.data.axes import check_options
from veridical.data.readers.dicom import is_dicom, open_dicom, open_dicom_folder
from veridical.data.readers.metaimage import open_metaimage
from veridical.data.readers.mrc import open_mrc
from veridical.data.readers.nifti import open_nifti
from veridical.data.readers.npz import open_npz
from veridical.data.readers.nrrd import open_nrrd
from veridical.data.readers.raw import open_raw
from veridical.data.readers.walk import walk
from veridical.data.slices import Slices


class Format(NamedTuple):
    """A reader, and the package of the extra ``formats`` that it needs."""

    open: Callable[[Path, str | None, Mapping[str, str]], Slices]
    package: str = ""
    module: str = ""


_DICOM, _MRC = Format(open_dicom, "pydicom", "pydicom"), Format(open_mrc, "mrcfile", "mrcfile")
_NIFTI, _NRRD = Format(open_nifti, "nibabel", "nibabel"), Format(open_nrrd, "pynrrd", "nrrd")
FORMATS = {
    **dict.fromkeys((".dcm", ".dicom"), _DICOM),
    **dict.fromkeys((".nii", ".nii.gz"), _NIFTI),
    **dict.fromkeys((".nrrd", ".nhdr"), _NRRD),
    **dict.fromkeys((".mrc", ".rec", ".map", ".st"), _MRC),
    **dict.fromkeys((".mha", ".mhd"), Format(open_metaimage)),
    ".npz": Format(open_npz),
    ".raw": Format(open_raw),
}
_FIJI = "open it in Fiji (Bio-Formats) and save it as TIFF"
# no reader under a licence that this package could use, or none that is kept
UNREAD = {
    **dict.fromkeys((".dm3", ".dm4"), f"a file of Gatan's DigitalMicrograph: save it there as TIFF or MRC, or {_FIJI}"),
    **dict.fromkeys((".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi", ".lsm"), f"a microscope's own file: {_FIJI}"),
    **dict.fromkeys((".txm", ".txrm", ".xrm"), "a file of Zeiss's X-ray microscopes: export it there as TIFF"),
    **dict.fromkeys(
        (".vgi", ".vgl", ".vol"), "a volume of VGStudio or the like: export slices as TIFF, or rename it to .raw"
    ),
    **dict.fromkeys((".am", ".hx"), "a file of Amira or Avizo: export it there as TIFF or NRRD"),
    **dict.fromkeys((".img", ".hdr"), "Analyze, or another format of that suffix: convert it to NIfTI (.nii)"),
    **dict.fromkeys((".pt", ".pth", ".pkl"), "a pickle, which would run its code: save the array as .npy"),
    ".mat": "a file of MATLAB: save the array as .npy or HDF5, or rename it to .h5 if it was saved with -v7.3",
    ".gif": "GIF: convert it to PNG",
    ".webp": "WebP, which loses detail: convert it to PNG",
}


def find_format(path: Path) -> Format | None:
    """The row for a file's suffix, the longest that fits; None if there is none."""
    name = path.name.lower()
    return next((FORMATS[s] for s in sorted(FORMATS, key=len, reverse=True) if name.endswith(s) and name != s), None)


def open_format(path: Path, inside: str | None, options: Mapping[str, str]) -> Slices | None:
    """Open a file of the field; None if it is none.

    Raises
    ------
    InputError
        If it needs a package that is not installed, or is of a kind that is not read: says what to do.
    """
    found = find_format(path) or (_DICOM if is_dicom(path) else None)
    if found:
        _need(path, found)
        return found.open(path, inside, options)
    if path.suffix.lower() in UNREAD:
        raise InputError(f"{path}: is {UNREAD[path.suffix.lower()]}")
    return None


def open_format_folder(folder: Path, options: Mapping[str, str], outside: bool = False) -> Slices | None:
    """Open a folder without image files that holds a DICOM series, or one file of the field; None if it does not.

    Links that lead out of the folder are followed if `outside`.
    """
    paths = walk(folder, ("",), outside).found
    series = [path for path in paths if path.name != "DICOMDIR" and is_dicom(path)]
    others = [path for path in paths if find_format(path) and path not in series and path.suffix.lower() != ".raw"]
    if series and not others:
        _need(series[0], _DICOM)
        return open_dicom_folder(folder, series, options)
    raw = [path for path in paths if path.suffix.lower() == ".raw"]
    single = others if others else raw
    if len(single) == 1 and not series:
        check_options(folder, options, ())
        return open_format(single[0], None, {})
    if single or series:
        names = ", ".join(path.name for path in [*single, *series][:4])
        raise InputError(f"{folder}: holds {len(single) + len(series)} volumes ({names}, ...); give one of them")
    return None


def _need(path: Path, found: Format) -> None:
    if found.module and find_spec(found.module) is None:
        raise InputError(f"{path}: needs {found.package} to be read; pip install 'veridical[formats]'")
