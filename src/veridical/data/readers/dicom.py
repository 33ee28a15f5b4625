"""DICOM through pydicom: one file, its frames, or a folder with the slices of one series.

Slices lie in the order of their places in the patient (or of their numbers), rows and columns as stored. Values are rescaled
with slope and intercept; MONOCHROME1 is turned round, so that bright is high.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.dicom_pixels import decode_frame, transfer_syntax
from veridical.data.readers.imagefile import check_readable, guard
from veridical.data.readers.pixels import PALETTE, check_claim, square_pixels
from veridical.data.readers.rescale import rescale, rescaled_dtype
from veridical.data.slices import Slices

INVERTED = "white is zero (MONOCHROME1), turned round,"
_TAGS = [
    "SeriesInstanceUID", "SeriesDescription", "InstanceNumber", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelSpacing", "ImagerPixelSpacing",
    "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "PixelPaddingValue",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "TotalPixelMatrixColumns", "SOPClassUID",
]  # fmt: skip


@dataclass
class _Frame:
    """One image: where it is, how its values are rescaled, and where it lies along the axis of the series."""

    path: Path
    number: int
    slope: float
    intercept: float
    invert: int | None  # the highest stored value, where white is zero
    place: float | None


def open_dicom(path: Path, _inside: str | None, options: Mapping[str, str]) -> Slices:
    """A DICOM file of one or many frames."""
    return guard(path, lambda: _series([path], path.parent, options))


def open_dicom_folder(folder: Path, paths: Sequence[Path], options: Mapping[str, str]) -> Slices:
    """The slices of one series; ``?series=2`` chooses where there are several."""
    return guard(folder, lambda: _series(list(paths), folder, options))


def is_dicom(path: Path) -> bool:
    """Whether a file is called DICOM, or is without a suffix and begins as one."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # IM00001.1, 1.2.840.113619.2
        return False
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _series(paths: list[Path], folder: Path, options: Mapping[str, str]) -> Slices:
    check_cost(folder, images=len(paths))
    for option in options:
        if option != "series":
            raise InputError(f"{folder}: there is no option {option} for DICOM; use series")
    headers = [(path, header) for path in paths if (header := guard(path, partial(_header, path))) is not None]
    named = paths[0] if len(paths) == 1 else folder
    if not headers:
        raise InputError(f"{named}: holds no DICOM images, only other DICOM objects; give the images")
    notes = [f"{len(paths) - len(headers)} DICOM files without pixels left aside"] if len(headers) < len(paths) else []
    headers = _chosen(named, headers, options.get("series"), notes)
    frames = [frame for path, header in headers for frame in guard(path, partial(_frames, path, header))]
    first = headers[0][1]
    kinds = {_kind(header) for _, header in headers}
    if len(kinds) > 1:
        raise InputError(f"{named}: its DICOM files differ in bits or colours; put each kind into a folder of its own")
    channels, photometric, stored = kinds.pop()
    check_cost(named, images=len(frames), pixels=max(int(h.Rows) * int(h.Columns) for _, h in headers))
    bits = max(int(header.BitsStored) for _, header in headers) if "BitsStored" in first else None
    types = {rescaled_dtype(stored, frame.slope, frame.intercept, bits) for frame in frames}
    dtype = types.pop() if len(types) == 1 else np.dtype(np.float32)
    several = len(headers) > 1
    if several:
        frames = _sorted(frames, headers, notes)
    shapes = {path: (int(header.Rows), int(header.Columns)) for path, header in headers}
    size, remarks = _pixel_size(headers, notes)
    if photometric == "PALETTE COLOR":
        notes.append(PALETTE)
    if any(frame.invert is not None for frame in frames):
        notes.append(INVERTED.strip(","))
    elif photometric == "MONOCHROME1":
        notes.append("white is zero (MONOCHROME1) for viewers, the rescaled values are read as they are")
    tiles = "TotalPixelMatrixColumns" in first and len(frames) > 1
    if tiles:
        notes.append("frames are tiles of one large image")
    padding = {header.get("PixelPaddingValue") for _, header in headers}
    pad = padding.pop() if len(padding) == 1 else None
    missing: tuple[float, ...] = ()
    if isinstance(pad, int) and channels == 1 and dtype.kind in "iu":
        value = float(rescale(np.array([pad]), frames[0].slope, frames[0].intercept, np.dtype(np.float64))[0])
        missing = (value,)
        notes.append(f"pixels of {value:g} are missing, as the file says")
    return Slices(
        kind="dicom",
        names=_names(frames, folder),
        shapes=[shapes[frame.path] for frame in frames],
        dtype=dtype,
        channels=channels,
        read=partial(_read, frames, dtype),
        stack=len(frames) > 1 and not tiles and len(set(shapes.values())) == 1,
        pixel_size=size,
        notes=[*notes, *remarks],
        missing=missing,
    )


def _header(path: Path) -> Any:
    """The tags that are needed; None for DICOM objects that are no images."""
    import pydicom

    check_readable(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except pydicom.errors.InvalidDicomError:
            # written without the preamble; rubbish has no tags
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
            if "SOPClassUID" not in header and "Rows" not in header:
                raise ValueError("it has no header of DICOM") from None
        if "Rows" not in header or "Columns" not in header:
            return None
        rows, columns, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
        samples, bits = int(header.get("SamplesPerPixel", 1)), int(header.BitsAllocated)
    if min(rows, columns, frames) < 1 or samples not in (1, 3) or bits not in (1, 8, 16, 32, 64):
        raise InputError(
            f"{path}: has {frames} frames of {columns} x {rows} pixels, {samples} samples of {bits} bits; export it"
        )
    check_cost(path, pixels=rows * columns, images=frames, nbytes=rows * columns * samples * max(1, bits // 8))
    if not transfer_syntax(header).is_encapsulated and not transfer_syntax(header).is_deflated:
        halved = 2 if "422" in str(header.get("PhotometricInterpretation")) else 3
        check_claim(path, frames * rows * columns * samples * bits // 8 * halved // 3)
    return header


def _kind(header: Any) -> tuple[int, str, np.dtype]:
    """Channels, photometric interpretation and type of the stored values."""
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    bits = int(header.BitsAllocated)
    if "PixelRepresentation" not in header and bits >= 32:  # Float Pixel Data, Double Float Pixel Data
        return 1, photometric, np.dtype(f"f{bits // 8}")
    if photometric == "PALETTE COLOR":
        return 3, photometric, np.dtype(np.uint8)
    signed = int(header.get("PixelRepresentation", 0)) == 1
    dtype = np.dtype(bool) if bits == 1 else np.dtype(f"{'i' if signed else 'u'}{bits // 8}")
    if int(header.get("SamplesPerPixel", 1)) == 3:
        return 3, "RGB" if photometric != "MONOCHROME1" else photometric, dtype
    return 1, photometric, dtype


# ------------------------------------------------------------------------------------------------- series and order


def _chosen(
    named: Path, headers: list[tuple[Path, Any]], asked: str | None, notes: list[str]
) -> list[tuple[Path, Any]]:
    series: dict[str, list[tuple[Path, Any]]] = {}
    for path, header in headers:
        series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    groups = list(series.values())
    if asked is None and len(groups) == 1:
        return groups[0]
    if asked is None or not (asked.isdecimal() and len(asked) < 7 and int(asked) < len(groups)):
        listed = ", ".join(
            f"{k} ({len(group)} images, {' '.join(str(group[0][1].get('SeriesDescription', 'no name')).split())[:30]})"
            for k, group in enumerate(groups[:8])
        )
        raise InputError(f"{named}: holds {len(groups)} series; choose one with ?series=0: {listed}")
    if len(groups) > 1:
        notes.append(f"series {asked} of {len(groups)} is read")
    return groups[int(asked)]


def _frames(path: Path, header: Any) -> list[_Frame]:
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    bits = int(header.get("BitsStored", header.BitsAllocated))
    signed = int(header.get("PixelRepresentation", 0)) == 1
    frames = []
    for k in range(int(header.get("NumberOfFrames") or 1)):
        groups = [per_frame[k] if k < len(per_frame) else None, shared]
        transform = _group(groups, "PixelValueTransformationSequence") or header
        slope, intercept = float(transform.get("RescaleSlope") or 1), float(transform.get("RescaleIntercept") or 0)
        plain = (slope, intercept) == (1, 0) and header.get("PhotometricInterpretation") == "MONOCHROME1"
        invert = (-1 if signed else 2**bits - 1) if plain else None
        position = (_group(groups, "PlanePositionSequence") or header).get("ImagePositionPatient")
        orientation = (_group(groups, "PlaneOrientationSequence") or header).get("ImageOrientationPatient")
        place = None
        if position and orientation and len(position) == 3 and len(orientation) == 6:
            across, down = np.array(orientation[:3], float), np.array(orientation[3:], float)
            place = float(np.dot(np.cross(across, down), np.array(position, float)))
        frames.append(_Frame(path, k, slope, intercept, invert, place))
    return frames


def _group(groups: Sequence[Any], name: str) -> Any:
    """First item of a sequence in the first group of a multi-frame image that has it."""
    return next(
        (group[name][0] for group in groups if group is not None and name in group and len(group[name].value)), None
    )


def _sorted(frames: list[_Frame], headers: Sequence[tuple[Path, Any]], notes: list[str]) -> list[_Frame]:
    """Frames along the axis of the series, or by their numbers; says what is missing."""
    numbers = {path: header.get("InstanceNumber") for path, header in headers}
    numbered = all(number is not None for number in numbers.values())
    if any(frame.place is None for frame in frames):
        by = "their numbers" if numbered else "the names of the files"
        notes.append(f"the slices say no places, they are in the order of {by}")
        return sorted(frames, key=lambda f: (int(numbers[f.path]), f.number)) if numbered else frames
    places = np.array([frame.place for frame in frames], float)
    order = sorted(
        range(len(frames)), key=lambda k: (places[k], int(numbers[frames[k].path]) if numbered else k, frames[k].number)
    )
    steps = np.diff(places[order])
    if len(steps) and steps.min() < 1e-4:
        notes.append(
            f"{int((steps < 1e-4).sum())} slices lie at the same place as others: times or contrasts of one series?"
        )
    elif len(steps) > 1 and steps.max() > 1.5 * np.median(steps):
        notes.append(f"slices are missing: gaps of {np.median(steps):g} to {steps.max():g} mm between neighbours")
    return [frames[k] for k in order]


def _pixel_size(headers: Sequence[tuple[Path, Any]], notes: list[str]) -> tuple[float | None, list[str]]:
    """Micrometres, from PixelSpacing (distance of rows, then of columns, in mm)."""
    found = set()
    for _, header in headers:
        shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
        frame = (header.get("PerFrameFunctionalGroupsSequence") or [None])[0]
        measures = _group([frame, shared], "PixelMeasuresSequence") or header
        spacing = measures.get("PixelSpacing")
        if not spacing and header.get("ImagerPixelSpacing"):
            spacing = header.ImagerPixelSpacing
            notes.append("the pixel size is that at the detector, not in the object")
        found.add(tuple(float(value) * 1e3 for value in spacing) if spacing and len(spacing) == 2 else None)
    notes[:] = list(dict.fromkeys(notes))
    if len(found) > 1:
        return None, ["the files state different pixel sizes, so none is used"]
    pair = found.pop()
    return square_pixels(*pair) if pair else (None, [])


def _names(frames: Sequence[_Frame], folder: Path) -> list[str]:
    paths = {frame.path for frame in frames}
    if len(paths) == 1:
        digits = max(4, len(str(len(frames) - 1)))
        return [f"z{k:0{digits}d}" for k in range(len(frames))] if len(frames) > 1 else [frames[0].path.stem]
    stems = {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    if len(set(stems.values())) < len(stems):  # numbers behind a dot are no suffix
        stems = {path: path.relative_to(folder).as_posix() for path in paths}
    single = len(paths) == len(frames)
    return [stems[frame.path] if single else f"{stems[frame.path]}/z{frame.number:04d}" for frame in frames]


# ------------------------------------------------------------------------------------------------- pixels


def _read(frames: Sequence[_Frame], dtype: np.dtype, index: int) -> np.ndarray:
    frame = frames[index]
    array = guard(frame.path, lambda: decode_frame(frame.path, frame.number))
    if frame.invert is not None:
        array = np.asarray(frame.invert - array.astype(np.int64))
    return rescale(array, frame.slope, frame.intercept, dtype)
