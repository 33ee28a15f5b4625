"""Stored counts <-> float32 in [0, 1], images to files, and grids to look at. Nobody else rescales intensities."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from veridical.errors import InputError

# Wide enough to keep rare dense minerals and narrow enough to drop dead pixels and zingers.
PERCENTILES = (0.05, 99.95)


@dataclass(frozen=True)
class IntensityWindow:
    """The linear map between an image set's own counts and [0, 1].

    Parameters
    ----------
    low, high : float
        Stored values that become 0 and 1.
    dtype : str
        NumPy name of the stored type, for example ``"uint16"``.
    """

    low: float
    high: float
    dtype: str

    def to_unit(self, array: np.ndarray) -> np.ndarray:
        """Stored counts, any shape, to float32 in [0, 1]: clipped to the window, NaN to 0."""
        array = np.asarray(array)
        if array.dtype in (np.uint8, np.uint16):
            return _table(self.low, self.high, array.dtype.itemsize)[array]
        unit = array.astype(np.float64)
        unit -= self.low
        unit /= self.high - self.low
        np.nan_to_num(unit, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
        return np.clip(unit, 0.0, 1.0, out=unit).astype(np.float32)

    def from_unit(self, array: np.ndarray) -> np.ndarray:
        """Values in [0, 1], any shape, to the stored type; integers are rounded, bool is ``>= 0.5``."""
        dtype = np.dtype(self.dtype)
        unit = np.clip(np.nan_to_num(np.asarray(array, np.float64)), 0.0, 1.0)
        if dtype == np.bool_:
            return unit >= 0.5
        counts = self.low + unit * (self.high - self.low)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            counts = np.clip(np.rint(counts), limits.min, limits.max)
        return counts.astype(dtype)

    def to_json(self) -> dict:
        """As a dictionary that ``json.dump`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> "IntensityWindow":
        """The inverse of `to_json`."""
        return cls(float(values["low"]), float(values["high"]), str(values["dtype"]))


@lru_cache(maxsize=8)
def _table(low: float, high: float, itemsize: int) -> np.ndarray:
    """All answers of `to_unit` for 8- or 16-bit counts; a look-up is several times faster than the arithmetic."""
    counts = np.arange(256**itemsize, dtype=np.float64)
    return np.clip((counts - low) / (high - low), 0.0, 1.0).astype(np.float32)


def fit_window(arrays: Iterable[np.ndarray], dtype: np.dtype | str) -> IntensityWindow:
    """Robust intensity window of a sample of pixels.

    Parameters
    ----------
    arrays : iterable of array
        Stored counts of any shape. All channels of a colour image share one window, so that colours keep their balance.
    dtype : dtype
        The stored type. Boolean images have the window (0, 1).

    Returns
    -------
    IntensityWindow
        From the 0.05 to the 99.95 percentile of the finite values, or from minimum to maximum where these percentiles
        coincide. Whole counts for integer types.

    Raises
    ------
    InputError
        If no value is finite, or if all are equal.
    """
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return IntensityWindow(0.0, 1.0, "bool")
    values = np.concatenate([np.asarray(a).ravel() for a in arrays] or [np.zeros(0)])
    if dtype.kind == "f":
        values = values[np.isfinite(values)].astype(np.float64)
    if values.size == 0:
        raise InputError("the images hold no finite value (only NaN or infinity); check how they were exported")
    low, high = np.percentile(values, PERCENTILES)
    if dtype.kind in "iu":
        low, high = np.floor(low), np.ceil(high)
    if not high > low:
        low, high = values.min(), values.max()
    if not high > low:
        raise InputError(f"all pixels have the same value ({low:g}); there is nothing to learn from constant images")
    return IntensityWindow(float(low), float(high), dtype.name)


class ImageSet(NamedTuple):
    """A whole set in memory: `images` (N, C, H, W) float32 in [0, 1], `names`, `window`, `pixel_size` (µm)."""

    images: np.ndarray
    names: list[str]
    window: IntensityWindow
    pixel_size: float | None


def read_images(spec: str | Path, window: IntensityWindow | None = None) -> ImageSet:
    """Read every image of `spec` (anything that `veridical.readers.open_slices` opens) into memory.

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
        If the images cannot be read, differ in size, or differ in type from `window`.
    """
    from veridical.readers import open_slices

    slices = open_slices(spec)
    for name, shape in zip(slices.names, slices.shapes):
        if shape != slices.shapes[0]:
            raise InputError(
                f"{spec}: {slices.names[0]} has {_by(slices.shapes[0])} pixels and {name} {_by(shape)}; "
                "cut the images to one size first"
            )
    stored = np.stack([slices[i] for i in range(len(slices))])
    if window is None:
        window = fit_window([stored], slices.dtype)
    elif window.dtype != slices.dtype.name:
        raise InputError(
            f"{spec}: the images are {slices.dtype.name} but the window they should be read with is for "
            f"{window.dtype}; save them in the same type as the real images"
        )
    return ImageSet(channels_first(window.to_unit(stored)), list(slices.names), window, slices.pixel_size)


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
        counts = window.from_unit(image)
        counts = counts[0] if len(counts) == 1 else np.ascontiguousarray(counts.transpose(1, 2, 0))
        path = folder / f"{stem}{'.png' if counts.dtype in (np.uint8, bool) else '.tif'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        (save_png if path.suffix == ".png" else _save_tiff)(path, counts, pixel_size)
        paths.append(path)
    return paths


def save_png(path: str | Path, array: np.ndarray, pixel_size: float | None = None) -> None:
    """Write uint8 or bool (H, W), or uint8 (H, W, 3); the file appears only when complete. `pixel_size` is not kept."""
    temporary = _temporary(path)
    try:
        Image.fromarray(array).save(temporary, format="png")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _save_tiff(path: Path, array: np.ndarray, pixel_size: float | None) -> None:
    import tifffile

    per_centimetre = 1e4 / pixel_size if pixel_size else 1.0
    temporary = _temporary(path)
    try:
        tifffile.imwrite(
            temporary,
            array,
            photometric="rgb" if array.ndim == 3 else "minisblack",
            metadata=None,
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER" if pixel_size else "NONE",
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: str | Path) -> Path:
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


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
