"""The intensity window: the one map between stored counts and [0, 1]."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.data.slices import Slices

# Wide enough to keep rare dense minerals and narrow enough to drop dead pixels and zingers.
PERCENTILES = (0.05, 99.95)

# Values that programs write where nothing was measured, and by how many spreads of the rest they must lie away from it.
SENTINELS = {
    **dict.fromkeys((-9999.0, -99999.0, -32768.0, -(2.0**31), float(np.finfo(np.float32).min)), 0.25),
    **dict.fromkeys((32767.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1), 2.0),
}
FAR = 10.0  # the same for any other value
REPEATED, DISTINCT = 9, 16  # pixels that have the value, and other values, at least
LOOKED_AT = 64  # images that `window_of` looks at, at most, with about as many million pixels


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


def fit_window(arrays: Iterable[np.ndarray], dtype: np.dtype | str, missing: Collection[float] = ()) -> IntensityWindow:
    """Robust intensity window of a sample of pixels.

    Parameters
    ----------
    arrays : iterable of array
        Stored counts of any shape. All channels of a colour image share one window, so that colours keep their balance.
    dtype : dtype
        The stored type. Boolean images have the window (0, 1).
    missing : collection of float
        Values that stand for nothing measured. They are left out, as those that `isolated_extremes` finds.

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
    values = _measured(arrays, dtype, missing)
    for value in isolated_extremes(values)[0]:
        values = values[values != value]
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


def isolated_extremes(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Repeated extreme values far from all others: what programs write where nothing was measured, such as -9999 or 3.4e38.

    Parameters
    ----------
    values : array
        Finite stored counts, a sample of pixels. In 8 bits there are none: black and white are values there.

    Returns
    -------
    missing : list of float
        Smallest or largest values that at least nine pixels have, with nothing between them and the rest over ten times the
        spread of the rest (its 1 to 99 percentile), less for the usual `SENTINELS`. The rest has to have 16 values, so
        that images of phases have none.
    doubtful : list of float
        Zero, where it is such a value: it may be a background, which is part of the picture.
    """
    found: tuple[list[float], list[float]] = [], []
    if values.dtype.itemsize == 1:
        return found
    again = True
    while again and len(found[0]) < 4:
        again = False
        for extreme, rest_of in ((np.max, np.less), (np.min, np.greater)):
            if values.size < REPEATED + DISTINCT:
                return found
            value = extreme(values)
            rest = values[rest_of(values, value)]
            if not DISTINCT <= rest.size <= values.size - REPEATED:
                continue
            gap = abs(float(value) - float(extreme(rest)))
            few = rest[:: max(1, rest.size // 10_000)]
            low, high = np.percentile(few, (1, 99))
            if not gap > SENTINELS.get(float(value), FAR) * float(high - low) > 0 or np.unique(few).size < DISTINCT:
                continue
            if value != 0:
                found[0].append(float(value))
                values, again = rest, True
            elif 0.0 not in found[1]:
                found[1].append(0.0)
    return found


def _measured(arrays: Iterable[np.ndarray], dtype: np.dtype, missing: Collection[float] = ()) -> np.ndarray:
    """All finite values of arrays in one row, but those that are missing."""
    values = np.concatenate([np.asarray(a).ravel() for a in arrays] or [np.zeros(0)])
    if dtype.kind == "f":
        values = values[np.isfinite(values)].astype(np.float64)
    for value in missing:
        values = values[values != value]
    return values


def describe_extremes(
    arrays: Iterable[np.ndarray], dtype: np.dtype | str, missing: Collection[float] = ()
) -> list[str]:
    """A sentence on each value that `isolated_extremes` finds in stored counts."""
    values = _measured(arrays, np.dtype(dtype), missing)
    gone, doubtful = isolated_extremes(values)
    share = {value: float(np.mean(values == value)) for value in (*gone, *doubtful)}
    return [
        *(
            f"{value:g}, in {share[value]:.2g} of the pixels and far from all others, counts as missing: the intensity window "
            "leaves it out"
            for value in gone
        ),
        *(
            f"{value:g}, in {share[value]:.2g} of the pixels, is far from all others: where it stands for nothing measured, "
            "write NaN"
            for value in doubtful
        ),
    ]


@lru_cache(maxsize=8)
def _table(low: float, high: float, itemsize: int) -> Images:
    """All answers of `to_unit` for 8- or 16-bit counts; a look-up is several times faster than the arithmetic."""
    counts = np.arange(256**itemsize, dtype=np.float64)
    return np.clip((counts - low) / (high - low), 0.0, 1.0).astype(np.float32)


EIGHT_BITS = IntensityWindow(0.0, 255.0, "uint8")


def window_of(slices: Slices) -> IntensityWindow:
    """Black and white of images in front of a model that was not trained on any such.

    8 bits are taken as they are, 0 to 255; of other types the window is fitted on images of the whole set (`fit_window`), as for
    a training.

    Raises
    ------
    InputError
        If the images say nothing.
    """
    if slices.dtype == np.uint8:
        return EIGHT_BITS
    few = range(0, len(slices), -(-len(slices) // LOOKED_AT))
    step = max(1, round((len(few) * max(np.prod(shape) for shape in slices.shapes) / (LOOKED_AT * 2**20)) ** 0.5))
    return fit_window([slices[k][::step, ::step] for k in few], slices.dtype, slices.missing)
