"""How large the things in images are, and which tile and scale fit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from veridical.data.dataset import Dataset
from veridical.data.focus import EMPTY, RICH, contrast
from veridical.data.names import group_of, without_side
from veridical.metrics.physics_phases import mean_chord
from veridical.metrics.physics_spectrum import correlation_length, luminance

CROP, CROPS = 256, 32  # pixels, and crops of as many images, that lengths are measured on
PIXELS = 4 * 2**20  # of all of them
ACROSS = 2.5  # things with their gaps that a tile has to hold side by side, at least (docs/choosing.md)
FINEST = 2.5  # pixels that the smaller of bright and dark parts keep when images are made smaller
FINE = 3.0  # pixels: what is smaller is noise, or too fine for tiles
TILES = 256  # looked at for empty ones
MANY = 0.25  # share of empty tiles that is worth a word
JUDGED = 4  # slices, from which on an audit can say what slices vary by
ENOUGH = 300  # training tiles; with fewer that are larger a generator learns less, and repeats them sooner
RARE = 0.2  # share of the spacing, below which the thinner parts would be lost first
CHOICES = (
    (64, 1.0),
    (64, 0.5),
    (128, 0.5),
    (64, 0.25),
    (128, 0.25),
)  # tile and scale: the finest that will do is taken


@dataclass(frozen=True)
class Advice:
    """What is measured of a dataset, and what follows.

    Attributes
    ----------
    correlation_length : float
        Lag at which the autocorrelation falls to one half, in stored pixels; like all lengths the median over images.
    bright, dark : float
        Mean chords of what is brighter and darker than Otsu's threshold, in stored pixels: how far a line stays in it.
        Discs of diameter d have pi d / 4.
    spacing : float
        Their sum: from one structure to the next along a line.
    beyond : bool
        Whether the images are so small that they hold few things: then lengths are at least these.
    empty : float
        Share of training tiles, as the dataset was opened, with hardly any contrast.
    size, scale : int, float
        Suggested tile, in pixels, and what images are resized by first.
    tiles : int
        Training tiles that then lie side by side, about.
    pixel_size : float or None
        Stored, in micrometres.
    hold_out : int
        Images to hold out for an audit to say pass or fail, where too few are and enough would be left; 0: as it is.
    notes : list of str
    """

    correlation_length: float
    bright: float
    dark: float
    spacing: float
    beyond: bool
    empty: float
    size: int
    scale: float
    tiles: int
    pixel_size: float | None
    hold_out: int
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join(lines(self))


def advise(dataset: Dataset) -> Advice:
    """How large things are in the training images of a dataset, and which tile and scale fit them: what ``veridical data`` says.

    Parameters
    ----------
    dataset : Dataset
        Of tiles of any size. Lengths are measured at its scale, where thin gaps may be lost.

    Returns
    -------
    Advice
        ``print`` shows it in sentences.
    """
    scale = dataset.size / dataset.span  # of its tiles
    images = dataset.regions("train", PIXELS)[0]
    n = min(CROPS, len(images))
    crops = [_middle(images[k * len(images) // n]) for k in range(n)]
    measured = np.median([_lengths(crop) for crop in crops], axis=0) / scale
    length, bright, dark = (float(value) for value in measured)
    side = float(np.median([min(crop.shape[1:]) for crop in crops])) / scale
    spacing = bright + dark
    beyond = spacing > side / ACROSS
    area = dataset.count("train") * dataset.span**2  # in stored pixels
    size, chosen = _fitting(spacing, min(bright, dark), min(map(min, dataset.slices.shapes)), beyond, area)
    found = Advice(
        length, bright, dark, spacing, beyond, _empty(dataset), size, chosen,
        _tiles(area, size, chosen), dataset.slices.pixel_size, _hold_out(dataset), [],
    )  # fmt: skip
    found.notes.extend(_notes(found, dataset))
    return found


def lines(advice: Advice) -> list[str]:
    """The advice in sentences."""
    micrometres = advice.pixel_size
    unit = f" ({advice.spacing * micrometres:.3g} micrometres)" if micrometres else ""
    across = advice.size / (advice.spacing * advice.scale)
    return [
        f"sizes: bright parts are {advice.bright:.3g} pixels across, dark ones {advice.dark:.3g} (mean chords): from one "
        f"structure to the next {'at least ' if advice.beyond else ''}{advice.spacing:.3g} pixels{unit}; correlation length "
        f"{advice.correlation_length:.3g}",
        f"empty tiles: {100 * advice.empty:.0f} % of training tiles have less than a fifth of the contrast of the richest tenth",
        f"suggested: tiles of {advice.size} pixels at scale {advice.scale:g} (--size {advice.size} --scale {advice.scale:g}), "
        f"about {advice.tiles} training tiles, {'at most ' if advice.beyond else ''}{across:.2g} structures across each",
        *(f"note: {note}" for note in advice.notes),
    ]


def to_json(advice: Advice) -> dict[str, Any]:
    """As ``json.dump`` takes it."""
    return {name: getattr(advice, name) for name in Advice.__dataclass_fields__}


def _middle(image: np.ndarray) -> np.ndarray:
    """The middle of an image (C, H, W), at most so many pixels wide and high."""
    top, left = (max(0, (side - CROP) // 2) for side in image.shape[1:])
    return image[:, top : top + CROP, left : left + CROP]


def _lengths(crop: np.ndarray) -> tuple[float, float, float]:
    """Correlation length, and mean chords of bright and of dark parts, of a crop (C, H, W)."""
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    grey = gaussian_filter(luminance(crop[None])[0], 1.0)  # noise of single pixels cuts no chord
    bright = grey > threshold_otsu(grey) if np.ptp(grey) else np.zeros(grey.shape, bool)
    chords = mean_chord(np.stack([bright, ~bright]))
    light, dim = (float(chord) if chord > 0 else float(min(grey.shape)) for chord in chords)
    return float(correlation_length(crop[None])[0]), light, dim


def _fitting(spacing: float, finest: float, side: int, beyond: bool, area: int) -> tuple[int, float]:
    """Tile and scale: the first of `CHOICES` in which a tile holds a few things whose finest parts are still seen.

    Where things are rare, or larger than can be measured, images are halved at most. Nothing is taken that leaves too few tiles.
    `side` is the shortest of the images and `area` all that is trained on, in stored pixels.
    """
    careful = beyond or finest < RARE * spacing
    can = [
        (size, scale)
        for size, scale in CHOICES
        if scale == 1
        or (
            finest * scale >= FINEST
            and scale * side >= size
            and (scale >= 0.5 or not careful)
            and _tiles(area, size, scale) >= ENOUGH
        )
    ]
    fits = [choice for choice in can if choice[0] / (spacing * choice[1]) >= ACROSS]
    size, scale = fits[0] if fits else [choice for choice in can if choice[0] == CHOICES[0][0]][-1]
    if size > side:
        size = max(8, side // 8 * 8)
    return size, scale


def _tiles(area: int, size: int, scale: float) -> int:
    """How many tiles lie side by side in an area of stored pixels."""
    return max(1, round(area * scale**2 / size**2))


def _empty(dataset: Dataset) -> float:
    """Share of training tiles whose contrast, without noise of single pixels, is hardly any."""
    found = contrast(dataset.tiles("train", TILES, oriented=False)[0])
    return float(np.mean(found < EMPTY * np.quantile(found, RICH)))


def _notes(advice: Advice, dataset: Dataset) -> list[str]:
    notes = []
    if advice.beyond:
        notes.append(
            "the images are few structures across, and what is larger than a tile is not learned: look (--preview) whether a "
            "tile shows what matters before you train"
        )
    elif min(advice.bright, advice.dark) < RARE * advice.spacing:
        thin, which = min((advice.bright, "bright"), (advice.dark, "dark"))
        notes.append(
            f"{which} parts are thin beside what lies between them: no scale below {FINE / thin:.2g}, at which they are three "
            "pixels wide"
        )
    if min(advice.bright, advice.dark) < FINE:
        notes.append("parts are hardly larger than pixels: thin, or mostly noise")
    if advice.empty > MANY:
        said = f"{100 * advice.empty:.0f} % of the tiles are nearly empty"
        notes.append(
            f"{said}, and so will be the samples: cut the images to what matters, or draw full tiles ten times as often "
            "(--focus 10)"
        )
    if advice.size / (advice.spacing * advice.scale) < ACROSS and not advice.beyond:
        half, across = advice.scale / 2, advice.size / (advice.spacing * advice.scale)
        notes.append(
            f"a tile is few structures across: at scale {half:g} it is {2 * across:.2g}, of about "
            f"{max(1, advice.tiles // 4)} training tiles"
        )
    held = len(_groups(dataset, dataset.images_of("test")))
    if held < JUDGED:
        more = f"hold out {advice.hold_out} (--hold-out {advice.hold_out}), or " if advice.hold_out else ""
        notes.append(
            f"{held} image{'s are' if held > 1 else ' is'} held out: an audit then lists what differs, and says pass or fail of "
            f"other slices from {JUDGED} on; {more}give it images of another sample as REAL"
        )
    if advice.tiles < 100:
        notes.append("fewer than 100 training tiles: a generator may repeat them; look at memorised in the audit")
    if is_other(advice, dataset):
        notes.append("the suggested tiles are others than those looked at: look at them, too, before you train")
    return notes


def is_other(advice: Advice, dataset: Dataset) -> bool:
    """Whether the suggested tiles are not those of the dataset."""
    return dataset.size != advice.size or dataset.size / dataset.span != advice.scale


def _groups(dataset: Dataset, images: list[int]) -> set[str]:
    """Which images, of which tiles may be several files, these are of."""
    return {group_of(without_side(dataset.slices.names[index])) for index in images}


def _hold_out(dataset: Dataset) -> int:
    """As many as an audit needs, where fewer are and at least as many stay for training; 0 where the data say it themselves."""
    held, there = (len(_groups(dataset, images)) for images in (dataset.images_of("test"), dataset.used()))
    wanted = held < JUDGED and dataset.split["by"] in ("slice", "image") and there >= 2 * JUDGED
    return JUDGED if wanted else 0
