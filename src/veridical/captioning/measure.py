"""What is measured on an image: of each class of its label image, or of its grey levels where it has none.

Properties have the names that `veridical.wording` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from veridical.metrics.physics_grey import grey_statistics
from veridical.metrics.physics_spectrum import correlation_length, orientation
from veridical.metrics.physics_structure import SMALLEST
from veridical.wording import place_of
from veridical.wording.table import singular

COUNTED = 0.5  # share of an image up to which a class is parts that somebody counts, not what parts lie in
TOGETHER = 0.5  # share of a class in its largest part, from which on the class has a place
# Width of a part over the diameter of the circle of its area, below which it is a thread that has no diameter
COMPACT = 0.4
SMALLEST_SIDE = 16  # pixels, of an image whose texture means anything

Measured = dict[str, float | str]


def measure_classes(labels: np.ndarray, names: Mapping[int, str]) -> Measured:
    """Measure each class of a label image.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W)
    names : mapping
        Name of each label value that stands for a class, or "" for one that nothing is said of; pixels of other values have no
        label. A name in the plural ("pores") is one of things that are counted, any other of a substance ("clay").

    Returns
    -------
    dict
        Of a class ``pores``: ``pores_area_fraction``, its share of the labelled pixels; ``n_pores``, how many connected parts (8
        neighbours) of at least 9 pixels it has; ``mean_pore_diameter_px``, the mean diameter of circles of their areas, where
        there are any and half of them are compact; ``pores_place``, where the middle of the largest part lies, if at least half
        of the class is in it. Of ``clay`` they are ``n_clay_parts`` and ``mean_clay_part_diameter_px``. Parts only of classes
        that cover at most half of the image, and no number of parts where all are smaller. Empty where nothing is labelled.
    """
    from scipy.ndimage import distance_transform_edt, label, maximum

    total = int(np.isin(labels, list(names)).sum())
    found: Measured = {}
    for value, name in names.items() if total else ():
        if not name:
            continue
        mine = labels == value
        share = found[f"{key(name)}_area_fraction"] = float(mine.sum()) / total
        if share > COUNTED:
            continue
        many = key(name) if singular(name) != name else f"{key(name)}_parts"
        parts, _ = label(mine, np.ones((3, 3)))
        areas = np.bincount(parts.ravel())[1:]
        whole = areas[areas >= SMALLEST]
        if len(whole) or not share:
            found[f"n_{many}"] = len(whole)
        if len(whole):
            diameters = np.sqrt(4 / np.pi * whole)
            widths = 2 * maximum(distance_transform_edt(mine), parts, 1 + np.flatnonzero(areas >= SMALLEST))
            if np.median(widths / diameters) >= COMPACT:
                found[f"mean_{singular(many)}_diameter_px"] = float(diameters.mean())
            if areas.max() >= TOGETHER * areas.sum():
                found[f"{key(name)}_place"] = str(place_of(parts == 1 + areas.argmax()))
    return found


def labelled_share(labels: np.ndarray, names: Mapping[int, str]) -> float:
    """Share of the pixels of a label image that have one of the values that are classes."""
    return float(np.isin(labels, list(names)).mean())


def measure_texture(image: np.ndarray) -> Measured:
    """Measure the grey levels of an image (C, H, W) in [0, 1].

    Returns
    -------
    dict
        ``mean_grey_level`` and ``contrast``, mean and standard deviation of the grey levels; and from 16 pixels a side on
        ``correlation_length_px``, the lag at which the autocorrelation falls to one half, and ``alignment``, how much lines and
        edges have one direction, 0 to 1 (`veridical.metrics.physics_spectrum`).
    """
    one = image[None]
    grey = grey_statistics(one)
    found: Measured = {"mean_grey_level": float(grey["mean"][0]), "contrast": float(grey["contrast"][0])}
    if min(image.shape[1:]) >= SMALLEST_SIDE and found["contrast"]:
        found["correlation_length_px"] = float(correlation_length(one)[0])
        found["alignment"] = float(orientation(one)[1][0])
    return found


def key(name: str) -> str:
    """Name of a class as part of the name of a property: ``dense mineral`` -> ``dense_mineral``."""
    return "_".join(name.replace("-", " ").split())
