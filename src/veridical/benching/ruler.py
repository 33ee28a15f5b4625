"""What measures images of phantoms: a segmentation network, trained on other phantoms and their masks.

What it measures is read by the straight line on which its measurements of training phantoms lie; its own error on phantoms that
it has not seen stands beside every number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table
from skimage.morphology import skeletonize
from torch import nn

from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.files import read_json, write_json
from veridical.nets.segmentation import SegmentationUNet, predict_masks, train_segmentation
from veridical.phantoms import Phantoms, generate, parse_options
from veridical.phantoms.telling import cracks_seen
from veridical.runs.tensors import load_weights, read_tensors, write_tensors
from veridical.wording import place_of

Measured = dict[str, Any]
HELD_OUT, RULER, OTHERS = 7_001, 7_002, 7_003  # seeds of phantoms that no run has seen
SMALLEST = 12  # pixels of a piece that counts
BLIND = 0.1  # slope of what the ruler measures against what is there, below which it sees nothing of it
BORDER = 8  # pixels that a mask goes on beyond the image, so that a root that leaves it keeps its width


class Material(NamedTuple):
    """What is asked of a kind of phantom, and how it is measured.

    Attributes
    ----------
    classes : int
        Of its masks.
    measure : callable
        Mask (H, W) to properties.
    numbers, counts : tuple of str
        What is compared by R2, and exactly.
    present : mapping
        From which value on a property is there, for balanced accuracy.
    place : str
        The property that is a place; "" without one.
    swaps : mapping
        What a phrase changes, from and to.
    """

    classes: int
    measure: Callable[[NDArray[Any]], Measured]
    numbers: tuple[str, ...]
    present: Mapping[str, float]
    counts: tuple[str, ...]
    place: str
    swaps: Mapping[str, tuple[float, float]]


def diameters(region: NDArray[Any], smallest: int = SMALLEST) -> NDArray[np.float64]:
    """Diameters of circles of the areas of the pieces of a region (H, W), those that the border cuts left out."""
    pieces, n = ndimage.label(region)
    areas = ndimage.sum_labels(region, pieces, np.arange(1, n + 1))
    cut = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    whole = ~np.isin(np.arange(1, n + 1), cut) & (areas >= smallest)
    return np.asarray(np.sqrt(4 / np.pi * areas[whole]))


def _cmc(mask: NDArray[Any]) -> Measured:
    tow, found = (mask != 2).sum(), diameters(mask == 1)
    binder = float((mask == 2).mean())
    return {
        "fibre_volume_fraction": (mask == 1).sum() / tow if tow else np.nan,
        "n_fibres": ndimage.label(mask == 1)[1],
        "mean_diameter_px": found.mean() if len(found) else np.nan,
        "binder_fraction": binder,
        "binder_place": place_of(mask == 2) if binder >= 0.01 else None,
        "n_cracks": cracks_seen(mask == 3),
    }


def _rocks(mask: NDArray[Any]) -> Measured:
    inside, solid = (mask != 3).sum(), (mask == 1) | (mask == 2)
    outside = float((mask == 3).mean())
    return {
        "porosity": (mask == 0).sum() / inside if inside else np.nan,
        "mineral_fraction": (mask == 2).sum() / max(solid.sum(), 1),
        "outside_fraction": outside,
        "tube_place": place_of(mask == 3) if outside >= 0.01 else None,
    }


def _roots(mask: NDArray[Any]) -> Measured:
    root = np.pad((mask == 1) | (mask == 2), BORDER, mode="edge")
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    thin = skeletonize(root)[inner]
    straight = (thin[1:] & thin[:-1]).sum() + (thin[:, 1:] & thin[:, :-1]).sum()
    down = thin[1:, 1:] & thin[:-1, :-1] & ~thin[1:, :-1] & ~thin[:-1, 1:]
    up = thin[1:, :-1] & thin[:-1, 1:] & ~thin[1:, 1:] & ~thin[:-1, :-1]
    width = 2 * ndimage.distance_transform_edt(root)[inner]
    return {
        "total_length_px": straight + np.sqrt(2) * (down.sum() + up.sum()),
        "mean_width_px": width[thin].mean() if thin.any() else np.nan,
        "root_area_fraction": root[inner].mean(),
        "n_main": _pieces(mask == 1),
        "n_laterals": _pieces(mask == 2),
    }


def _pieces(region: NDArray[Any]) -> int:
    table = regionprops_table(ndimage.label(region, np.ones((3, 3)))[0], properties=("area",))
    return int((table["area"] >= SMALLEST).sum())


MATERIALS: dict[str, Material] = {
    "cmc": Material(
        4, _cmc, ("fibre_volume_fraction", "binder_fraction", "n_fibres", "mean_diameter_px"),
        {"binder_fraction": 0.01, "n_cracks": 1}, ("n_cracks",), "binder_place",
        {"fibre_volume_fraction": (0.3, 0.5), "binder_fraction": (0.0, 0.4), "n_cracks": (0, 2)},
    ),
    "rocks": Material(
        4, _rocks, ("porosity", "outside_fraction", "mineral_fraction"),
        {"outside_fraction": 0.01, "mineral_fraction": 0.002}, (), "tube_place",
        {"porosity": (0.2, 0.4), "mineral_fraction": (0.0, 0.03), "outside_fraction": (0.0, 0.3)},
    ),
    "roots": Material(
        5, _roots, ("root_area_fraction", "total_length_px", "mean_width_px"),
        {"n_laterals": 1}, ("n_main",), "",
        {"root_area_fraction": (0.04, 0.1), "n_laterals": (0, 4)},
    ),
}  # fmt: skip


class Ruler(NamedTuple):
    """What measures images: the network, and the straight lines (slope, offset) of what it measures."""

    material: Material
    network: nn.Module
    lines: Mapping[str, tuple[float, float]]

    def measure(self, images: Images) -> list[Measured]:
        """Properties of images (N, C, H, W) in [0, 1], in the units of the phantoms."""
        found = [self.material.measure(mask) for mask in predict_masks(self.network, images)]
        for one in found:
            for name, (slope, offset) in self.lines.items():
                one[name] = (one[name] - offset) / slope
        return found


def make_ruler(
    kind: str, path: Path, *, size: int = 64, images: int = 1200, steps: int = 1200, given: Mapping[str, str] | None = None
) -> Ruler:  # fmt: skip
    """Train the ruler of a kind of phantom on so many of them, or take it from `path`, a ``.safetensors`` file.

    Parameters
    ----------
    kind : str
        A key of `MATERIALS`.
    path : Path
        Its straight lines stand beside it in a JSON file of the same name.
    size, images, steps : int
        Side of the phantoms, how many, and training steps.
    given : mapping
        Options of the phantoms.
    """
    material, about = MATERIALS[kind], path.with_suffix(".json")
    if path.exists() and about.exists():
        tensors, _ = read_tensors(path)
        channels = tensors["down.0.0.weight"].shape[1]
        network = SegmentationUNet(channels, material.classes).eval().requires_grad_(False)
        load_weights(network, tensors, path)
        lines = {name: (float(a), float(b)) for name, (a, b) in read_json(about, dict[str, list[float]]).items()}
        return Ruler(material, network, lines)
    known = phantoms(kind, images, RULER, size, given)
    network = train_segmentation(known.images, known.masks, classes=material.classes, steps=steps)
    few = min(400, images)
    raw = [material.measure(mask) for mask in predict_masks(network, known.images[:few])]
    lines = {}
    for name in material.numbers:
        seen, true = values(raw, name), values(known.properties[:few], name)
        ok = np.isfinite(seen) & np.isfinite(true)
        slope, offset = np.polyfit(true[ok], seen[ok], 1)
        if not abs(slope) > BLIND:
            raise InputError(
                f"the ruler of {kind} does not see {name} after {steps} steps on {images} phantoms: give it more of both."
            )
        lines[name] = (float(slope), float(offset))
    write_tensors(path, network.state_dict())
    write_json(about, lines)
    return Ruler(material, network, lines)


def phantoms(kind: str, n: int, seed: int, size: int = 64, given: Mapping[str, str] | None = None) -> Phantoms:
    """So many phantoms with options as text."""
    return generate(kind, n, size, seed, options=parse_options(kind, dict(given or {})))


def values(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """One property of all rows, NaN where there is none."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)


def errors_of(ruler: Ruler, known: Phantoms, names: Sequence[str]) -> dict[str, float]:
    """Standard deviation of what the ruler errs on phantoms that it has not seen."""
    seen = ruler.measure(known.images)
    return {name: float(np.nanstd(values(seen, name) - values(known.properties, name))) for name in names}
