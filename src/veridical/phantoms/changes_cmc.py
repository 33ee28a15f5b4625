"""Changes of a composite tow, one function each: what is named changes, all other structure stays where it is.

Each takes a generator, a `Tow` and the options, and returns the changed tow, or None where there is nothing to change.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.graph import MCP

from veridical.phantoms.cmc import GAP, LABELS, CmcOptions, Tow, draw_border, owners, place_binder

MATRIX, FIBRE, BINDER, CRACK = (LABELS[name] for name in ("matrix", "fibre", "binder", "crack"))
LEAST_CRACK = 80  # pixels of a crack that is added or taken
LEAST_WIDTH = 6.0  # pixels, on average, of a crack that is added: the fringes of fibres are as dark as a thinner one


def add_crack(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """A crack that finds its way through the matrix from one place to another far away, round the fibres."""
    size = len(tow.mask)
    free = (tow.mask == MATRIX) & ~ndimage.binary_dilation(tow.mask == CRACK, iterations=6)
    places = np.argwhere(free)
    room = np.maximum(ndimage.distance_transform_edt(free), 1)
    cost = np.where(free, 1 + 25 / room**2 * rng.uniform(0.6, 1.4, free.shape), -1)
    width = rng.uniform(0.1, 0.35) * tow.diameter
    for _ in range(20):
        if len(places) < 2:
            return None
        start, end = places[rng.integers(len(places), size=2)]
        if np.hypot(*(start - end)) < 0.5 * size:
            continue
        search = MCP(cost, fully_connected=True)
        reached = search.find_costs([tuple(start)], [tuple(end)])[0]
        if not np.isfinite(reached[tuple(end)]):
            continue
        path = np.array(search.traceback(tuple(end)))
        away = np.ones((size, size), bool)
        away[tuple(path.T)] = False
        crack = free & (ndimage.distance_transform_edt(away) <= width / 2 + 0.25 * tow.diameter)
        crack = _piece_with(crack, path[0])
        length = float(np.hypot(*np.diff(path, axis=0).T).sum())
        if crack.sum() >= max(LEAST_CRACK, LEAST_WIDTH * length):
            mask = np.where(crack, CRACK, tow.mask).astype(np.uint8)
            return replace(tow, mask=mask, crack_lengths=(*tow.crack_lengths, length))
    return None


def _piece_with(region: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    pieces, _ = ndimage.label(region, structure=np.ones((3, 3)))
    return region & (pieces == pieces[tuple(pixel)])


def remove_cracks(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """Matrix where the cracks were."""
    if (tow.mask == CRACK).sum() < LEAST_CRACK:
        return None
    mask = np.where(tow.mask == CRACK, MATRIX, tow.mask).astype(np.uint8)
    return replace(tow, mask=mask, crack_lengths=())


def _ground(tow: Tow) -> np.ndarray:
    """What lies under the fibres, as labels."""
    return np.where(tow.binder, BINDER, MATRIX)


def _shown(tow: Tow) -> np.ndarray:
    return np.unique(tow.owner[tow.owner >= 0])


def _resized(tow: Tow, diameters: np.ndarray) -> Tow:
    """The shown fibres with other diameters; what they gain is matrix, what they leave becomes what is round it."""
    shown = _shown(tow)
    owner = owners(len(tow.mask), tow.centres[shown], diameters[shown])
    owner = np.where(owner >= 0, shown[owner], -1)
    had = tow.owner >= 0
    owner = np.where(had & (owner >= 0), tow.owner, np.where(tow.mask == MATRIX, owner, -1))
    mask = np.where(owner >= 0, FIBRE, np.where(had, _ground(tow), tow.mask)).astype(np.uint8)
    return replace(tow, mask=mask, owner=owner, diameters=diameters)


def larger_fibres(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """Every fibre grows until it is large enough or nearly meets another; at least 8 % on average."""
    shown = _shown(tow)
    if len(shown) < 2:
        return None
    centres, start = tow.centres[shown], tow.diameters[shown]
    diameters, wanted, step = start.copy(), start * rng.uniform(1.2, 1.4), 0.25
    i, j = cKDTree(centres).query_pairs(2 * wanted.max() + GAP, output_type="ndarray").T
    apart = np.hypot(*(centres[i] - centres[j]).T)
    while True:
        room = apart - (diameters[i] + diameters[j]) / 2 >= GAP + step
        grows = diameters + step <= wanted
        grows[i[~room]] = grows[j[~room]] = False
        if not grows.any():
            break
        diameters[grows] += step
    if (diameters / start).mean() < 1.08:
        return None
    grown = tow.diameters.copy()
    grown[shown] = diameters
    return _resized(tow, grown)


def smaller_fibres(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """Every fibre shrinks by the same share."""
    return _resized(tow, tow.diameters * rng.uniform(0.7, 0.82)) if len(_shown(tow)) else None


def fewer_fibres(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """A third of the fibres, more or less, becomes what is round it."""
    shown = _shown(tow)
    gone = rng.permutation(shown)[: round(rng.uniform(0.25, 0.45) * len(shown))]
    if len(gone) < 2:
        return None
    leaves = np.isin(tow.owner, gone)
    mask = np.where(leaves, _ground(tow), tow.mask).astype(np.uint8)
    return replace(tow, mask=mask, owner=np.where(leaves, -1, tow.owner))


def more_fibres(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """Fibres where the matrix has room for them, the widest places first; at least two."""
    centres, diameters, owner = tow.centres, tow.diameters, tow.owner
    most = max(2, round(rng.uniform(0.15, 0.4) * len(_shown(tow))))
    free = np.pad(tow.mask == MATRIX, 1, mode="edge")
    for _ in range(most):
        room = ndimage.distance_transform_edt(free)[1:-1, 1:-1]
        place = np.unravel_index(room.argmax(), room.shape)
        diameter = min(2 * (room[place] - GAP - 0.5), tow.diameter * rng.uniform(0.9, 1.1))
        if diameter < 0.6 * tow.diameter:
            break
        centres, diameters = np.vstack([centres, place]), np.append(diameters, diameter)
        covers = owners(len(owner), centres[-1:], diameters[-1:]) == 0
        owner = np.where(covers, len(centres) - 1, owner)
        free[1:-1, 1:-1] &= ~covers
    if len(centres) - len(tow.centres) < 2:
        return None
    mask = np.where(owner >= 0, FIBRE, tow.mask).astype(np.uint8)
    return replace(tow, mask=mask, owner=owner, centres=centres, diameters=diameters)


def add_binder(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """A binder region that enters from outside, drowns what lies there and leaves every crack alone."""
    if (tow.mask == BINDER).any():
        return None
    size = len(tow.mask)
    for _ in range(12):
        border = draw_border(rng, size)
        binder, keep = place_binder(rng, size, border, tow.centres, tow.diameters)
        owner = np.where((tow.owner >= 0) & keep[tow.owner], tow.owner, -1)
        # a fibre that is not shown drowns nothing: what it would have covered beyond the border stays matrix
        binder &= (border(np.argwhere(np.ones_like(binder))).reshape(size, size) > 0) | (tow.owner >= 0)
        near_crack = ndimage.binary_dilation(tow.mask == CRACK, iterations=2)
        if 0.08 <= binder.mean() <= 0.7 and not (binder & near_crack).any():
            left = np.where((tow.owner >= 0) & (owner < 0), MATRIX, tow.mask)
            mask = np.where(owner >= 0, FIBRE, np.where(binder, BINDER, left)).astype(np.uint8)
            return replace(tow, mask=mask, binder=binder, owner=owner)
    return None


def remove_binder(rng: np.random.Generator, tow: Tow, options: CmcOptions) -> Tow | None:
    """Matrix where the binder was."""
    if (tow.mask == BINDER).mean() < 0.02:
        return None
    mask = np.where(tow.mask == BINDER, MATRIX, tow.mask).astype(np.uint8)
    return replace(tow, mask=mask, binder=np.zeros_like(tow.binder))


CHANGES = {
    "add_crack": add_crack, "remove_cracks": remove_cracks, "larger_fibres": larger_fibres,
    "smaller_fibres": smaller_fibres, "fewer_fibres": fewer_fibres, "more_fibres": more_fibres, "add_binder": add_binder,
    "remove_binder": remove_binder,
}  # fmt: skip
