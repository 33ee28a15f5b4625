"""The intensity window: the one map between stored counts and [0, 1]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError

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

    def to_unit(self, array: np.ndarray) -> Images:
        """Stored counts, any shape, to float32 in [0, 1]: clipped to the window, NaN to 0."""
        array = np.asarray(array)
        if array.dtype in (np.uint8, np.uint16):
            looked_up: Images = _table(self.low, self.high, array.dtype.itemsize)[array]
            return looked_up
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

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that ``json.dump`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> IntensityWindow:
        """The inverse of `to_json`."""
        return cls(float(values["low"]), float(values["high"]), str(values["dtype"]))


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


@lru_cache(maxsize=8)
def _table(low: float, high: float, itemsize: int) -> Images:
    """All answers of `to_unit` for 8- or 16-bit counts; a look-up is several times faster than the arithmetic."""
    counts = np.arange(256**itemsize, dtype=np.float64)
    return np.clip((counts - low) / (high - low), 0.0, 1.0).astype(np.float32)
