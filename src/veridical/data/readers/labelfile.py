"""One label image -> whole numbers as they are stored: never through a colour conversion, never through a narrowing cast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from veridical.core.errors import InputError
from veridical.core.files import open_regular
from veridical.core.limits import check_cost
from veridical.data.readers.imagefile import check_readable, guard, read_image
from veridical.data.readers.tiff import plan_page, tiff_file

LARGEST = 65535  # label value
_PICTURES: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
_LOSSY = ("OJPEG", "JPEG", "JPEG_LOSSY", "ALT_JPEG", "WEBP")  # compressions of TIFF


class LabelFile(NamedTuple):
    """A label image as it is stored.

    Attributes
    ----------
    pixels : ndarray
        uint8 or uint16 (H, W), or uint8 (H, W, 3) of one that is painted in colours; not turned.
    palette : ndarray of uint8, shape (K, 3), or None
        The colours that the numbers of an indexed image are shown in.
    orientation : int
        The EXIF or TIFF tag that says how to turn it, 1 to 8.
    """

    pixels: np.ndarray
    palette: np.ndarray | None = None
    orientation: int = 1


def read_labels(path: Path) -> LabelFile:
    """Read a label image.

    Indices of a palette are the label values, whatever their colours. Three equal channels are grey. Of a picture with
    transparency the colours are read.

    Raises
    ------
    InputError
        If a value is no whole number from 0 to 65535; if transparency tells pixels apart that have one colour; if lossy
        compression made values in between; if it cannot be read.
    """
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        pixels, palette, orientation, lossy = guard(path, lambda: _tiff(path))
    elif suffix in (".png", ".jpg", ".jpeg", ".bmp"):
        pixels, palette, orientation, lossy = guard(path, lambda: _picture(path))
    else:
        load = (lambda: np.asarray(np.load(path, allow_pickle=False))) if suffix == ".npy" else lambda: read_image(path)
        pixels, palette, orientation, lossy = guard(path, load), None, 1, False
    pixels = as_labels(pixels, path)
    if lossy and not np.isin(pixels, (0, 255)).all():
        raise InputError(
            f"{path}: is a label image with lossy compression (JPEG), which makes values in between; export the labels as PNG"
        )
    return LabelFile(pixels, palette, orientation)


def as_labels(pixels: np.ndarray, name: object) -> np.ndarray:
    """Label values of any array, uint8 or uint16 (H, W), or colours, uint8 (H, W, 3); checked before any cast.

    Raises
    ------
    InputError
        If they are none.
    """
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = _without_alpha(pixels, name)
    if pixels.ndim == 3 and (pixels.shape[2] == 1 or (pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all())):
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8):
        raise InputError(
            f"{name}: is no label image: {pixels.dtype} of the shape {pixels.shape}; export it as 8-bit grey PNG"
        )
    if pixels.dtype.kind not in "buif" or not pixels.size:
        raise InputError(f"{name}: holds {pixels.dtype} values; label images hold whole numbers")
    if pixels.dtype.kind == "f":
        strange = ~np.isfinite(pixels)
        strange = strange if strange.any() else pixels != np.rint(pixels)
        if strange.any():
            value = f"{pixels[strange][0]:g}".replace("nan", "NaN")
            raise InputError(
                f"{name}: its label image holds {value}; label images hold whole numbers: export the classes"
            )
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > LARGEST:
        raise InputError(
            f"{name}: its label image holds {low if low < 0 else high:g}; label values are 0 to {LARGEST}: number the classes "
            "0, 1, 2 ..."
        )
    return pixels.astype(np.uint8 if high <= 255 else np.uint16, copy=False)


def _without_alpha(pixels: np.ndarray, name: object) -> np.ndarray:
    colours, alpha = pixels[..., :-1], pixels[..., -1]
    if (alpha != alpha.flat[0]).any():
        # as one number a pixel: with transparency there must be no more of them than without
        codes = np.unique(colours.reshape(-1, colours.shape[-1]), axis=0, return_inverse=True)[1].reshape(-1)
        if len(np.unique(codes * 65536 + alpha.ravel())) > codes.max() + 1:
            raise InputError(
                f"{name}: its transparency tells pixels of one colour apart; save the label image without transparency"
            )
    return colours


# ------------------------------------------------------------------------------------------------------------ files

_Read = tuple[np.ndarray, np.ndarray | None, int, bool]  # pixels, palette, orientation, whether compression is lossy


def _picture(path: Path) -> _Read:
    with open_regular(path) as file:
        start = file.read(32)
        file.seek(0)
        kind = _kind(start)
        if kind is None:
            raise InputError(f"{path}: is no PNG, JPEG or BMP file, whatever its name says; export it again")
        image = kind(file, str(path))  # not Image.open, whose limit on pixels is of the whole process
        check_cost(path, pixels=image.size[0] * image.size[1])
        bits, colour = (start[24], start[25]) if kind is PngImagePlugin.PngImageFile else (8, 0)
        orientation = _orientation(image)
        lossy = kind is JpegImagePlugin.JpegImageFile
        if bits == 16 and colour in (2, 4, 6):  # which Pillow cuts to 8 bits
            import imagecodecs

            file.seek(0)
            return imagecodecs.png_decode(file.read()), None, orientation, False
        if image.mode not in ("1", "L", "I;16", "I", "LA", "RGB", "RGBA", "P"):
            raise InputError(
                f"{path}: a label image cannot have the colour mode {image.mode}; save it as 8-bit grey PNG"
            )
        pixels = np.asarray(image)
        palette = None
        if image.mode == "P":
            palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if image.mode == "L" and bits in (2, 4):  # which Pillow spreads over 0 to 255
            pixels = pixels // (255 // (2**bits - 1))
        return pixels, palette, orientation, lossy


def _tiff(path: Path) -> _Read:
    with tiff_file(path) as tif:
        page: Any = tif.pages[0]
        if len(tif.pages) > 1 and len(tif.series[0].pages) > 1:
            raise InputError(f"{path}: is a stack of {len(tif.series[0].pages)} label images; save one file an image")
        _, _, _, treatment = plan_page(page, path)
        check_cost(path, pixels=page.imagelength * page.imagewidth)
        if treatment == "cmyk":
            raise InputError(f"{path}: a label image cannot have CMYK colours; save it as 8-bit grey PNG")
        pixels, palette = page.asarray(), None
        if page.planarconfig == 2 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        if treatment == "palette":
            table = np.asarray(page.colormap)
            palette = (table >> 8 if table.max() > 255 else table).astype(np.uint8).T
        lossy = getattr(page.compression, "name", "").upper() in _LOSSY
        return pixels, palette, int(page.tags.valueof(274, 1)), lossy


def orientation_of(path: Path) -> int:
    """The tag of an image file that says how it is turned, 1 to 8; 1 where there is none."""
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return guard(path, lambda: _tiff_orientation(path))
    if suffix not in (".png", ".jpg", ".jpeg"):
        return 1
    with open_regular(path) as file:
        kind = _kind(file.read(8))
        file.seek(0)
        return 1 if kind is None else guard(path, lambda: _orientation(kind(file, str(path))))


def _kind(start: bytes) -> type[ImageFile.ImageFile] | None:
    return next((kind for magic, kind in _PICTURES.items() if start.startswith(magic)), None)


def _tiff_orientation(path: Path) -> int:
    with tiff_file(path) as tif:
        return int(tif.pages[0].tags.valueof(274, 1))


def _orientation(image: Image.Image) -> int:
    # asking a PNG without an early eXIf chunk for it would decode all its pixels
    if image.format == "BMP" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(274, 1))
