"""How many independent fields of view are there? Tiles of one place count once: they are no replicates.

Tiles of one slice go together.
"""

from typing import NamedTuple

import numpy as np

from veridical.stats.groups import merged
from veridical.stats.permutation import enough_blocks

SIDE = 32  # images are compared at this size
REACH = 4  # pixels of the small images that a neighbouring slice may be shifted by
CUT = 0.3  # cycles a small pixel; finer grain is noise that neighbours do not share


class Units(NamedTuple):
    """What is exchanged: `real` (N,) and `synth` (M,) block numbers from 0, what a block is called, whether they suffice."""

    real: np.ndarray
    synth: np.ndarray
    kind: str
    enough: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of real and of synthetic blocks."""
        return int(self.real.max()) + 1, int(self.synth.max()) + 1


def same_place(images: np.ndarray) -> np.ndarray:
    """Which images show the same place, (N, N) bool, symmetric: neighbouring slices, or tiles that overlap.

    Parameters
    ----------
    images : (N, C, H, W)

    Notes
    -----
    Images are reduced to 32 x 32 pixels and whitened by their mean spectrum; two show one place if the peak of their
    correlation, up to shifts of an eighth of the side, is higher by a tenth than any with the mirror image of another one.
    Mirror images have the same spectrum but, as a rule, not the same place, so they show what chance does.
    """
    n = len(images)
    if n < 2:
        return np.eye(n, dtype=bool)
    small = _reduced(np.asarray(images, np.float64).mean(1))
    small = small - small.mean((1, 2), keepdims=True)
    spectra = np.fft.rfft2(small * np.hanning(SIDE + 2)[1:-1, None] * np.hanning(SIDE + 2)[1:-1])
    power = (np.abs(spectra) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
    keep = (frequency > 0) & (frequency <= CUT)
    spectra = np.where(keep, spectra / np.sqrt(power + 1e-3 * power.mean() + 1e-15), 0)
    energy = (np.fft.irfft2(spectra, (SIDE, SIDE)) ** 2).sum((1, 2))
    spectra /= np.sqrt(np.maximum(energy, 1e-12))[:, None, None]
    back = -np.arange(SIDE) % SIDE
    mirrored = spectra[:, back]  # upside down
    peaks, chance = (np.stack([_peaks(each, other) for each in spectra]) for other in (spectra, mirrored))
    np.fill_diagonal(chance, 0)
    return (peaks > max(0.3, 1.1 * chance.max())) | np.eye(n, dtype=bool)


def choose_units(slices: np.ndarray, fields: np.ndarray, synth_groups: np.ndarray, tests: int, alpha: float) -> Units:
    """Slices if there are enough of them, otherwise fields of view.

    Synthetic images are merged into no more blocks than there are real ones: more would promise more than real images
    can show.
    """
    for real, kind in ((slices, "slices"), (fields, "fields of view")):
        n = int(real.max()) + 1
        # images of a generator are named one by one, so they are slices of one image each
        groups = synth_groups if kind == "slices" else np.arange(len(synth_groups))
        synth = merged(groups, n)
        units = Units(real, synth, kind, enough_blocks(n, int(synth.max()) + 1, tests, alpha))
        if units.enough or fields.max() == slices.max():
            break
    return units


def _peaks(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    lags = np.fft.irfft2(one * others.conj(), (SIDE, SIDE))
    near = np.arange(-REACH, REACH + 1)
    return lags[:, near[:, None], near].max((1, 2))


def _reduced(grey: np.ndarray) -> np.ndarray:
    from skimage.transform import resize

    return resize(grey, (len(grey), SIDE, SIDE), anti_aliasing=True, order=1)
