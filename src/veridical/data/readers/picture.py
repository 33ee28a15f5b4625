"""PNG, JPEG and BMP through Pillow. Its own limit on pixels is not asked: `veridical.core.limits` is."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from veridical.core.errors import InputError
from veridical.core.limits import check_cost
from veridical.data.readers.pixels import ALPHA, CMYK, PALETTE, Header, check_claim, drop_alpha, grey_palette, orient

# first bytes -> Pillow's class for the format
_KINDS: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
# Pillow mode -> channels, note, mode to convert to
_MODES: dict[str, tuple[int, str | None, str | None]] = {
    "1": (1, None, None),
    "L": (1, None, None),
    "RGB": (3, None, None),
    "I;16": (1, None, None),
    "LA": (1, ALPHA, "L"),
    "RGBA": (3, ALPHA, "RGB"),
    "RGBX": (3, None, "RGB"),
    "CMYK": (3, CMYK, "RGB"),
    "YCbCr": (3, None, "RGB"),
}


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """An image whose header is read and whose size is within the limits.

    The class of the format is called, not `PIL.Image.open`: that one refuses large scans by a number that belongs to the
    whole process, which we neither want to obey nor to change under other threads.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        file.seek(0)
        kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)
        if kind is None:
            raise InputError(_stranger(path))
        try:
            image = kind(file, str(path))
        except SyntaxError as error:  # how Pillow's classes say that the header makes no sense
            raise ValueError(str(error)) from None
        check_cost(path, pixels=image.size[0] * image.size[1])
        yield image


def _stranger(path: Path) -> str:
    """The sentence for what is none of the three formats."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            return f"{path}: is really a {image.format} file; rename or convert it"
    except Exception:
        return f"{path}: is not an image, whatever its name says; take it out or export it again"


def _plan(image: Image.Image, path: Path) -> tuple[int, str | None, str | None]:
    """Channels, note and target mode of an opened image."""
    if image.mode in ("P", "PA") and image.palette is not None:
        note = grey_palette(_palette(image))[1]
        return (1, note, "grey") if note else (3, PALETTE, "RGB")
    if image.mode not in _MODES:
        raise InputError(f"{path}: the colour mode {image.mode} cannot be read; save it as grey or RGB")
    return _MODES[image.mode]


def _palette(image: Image.Image) -> np.ndarray:
    """Colours (K, 3) uint8 of an image in mode P."""
    assert image.palette is not None
    width = len(image.palette.rawmode or image.palette.mode)
    raw = np.frombuffer(bytes(image.palette.palette), np.uint8)
    colours = raw[: len(raw) // width * width].reshape(-1, width)[:, :3]
    return colours[:, ::-1] if (image.palette.rawmode or "").startswith("BGR") else colours


def _orientation(image: Image.Image) -> int:
    # asking a PNG without an early eXIf chunk for it would decode all its pixels
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return image.getexif().get(274, 1)


def _png_header(path: Path) -> tuple[int, int, int, int] | None:
    """Width, height, bits and colour type of a PNG."""
    with open(path, "rb") as file:
        start = file.read(26)
    if start[:8] != b"\x89PNG\r\n\x1a\n" or len(start) < 26:
        return None
    return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big"), start[24], start[25]


def _deep_png(path: Path) -> int | None:
    """Colour type of a 16-bit PNG; Pillow cuts these to 8 bits where they have colour or alpha."""
    header = _png_header(path)
    return header[3] if header and header[2] == 16 else None


def picture_header(path: Path) -> Header:
    """Size, type and channels of a PNG, JPEG or BMP."""
    with _opened(path) as image:
        width, height = image.size
        png = _png_header(path)
        if png:
            samples = {2: 3, 4: 2, 6: 4}.get(png[3], 1)
            check_claim(path, height * (width * samples * png[2] // 8), ratio=1032)  # deflate packs no tighter
        shape = (width, height) if _orientation(image) >= 5 else (height, width)
        colour_type = _deep_png(path)
        if colour_type is not None:
            note = ALPHA if colour_type in (4, 6) else None
            return Header(shape, np.dtype(np.uint16), 3 if colour_type in (2, 6) else 1, notes=[note] if note else [])
        channels, note, _ = _plan(image, path)
        dtype = {"1": np.dtype(bool), "I;16": np.dtype(np.uint16)}.get(image.mode, np.dtype(np.uint8))
        return Header(shape, dtype, channels, notes=[note] if note else [])


def picture_pixels(path: Path) -> np.ndarray:
    """Decode a PNG, JPEG or BMP."""
    with _opened(path) as image:
        code = _orientation(image)
        if _deep_png(path) is not None:
            import imagecodecs

            return orient(drop_alpha(imagecodecs.png_decode(path.read_bytes())), code)
        _, _, target = _plan(image, path)
        image.load()
        if target == "grey":
            table = np.zeros(256, np.uint8)
            greys = grey_palette(_palette(image))[0]
            table[: len(greys)] = greys
            array = table[np.asarray(image.getchannel(0))]
        else:
            array = np.asarray(image.convert(target) if target else image)
        return orient(array, code)
