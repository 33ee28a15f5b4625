"""Slices -> a dataset of tiles in [0, 1] with their conditions: one intensity window, a split without leaks."""

from pathlib import Path
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.core.orientation import ORIENTATIONS
from veridical.data import survey
from veridical.data.cutter import Cutter
from veridical.data.dataset import Dataset
from veridical.data.focus import focus_on
from veridical.data.labels import Labels, fit_labels, read_column
from veridical.data.masks import PartLabels, classes_of, explain, fit_mask_values
from veridical.data.partition import partition
from veridical.data.readers.open import open_slices
from veridical.data.sampler import Sampler
from veridical.data.slices import Slices
from veridical.data.stored import Stored
from veridical.data.tiles import Layout, span_of
from veridical.data.window import IntensityWindow

FOCUSED = 256  # training tiles by which a focus is measured


def open_dataset(
    spec: str | Path,
    size: int = 64,
    *,
    augment: str = "auto",
    pixel_size: float | None = None,
    scale: float | None = None,
    test_fraction: float = 0.2,
    hold_out: int = 0,
    split: str | Path | None = None,
    inside: float = 1.0,
    masks: bool = False,
    label: str = "",
    bins: int = 0,
    limit: int = 0,
    part: PartLabels | None = None,
    window: IntensityWindow | None = None,
    seed: int = 0,
    validation: float | None = 0.0,
    focus: float = 1.0,
) -> Dataset:
    """Open images as a source of training and test tiles.

    Parameters
    ----------
    spec : str or Path
        Anything that `veridical.data.readers.open.open_slices` opens.
    size : int
        Height and width of a tile in pixels.
    augment : {"auto", "dihedral", "flip", "none"}
        Flips and quarter turns (8 orientations); left-right flips only (roots know where up is); or nothing. ``auto`` is
        ``dihedral`` for grey images and ``flip`` for RGB.
    pixel_size : float, optional
        Rescale tiles to so many micrometres a pixel, antialiased; the images must state their own.
    scale : float, optional
        Rescale tiles by this factor instead (0.5 halves the resolution).
    test_fraction : float
        Share held out where the data bring no split of their own.
    hold_out : int
        Instead, how many images or, of a stack, slices: whole ones by rules 3 and 4 below, however few there are. 0 is the share.
    split : path or "none", optional
        CSV file with the columns ``name,split`` (train or test; images with another word are left out). A
        ``split.csv`` in the folder is found without asking. "none" puts every image on both sides, for data that are
        not learned from.
    inside : float
        Smallest share of a tile that must lie inside the circular field of view of a reconstruction, where one is
        found (see `veridical.data.field.field_of_view`).
    masks : bool
        Deliver the label images of ``masks/`` folders (or the like, or of phantoms) too; images without one are left out.
    label : str
        Deliver a label too: a column of ``labels.csv`` or ``properties.csv`` (see `veridical.data.labels.read_column`), a
        property of a phantom, or "folder" for the name of the folder that an image lies in. A tile has the label of its
        image: of an image much larger than a tile, a local property of the tile (porosity, number of fibres) is another
        one. Phantoms of the size of a tile (``phantom:rocks?n=400&size=64``) have exact labels.
    bins : int
        Turn a numeric label into so many classes of equal share; 0 leaves it continuous. Text always makes classes.
    limit : int
        Train on so many tiles only, which lie side by side and are spread evenly over the training images: what a
        study of little data needs. 0 is all.
    part : PartLabels, optional
        Deliver the label images that there are, or those of a few tiles, and keep the images that have none: in the masks
        255 stands for no label, and is no class.
    window : IntensityWindow, optional
        Use this window instead of fitting one, for example that of a trained model.
    seed : int
        Of the sample that the window is fitted on, and of the orientations of test tiles.
    validation : float, optional
        Share of the training images to set apart as a third side, "validation", by which a training is watched (see
        `veridical.data.validation.set_apart`); 0 is none. None takes a tenth where that is enough for a score.
    focus : float
        Draw training tiles of much contrast up to so many times as often as empty ones (see `veridical.data.focus`); what is held
        out, and the grid of training tiles, stay as they are.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the data cannot serve.

    Notes
    -----
    Held out are, by the first rule that applies:

    1. what ``split.csv`` says;
    2. the ``test/`` folder beside ``train/`` (also ``Test``, ``val``, ``test_images``, ...);
    3. in a stack or numbered series of at least five slices, the last slices, after a gap of as many slices as a tile
       has pixels but at most a tenth of the stack;
    4. in a folder of at least five images, the last images, after such a gap where images are numbered like the first
       of them (slices of a volume, perhaps); tiles of one image (``name_r0c1``, ``name_y0x64``) stay together;
    5. the end of every image along its longer side, after a gap of one tile;
    6. where images are too small for that, the last image.

    Set apart for validation are in 1 to 4 the last training images, after a gap as in 3 and 4; in 5, and where that would leave
    less than half of the images, the end of every training image, after a gap of one tile.

    The same picture is never on both sides: copies count as one image, and in 1 to 3 a training image that is also held out is
    left out of training.
    """
    if augment not in ("auto", *ORIENTATIONS):
        raise InputError(f"augment={augment}: there is no such augmentation; use one of {', '.join(ORIENTATIONS)}")
    if size < 1 or limit < 0 or not 0 <= inside <= 1:
        raise InputError(
            f"size={size}, limit={limit}, inside={inside}: a size is at least 1, a limit not negative, a share lies "
            "between 0 and 1"
        )
    slices = open_slices(spec)
    if augment == "auto":
        # A photograph has an upper side; a cross-section has none.
        augment = "flip" if slices.channels == 3 else "dihedral"
    said, stored, notes = str(spec), Stored(slices), list(slices.notes)
    span = span_of(spec, slices, size, pixel_size, scale)
    parted = partition(
        said, stored, span, inside=inside, masked=masks and part is None, test_fraction=test_fraction, hold_out=hold_out,
        table=split, limit=limit, validation=validation, few_labels=bool(part and part.tiles), notes=notes,
    )  # fmt: skip
    layout = parted.layout
    if part is not None:
        part = _found_part(said, slices, layout.images("train"), part, notes)
    mask_values: tuple[int, ...] | None = None
    if masks or part is not None:
        try:
            mask_values = _values_of(said, stored, layout, part, notes)
        except InputError as error:
            if part is None or not part.optional:
                raise
            notes.append(f"label images are not used: {error}")
            part = None
    sampler = Sampler(said, slices, layout, ORIENTATIONS[augment], seed, stored.cache.budget, part)
    labels, label_of = _labels_of(said, slices, layout, label, bins) if label else (None, None)
    window = window or survey.window_of(said, slices, layout, stored.image, seed, notes)
    _check_type(said, slices, window)
    options: tuple[Any, ...] = ((size, span, augment, inside, seed, window, parted.rule), layout.regions)
    options += (layout.limit,) if layout.limit else ()
    options += (part[:2], mask_values) if part is not None else ()
    options += (labels, label_of.tolist()) if label_of is not None else ()
    train = layout.regions["train"]
    cutter = Cutter(said, stored, size, span, window, train, mask_values or (), part is not None, sampler.labelled)
    dataset = Dataset(
        said, stored, parted, sampler, cutter, size=size, augment=augment, seed=seed, window=window, labels=labels,
        label_of=label_of, mask_values=mask_values, classes=_number_of(mask_values, part, labels), notes=notes,
        fingerprint=survey.fingerprint(slices, stored.image, options),
    )  # fmt: skip
    if focus > 1:
        shown = dataset.tiles("train", FOCUSED, oriented=False)[0]
        sampler.focus = focus_on(focus, shown, window.high - window.low), cutter.images
    for text in dataset.notes[len(slices.notes) :]:  # those were told when it was opened
        tell(spec, text)
    return dataset


def _found_part(spec: str, slices: Slices, train: list[int], part: PartLabels, notes: list[str]) -> PartLabels | None:
    """`part`, or None where no training image has a label image and that will do; notes how many have none."""
    masked = slices.masked or [False] * len(slices)
    if not any(masked[i] for i in train):
        if part.optional:
            return None
        raise InputError(f"{spec}: no training image has a label image; put some into masks/ under the same names")
    bare = sum(not masked[i] for i in train)
    if bare and not part.optional:
        notes.append(f"{bare} of {len(train)} training images have no label image: they teach the images alone")
    return part


def _values_of(spec: str, stored: Stored, layout: Layout, part: PartLabels | None, notes: list[str]) -> tuple[int, ...]:
    """The stored value of each class of the label images that there are."""
    images = [i for i in layout.used() if part is None or stored.slices.masked[i]]
    values = fit_mask_values(spec, stored.slices, images, stored.mask)
    notes += filter(None, [explain(values)])
    return values


def _labels_of(spec: str, slices: Slices, layout: Layout, column: str, bins: int) -> tuple[Labels, np.ndarray]:
    """What the label means, fitted on training images, and that of every slice."""
    images = layout.used()
    values = read_column(spec, slices, column, images)
    names, seen = [slices.names[i] for i in images], [images.index(i) for i in layout.images("train")]
    labels, found = fit_labels(spec, column, bins, values, names, seen)
    label_of = np.zeros(len(slices), found.dtype)
    label_of[images] = found
    return labels, label_of


def _number_of(mask_values: tuple[int, ...] | None, part: PartLabels | None, labels: Labels | None) -> int:
    """Number of classes of the masks, or else of the label; 0 for a continuous label or none."""
    in_masks = 0 if mask_values is None else len(mask_values) if part is None else classes_of(mask_values)
    return in_masks or len((labels.classes if labels else None) or ())


def _check_type(spec: str, slices: Slices, window: IntensityWindow) -> None:
    """Refuse a window of another stored type."""
    if window.dtype != slices.dtype.name:
        bits = {"uint8": " (phantoms: veridical phantom --bits 8)", "uint16": " (phantoms: --bits 16)"}
        raise InputError(
            f"{spec}: holds {slices.dtype} values but the window is for {window.dtype}; "
            f"save them as {window.dtype}, over the same grey levels{bits.get(window.dtype, '')}"
        )
