"""How many independent fields of view are there? Tiles of one place count once: they are no replicates.

Tiles of one slice go together.
"""

from typing import Literal, NamedTuple

import numpy as np

from veridical.stats.groups import components, merged
from veridical.stats.permutation import enough_blocks

SIDE = 32  # images are compared at this size
REACH = 4  # pixels of the small images that a neighbouring slice may be shifted by
STEP = 1.3  # times the squared difference of neighbouring rows
CHANCE = 0.6  # times the difference from a mirror image that few borders are below
RARE = 20  # images, of which one may be below
SEEN = 2.0  # times the squared difference of neighbouring rows, as variance along a border
NEIGHBOURS = 0.1  # least share of images with a neighbour, where images were cut into tiles; fewer are chance
FEWEST_SLICES = 4  # to estimate what slices vary by
CUT = 0.3  # cycles a small pixel; finer grain is noise that neighbours do not share


class Units(NamedTuple):
    """What is independent: `real` (N,) and `synth` (M,) block numbers from 0, what a block is called, whether they suffice.

    Blocks are exchanged (`way` "exchange"), or, where slices are too few for that, what they vary by is estimated ("rotate").
    """

    real: np.ndarray
    synth: np.ndarray
    kind: str
    enough: bool
    way: Literal["exchange", "rotate"] = "exchange"

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


def continues(images: np.ndarray) -> np.ndarray:
    """Which images are neighbouring tiles of one image, (N, N) bool, symmetric: the border of one goes on in the other.

    Parameters
    ----------
    images : (N, C, H, W)

    Notes
    -----
    Two borders continue each other if they differ by no more than two rows within an image do, in squares on average up to
    `STEP` times, and by less than `CHANCE` times what borders differ by from the mirror images of others, but for one in `RARE`
    images. Borders on which there is little to see, as much as noise between rows, say nothing.
    """
    grey = np.asarray(images, np.float64).mean(1)
    found = np.zeros((len(grey), len(grey)), bool)
    for turned in (grey, grey.swapaxes(1, 2)):
        first, last = turned[:, 0], turned[:, -1]
        steps = [((border - next_) ** 2).mean(1) for border, next_ in ((last, turned[:, -2]), (first, turned[:, 1]))]
        clear = [border.var(1) > SEEN * step for border, step in zip((last, first), steps, strict=True)]
        usual = np.where(clear[0][:, None] & clear[1], (steps[0][:, None] + steps[1]) / 2, 0)
        np.fill_diagonal(usual, 0)
        apart, chance = (_differences(last, other, usual) for other in (first, first[:, ::-1]))
        rare = np.partition(chance.ravel(), len(grey) // RARE)[len(grey) // RARE]
        found |= apart < min(STEP, CHANCE * rare)
    found |= found.T
    return found if found.any(1).mean() >= NEIGHBOURS else np.zeros_like(found)


def joined(images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Labels (N,) of slices, of which those that show one place or continue each other are one.

    Labels that all differ, as names of files that are numbered do, tell no slices and stay: samples of a generator that are alike
    are not of one place.
    """
    if len(np.unique(groups)) == len(groups):
        return groups
    return components(same_place(images) | continues(images), groups).astype(str)


def choose_units(
    slices: np.ndarray, fields: np.ndarray, synth_groups: np.ndarray, tests: int, alpha: float, *, told: bool = False
) -> Units:
    """Slices, exchanged if there are enough of them, otherwise if there are `FEWEST_SLICES`; or else fields of view.

    Parameters
    ----------
    slices, fields : (N,) numbers of the slice and of the field of view of each real image
    synth_groups : (M,) labels of slices of synthetic images
    tests, alpha : how many statistics there are, and their family-wise level
    told : whether the labels of synthetic images are to be believed even if all differ

    Notes
    -----
    Labels that all differ, as names of files that are numbered do, say nothing of slices. If real images come several of a slice,
    all synthetic ones are then taken for images of one slice, as those may be alike. Synthetic slices
    are merged into no more blocks than there are real ones: more would promise more than real images can show.
    """
    n, places, m = int(slices.max()) + 1, int(fields.max()) + 1, len(synth_groups)
    if not told and 2 * n <= len(slices) and len(np.unique(synth_groups)) == m:
        synth_groups = np.zeros(m, int)
    exchanged = merged(synth_groups, n)
    if enough_blocks(n, int(exchanged.max()) + 1, tests, alpha):
        return Units(slices, exchanged, "slices", True)
    if n >= FEWEST_SLICES:
        return Units(slices, exchanged, "slices", True, "rotate")
    exchanged = merged(np.arange(m), places)
    return Units(fields, exchanged, "fields of view", enough_blocks(places, int(exchanged.max()) + 1, tests, alpha))


def _peaks(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    lags = np.fft.irfft2(one * others.conj(), (SIDE, SIDE))
    near = np.arange(-REACH, REACH + 1)
    return lags[:, near[:, None], near].max((1, 2))


def _differences(one: np.ndarray, other: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Mean squared differences of borders (N, L) and (N, L) in units of the usual ones, (N, N); infinite where these are 0."""
    both = (one**2).mean(1)[:, None] + (other**2).mean(1) - 2 * one @ other.T / one.shape[1]
    found: np.ndarray = np.divide(both.clip(0), usual, out=np.full(usual.shape, np.inf), where=usual > 0)
    return found


def _reduced(grey: np.ndarray) -> np.ndarray:
    from skimage.transform import resize

    return resize(grey, (len(grey), SIDE, SIDE), anti_aliasing=True, order=1)
