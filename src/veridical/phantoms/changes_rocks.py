"""Changes of a sediment, one function each: what is named changes, all other structure stays where it is.

Each takes a generator, a `Sediment` and the options, and returns the changed sediment, or None where there is nothing to change.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage
from skimage.measure import label

from veridical.phantoms.rocks import RocksOptions, Sediment, minerals_in

LEAST_MINERAL = 12  # pixels that are added or taken


def more_pores(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """All grains without bright mineral lose a rim; of what falls apart the largest piece stays."""
    depth = ndimage.distance_transform_edt(rock.grains > 0)
    bright = np.isin(rock.grains, _bright(rock))
    left = np.where((depth > rng.uniform(1.5, 3.0)) | bright, rock.grains, 0)
    pieces = label(left, background=0, connectivity=1)
    areas = np.bincount(pieces.ravel())
    grain_of = np.zeros(len(areas), int)
    grain_of[pieces.ravel()] = left.ravel()
    best: dict[int, int] = {}
    for piece in range(1, len(areas)):
        if areas[piece] >= 6 and areas[piece] > areas[best.get(grain_of[piece], 0)] * (grain_of[piece] in best):
            best[grain_of[piece]] = piece
    grains = np.where(np.isin(pieces, list(best.values())), left, 0)
    return _with(rock, grains) if ((grains > 0) & ~bright).any() else None


def _bright(rock: Sediment) -> np.ndarray:
    """Numbers of the grains that hold bright mineral."""
    return np.unique(rock.grains[rock.mineral])


def fewer_pores(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """All grains gain a rim, and keep a pixel apart."""
    owner, distance = _nearest(rock, rock.grains)
    grains = np.where(distance <= rng.uniform(1.5, 3.0), owner, 0)
    return _with(rock, grains)


def larger_grains(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """The smallest grains without bright mineral go and the others grow into their place, at the same porosity."""
    areas = np.bincount(rock.grains.ravel())
    numbers = np.flatnonzero(areas[1:]) + 1
    if len(numbers) < 4:
        return None
    dull = np.setdiff1d(numbers, _bright(rock))
    small = dull[np.argsort(areas[dull])][: round(rng.uniform(0.35, 0.5) * len(numbers))]
    if len(small) < 2 or len(small) == len(numbers):
        return None
    kept = np.where(np.isin(rock.grains, small), 0, rock.grains)
    owner, distance = _nearest(rock, kept)
    solid, grown = int((rock.grains > 0).sum()), np.sort(distance[owner > 0])
    grains = np.where(distance <= grown[min(solid, len(grown)) - 1], owner, 0)
    return _with(rock, grains)


def _nearest(rock: Sediment, grains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The grain that each pixel may belong to, 0 between two of them and in the tube's wall, and how far it is from it."""
    distance, index = ndimage.distance_transform_edt(grains == 0, return_indices=True)
    owner = grains[tuple(index)]
    differs = ndimage.maximum_filter(owner, footprint=CROSS) != ndimage.minimum_filter(owner, footprint=CROSS)
    blocked = differs if rock.wall is None else differs | (rock.wall > 0)
    return np.where(blocked & (grains == 0), 0, owner), distance


CROSS = ndimage.generate_binary_structure(2, 1)


def _with(rock: Sediment, grains: np.ndarray) -> Sediment:
    """Other grains; mineral stays where its grain is as before."""
    return replace(rock, grains=grains, mineral=rock.mineral & (grains == rock.grains))


def remove_grain(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """One grain of usual size, without bright mineral, becomes pore."""
    areas = np.bincount(rock.grains.ravel())
    usual = (areas > 0.15 * rock.diameter**2) & (areas < 2 * rock.diameter**2)
    usual[[0, *_bright(rock)]] = False
    if not usual.any():
        return None
    return _with(rock, np.where(rock.grains == rng.choice(np.flatnonzero(usual)), 0, rock.grains))


def add_mineral(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """More bright mineral, 1.5 to 3.5 percent of the solid, in small grains and specks."""
    added = minerals_in(rng, _renumbered(rock.grains), rock.grains > 0, rng.uniform(0.015, 0.035), rock.diameter)
    added &= ~rock.mineral
    return replace(rock, mineral=rock.mineral | added) if added.sum() >= LEAST_MINERAL else None


def _renumbered(grains: np.ndarray) -> np.ndarray:
    """Grains without gaps in their numbers, which `minerals_in` chooses from."""
    _, places = np.unique(np.append(0, grains), return_inverse=True)
    return places[1:].reshape(grains.shape)


def remove_minerals(rng: np.random.Generator, rock: Sediment, options: RocksOptions) -> Sediment | None:
    """Ordinary grain where the bright mineral was."""
    return replace(rock, mineral=np.zeros_like(rock.mineral)) if rock.mineral.sum() >= LEAST_MINERAL else None


CHANGES = {
    "more_pores": more_pores, "fewer_pores": fewer_pores, "larger_grains": larger_grains, "remove_grain": remove_grain,
    "add_mineral": add_mineral, "remove_minerals": remove_minerals,
}  # fmt: skip
