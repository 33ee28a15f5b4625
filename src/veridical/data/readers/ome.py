"""What OME-XML says in a TIFF: its companions, sizes and channels, read before tifffile believes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # expat bounds what entities may grow to

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.companions import companion


def check_ome(text: str, path: Path, outside: bool) -> None:
    """Refuse metadata that claim more planes than may be read, or name files that are missing or lie elsewhere.

    Parameters
    ----------
    text : str
        OME-XML.
    path : Path
        The file that it lies in.
    outside : bool
        Whether it may name files in other folders.
    """
    names: set[str] = set()
    for pixels in _elements(text, "Pixels"):
        planes = 1
        for axis in "ZCT":
            planes *= max(1, _whole(pixels, f"Size{axis}", path))
        check_cost(path, images=planes, pixels=_whole(pixels, "SizeX", path) * _whole(pixels, "SizeY", path))
        for data in _children(pixels, "TiffData"):
            for name in ("PlaneCount", "NumPlanes", "IFD", "FirstZ", "FirstC", "FirstT"):
                check_cost(path, images=_whole(data, name, path))
            names.update(uuid.attrib["FileName"] for uuid in _children(data, "UUID") if "FileName" in uuid.attrib)
    for along in [e for letter in "ZCT" for e in _elements(text, f"Along{letter}")]:
        try:
            start, end, step = (float(along.attrib.get(name, default)) for name, default in _MODULO)
            check_cost(path, images=int((end - start) / step))
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: its OME metadata are damaged; export it again") from None
    for name in sorted(names):
        # a file that was renamed still calls itself by its old name
        if name.lower() != path.name.lower() and (len(names) > 1 or (path.parent / name).exists()):
            companion(path, name, path.parent, outside)


_MODULO = (("Start", "0"), ("End", "0"), ("Step", "1"))


def channel_names(text: str, number: int) -> list[str]:
    """Names of the channels of the image of that number; empty where there are none."""
    images = list(_elements(text, "Pixels"))
    if number >= len(images):
        return []
    return [channel.attrib.get("Name", "") for channel in _children(images[number], "Channel")]


def ome_pixel_size(text: str) -> list[tuple[float, str]]:
    """Height and width of a pixel of the first image, each with its unit; NaN where it is not stated."""
    sizes = []
    pixels = next(_elements(text, "Pixels"), None)
    for axis in "YX":
        attributes = {} if pixels is None else pixels.attrib
        try:
            value = float(attributes.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            value = float("nan")
        sizes.append((value, attributes.get(f"PhysicalSize{axis}Unit", "µm")))
    return sizes


def _elements(text: str, name: str) -> Iterator[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return  # tifffile goes by the pages then
    yield from (element for element in root.iter() if str(element.tag).endswith(name))


def _children(element: Any, name: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if str(child.tag).endswith(name))


def _whole(element: Any, name: str, path: Path) -> int:
    text = element.attrib.get(name, "0")
    if not (text.strip().isdecimal() and len(text) < 1000):
        raise InputError(f"{path}: its OME metadata say {name}={text[:20]}, which is no whole number; export it again")
    return int(text)
