"""What captions say of a phantom: the properties that an eye can check in an image of its size, and what it is called."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from veridical.phantoms import cmc, rocks
from veridical.phantoms.packing import whole_pieces
from veridical.wording import Fact, describe, place_of, state

CAPTIONS = 4  # an image: the first says everything, the others some of it in other words
SEEN = 60  # pixels of a crack that an eye finds beside the dark fringes of fibres

Said = dict[str, float | str]


def _cmc(mask: np.ndarray, p: Mapping[str, float]) -> Said:
    said: Said = {"fibre_volume_fraction": p["fibre_volume_fraction"], "n_fibres": p["n_fibres"]}
    if whole_pieces(mask == cmc.LABELS["fibre"]) >= 2:  # a cut circle has no diameter to be seen
        said["mean_diameter_px"] = p["mean_diameter_px"]
    said["binder_fraction"] = p["binder_fraction"]
    if p["binder_fraction"] >= 0.01 and (place := place_of(mask == cmc.LABELS["binder"])):
        said["binder_place"] = place
    # Cracks that meet look like one, and one of which hardly a pixel is open like none.
    if p["n_cracks"] == cracks_seen(mask == cmc.LABELS["crack"]):
        said["n_cracks"] = p["n_cracks"]
    elif p["crack_fraction"] * mask.size >= SEEN:
        said["crack_fraction"] = p["crack_fraction"]
    return said


def cracks_seen(crack: np.ndarray) -> int:
    """Cracks that an eye counts in the pixels of cracks (S, S): pieces, a pixel apart, of at least `SEEN`."""
    pieces, n = ndimage.label(ndimage.binary_dilation(crack))
    return int((ndimage.sum_labels(crack, pieces, np.arange(1, n + 1)) >= SEEN).sum())


def _rocks(mask: np.ndarray, p: Mapping[str, float]) -> Said:
    said: Said = {"porosity": p["porosity"], "n_grains": p["n_grains"]}
    if (
        whole_pieces((mask == rocks.LABELS["grain"]) | (mask == rocks.LABELS["mineral"])) >= 2
    ):  # cut grains have no diameter
        said["mean_grain_diameter_px"] = p["mean_grain_diameter_px"]
    said |= {"mineral_fraction": p["mineral_fraction"], "outside_fraction": p["outside_fraction"]}
    if p["outside_fraction"] >= 0.01 and (place := place_of(mask == rocks.LABELS["outside"])):
        said["tube_place"] = place
    return said


def _roots(mask: np.ndarray, p: Mapping[str, float]) -> Said:
    names = ["total_length_px", "n_main", "n_laterals", "n_tips", "root_area_fraction"]
    if p["mean_width_px"]:
        names.insert(4, "mean_width_px")
    return {name: p[name] for name in names}


KINDS: dict[str, tuple[tuple[str, ...], Callable[[np.ndarray, Mapping[str, float]], Said]]] = {
    "cmc": ((
    "X-ray microCT slice of a ceramic matrix composite", "microCT image of a fibre composite",
    "cross-section of a composite tow", "tomogram of a ceramic matrix composite",
), _cmc),
    "rocks": ((
    "X-ray microCT slice of sediment grains", "microCT image of sediment", "tomogram of a granular rock",
    "cross-section of packed grains",
), _rocks),
    "roots": ((
    "scanner image of a seedling root system", "scan of a seedling in a dark chamber", "photograph of plant roots",
    "image of seedling roots in a growth chamber",
), _roots),
}  # fmt: skip
"""What images of each kind are called, and what of their mask and properties may be said."""


def captions_of(
    kind: str, mask: np.ndarray, properties: Mapping[str, float], rng: np.random.Generator
) -> list[tuple[str, list[Fact]]]:
    """`CAPTIONS` sentences of an image with what they say; the first says everything, in numbers."""
    subjects, said_of = KINDS[kind]
    said = said_of(mask, properties)
    others = [describe(subjects[rng.integers(len(subjects))], said, rng) for _ in range(CAPTIONS - 1)]
    return [state(subjects[0], said), *others]
