"""One phantom: structure -> image, mask, properties and captions, each from random streams of its own."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.phantoms import cmc, rocks, roots
from veridical.phantoms.cmc import CmcOptions
from veridical.phantoms.packing import traits_of
from veridical.phantoms.rocks import RocksOptions
from veridical.phantoms.roots import RootsOptions
from veridical.phantoms.telling import captions_of
from veridical.phantoms.tomography import scan, scan_change
from veridical.wording import Fact

Options = CmcOptions | RocksOptions | RootsOptions
KINDS: dict[str, tuple[ModuleType, type[Options]]] = {
    "cmc": (cmc, CmcOptions),
    "rocks": (rocks, RocksOptions),
    "roots": (roots, RootsOptions),
}
REDRAWS = 1000  # until a phantom does not have what is withheld

WORDS, CHANGE = (
    (0, 1),
    (0, 2),
)  # streams of phantom k beside its own, [seed, k], and those of its redraws, [seed, k, attempt]


@dataclass(frozen=True)
class View:
    """What is delivered of one structure: image (C, S, S) float32 in [0, 1], mask (S, S) uint8, properties."""

    image: np.ndarray
    mask: np.ndarray
    properties: dict[str, float]


def stream(seed: int, k: int, *which: int) -> np.random.Generator:
    """A random stream of phantom k."""
    return np.random.default_rng([seed, k, *which])


def draw_structure(
    kind: str, size: int, seed: int, options: Options, k: int
) -> tuple[Any, np.random.Generator]:  # a Tow, Sediment or Plant
    """The structure of phantom k, and the generator that draws what comes after it.

    Raises
    ------
    InputError : every phantom of these options has what is withheld.
    """
    module, _ = KINDS[kind]
    for attempt in range(REDRAWS):
        rng = stream(seed, k, attempt) if attempt else stream(seed, k)
        structure = module.build(rng, size, options)
        if not (options.withhold and _is_withheld(module, structure, options)):
            return structure, rng
    raise InputError(
        f"phantom option withhold={options.withhold}: image {k} has it in {REDRAWS} draws; let the other options allow more"
    )


def _is_withheld(module: ModuleType, structure: Any, options: Options) -> bool:
    properties = module.measure(structure)
    return all(
        bool(module.TRAITS[name.removeprefix("no_")](properties)) is not name.startswith("no_")
        for name in traits_of(options.withhold)
    )


def views(kind: str, rng: np.random.Generator, structures: Sequence[Any], options: Options) -> list[View]:
    """What the camera or the scan shows of structures; all of them with the same light, grey values, noise and rings."""
    module, _ = KINDS[kind]
    states = [rng, *(copy.deepcopy(rng) for _ in structures[1:])]
    if kind == "roots":
        shots = [roots.render(state, plant) for state, plant in zip(states, structures)]
    else:
        densities, settings = module.scene(rng, structures[0], options)
        first = scan(densities, rng, settings)
        shots = [(first[None], structures[0].mask)]
        for state, structure in zip(states[1:], structures[1:]):
            change = module.scene(state, structure, options)[0] - densities
            shots.append(((first + scan_change(change, settings))[None], structure.mask))
    return [
        View(np.clip(image, 0, 1).astype(np.float32), mask, module.measure(structure))
        for (image, mask), structure in zip(shots, structures)
    ]


def draw_phantom(
    kind: str, size: int, seed: int, options: Options, k: int
) -> tuple[View, list[tuple[str, list[Fact]]]]:
    """Phantom k of a set, and its captions."""
    structure, rng = draw_structure(kind, size, seed, options, k)
    (view,) = views(kind, rng, [structure], options)
    return view, captions_of(kind, view.mask, view.properties, stream(seed, k, *WORDS))
