"""Stored counts <-> float32 in [0, 1], images to files, and grids to look at. Nobody else rescales intensities."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from veridical.core.errors import InputError
from veridical.core.files import replacing
from veridical.core.limits import check_cost
from veridical.core.notes import tell
from veridical.data.inside import TEXT, XMP, Inside
from veridical.data.window import IntensityWindow, fit_window


class ImageSet(NamedTuple):
    """A whole set in memory: `images` (N, C, H, W) float32 in [0, 1], `names`, `window`, `pixel_size` (µm)."""

    images: np.ndarray
    names: list[str]
    window: IntensityWindow
    pixel_size: float | None


def read_images(spec: str | Path, window: IntensityWindow | None = None) -> ImageSet:
    """Read every image of `spec` (anything that `veridical.data.readers.open.open_slices` opens) into memory.

    Parameters
    ----------
    spec : str or Path
        A folder, stack or file whose images all have one size.
    window : IntensityWindow, optional
        The map to [0, 1]; give the window of the real images when reading synthetic ones. Fitted on these images
        if None.

    Returns
    -------
    ImageSet
        Images, names (relative, without suffix), window and pixel size.

    Raises
    ------
    InputError
        If the images cannot be read, differ in size, are of a type that says nothing in `window`, or are more than may be in
        memory at once (`veridical.core.limits`), which is asked before any is decoded.
    """
    from veridical.data.readers.open import open_slices

    slices = open_slices(spec)
    for name, shape in zip(slices.names, slices.shapes):
        if shape != slices.shapes[0]:
            raise InputError(
                f"{spec}: {slices.names[0]} has {_by(slices.shapes[0])} pixels and {name} {_by(shape)}; "
                "cut the images to one size first"
            )
    # as stored and as float32
    values = len(slices) * int(np.prod(slices.shapes[0])) * slices.channels
    check_cost(spec, nbytes=values * (slices.dtype.itemsize + 4))
    stored = np.stack([slices[i] for i in range(len(slices))])
    if window is None:
        window = fit_window([stored], slices.dtype, slices.missing)
    unit = window.to_unit(stored) if window.dtype == slices.dtype.name else _through(spec, stored, window)
    return ImageSet(channels_first(unit), list(slices.names), window, slices.pixel_size)


def _through(spec: str | Path, stored: np.ndarray, window: IntensityWindow) -> np.ndarray:
    """Images of another type than the window is for, in [0, 1]; how they were read is told.

    Floating-point values are counts of the window, or lie in [0, 1] already, as arrays of samples do: those of the window
    reach beyond 1 where it is for integers of more than one bit.
    """
    own, other = stored.dtype, np.dtype(window.dtype)
    if own.kind == other.kind == "f":
        return window.to_unit(stored)
    if own.kind == "f" and other.kind in "iu":
        known = stored[np.isfinite(stored)]
        if known.size and known.min() >= 0 and known.max() <= 1:
            tell(
                spec,
                f"its {own.name} values lie in [0, 1], so they are taken for grey levels in the window of the data",
            )
            return np.nan_to_num(stored, nan=0.0, posinf=1.0, neginf=0.0).astype(np.float32)
        tell(spec, f"its {own.name} values are taken for counts of {other.name}, as the data have")
        return window.to_unit(stored)
    if own.kind in "iu" and other.kind == "f" and window.high - window.low > 2:
        tell(spec, f"its {own.name} counts are taken for values of {other.name}, as the data have")
        return window.to_unit(stored.astype(other))
    raise InputError(
        f"{spec}: the images are {own.name} but the window they should be read with is for {other.name}; save them in the "
        "same type as the real images"
    )


def channels_first(images: np.ndarray) -> np.ndarray:
    """(N, H, W) or (N, H, W, 3) to contiguous (N, C, H, W)."""
    if images.ndim == 3:
        return images[:, None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def write_images(
    folder: str | Path,
    images: np.ndarray,
    window: IntensityWindow,
    *,
    stems: Sequence[str] | None = None,
    pixel_size: float | None = None,
) -> list[Path]:
    """Write images in the data set's own counts and bit depth.

    Parameters
    ----------
    folder : path
        Made if absent. Each file appears under its name only when complete.
    images : array (N, C, H, W)
        float in [0, 1], C = 1 or 3.
    window : IntensityWindow
        Its inverse gives the stored counts. 8-bit and 1-bit images become PNG, all others TIFF.
    stems : sequence of str, optional
        File names without suffix; 000000, 000001 ... by default.
    pixel_size : float, optional
        Micrometres; written into the resolution tags of TIFF files.

    Returns
    -------
    list of Path
        The files in the order of the images.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stems = [f"{k:06d}" for k in range(len(images))] if stems is None else stems
    paths = []
    for stem, image in zip(stems, images, strict=True):
        path = folder / f"{stem}{suffix_of(window.dtype)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_counts(path, window.from_unit(image), pixel_size)
        paths.append(path)
    return paths


def suffix_of(dtype: np.dtype | str) -> str:
    """Of the files that hold a stored type: PNG for 8 bits and 1 bit, else TIFF."""
    return ".png" if np.dtype(dtype) in (np.uint8, np.bool_) else ".tif"


def write_counts(path: Path, counts: np.ndarray, pixel_size: float | None = None, inside: Inside | None = None) -> None:
    """Write one image (C, H, W) of a stored type as it is, NaN and infinity too, to a file that ends with its `suffix_of`.

    What the file says `inside` stands in the text ``veridical`` of PNG, in the description of TIFF, and in XMP of both.
    """
    counts = counts[0] if len(counts) == 1 else np.ascontiguousarray(counts.transpose(1, 2, 0))
    (save_png if suffix_of(counts.dtype) == ".png" else _save_tiff)(path, counts, pixel_size, inside)


def save_png(
    path: str | Path, array: np.ndarray, pixel_size: float | None = None, inside: Inside | None = None
) -> None:
    """Write uint8 or bool (H, W), or uint8 (H, W, 3); the file appears only when complete. `pixel_size` is not kept."""
    texts = PngInfo()
    if inside is not None:
        texts.add_itxt(TEXT, inside.text)
        texts.add_itxt(XMP, inside.xmp)
    with replacing(Path(path)) as temporary:
        Image.fromarray(array).save(temporary, format="png", pnginfo=texts)


def _save_tiff(path: Path, array: np.ndarray, pixel_size: float | None, inside: Inside | None) -> None:
    import tifffile

    xmp = b"" if inside is None else inside.xmp.encode()
    per_centimetre = 1e4 / pixel_size if pixel_size else 1.0
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            array,
            photometric="rgb" if array.ndim == 3 else "minisblack",
            metadata=None,
            description=None if inside is None else inside.text,
            extratags=[(700, "B", len(xmp), xmp, True)] if xmp else (),
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER" if pixel_size else "NONE",
        )


def to_grid(images: np.ndarray, columns: int | None = None, pad: int = 2, scale: int = 1) -> np.ndarray:
    """Images side by side on white.

    Parameters
    ----------
    images : array (N, C, H, W)
        float in [0, 1], C = 1 or 3.
    columns : int, optional
        Images in a row; about square by default.
    pad : int
        White pixels between images.
    scale : int
        Each pixel is drawn `scale` times as large, not interpolated.

    Returns
    -------
    array (H', W') or (H', W', 3)
        uint8.
    """
    n, channels, height, width = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    tiles = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)
    tiles = tiles.repeat(scale, axis=2).repeat(scale, axis=3)
    height, width = height * scale, width * scale
    grid = np.full((rows * (height + pad) - pad, columns * (width + pad) - pad, channels), 255, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = (k // columns) * (height + pad), (k % columns) * (width + pad)
        grid[y : y + height, x : x + width] = tile.transpose(1, 2, 0)
    return grid[..., 0] if channels == 1 else grid


def _by(shape: tuple[int, ...]) -> str:
    """(height, width) as people say it."""
    return f"{shape[1]} x {shape[0]}"
