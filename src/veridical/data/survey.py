"""A first look at the slices: which hold something, the field of view, the intensity window, the fingerprint."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from veridical.core.errors import InputError
from veridical.data.field import field_of_view
from veridical.data.slices import Slices
from veridical.data.tiles import Layout
from veridical.data.window import IntensityWindow, describe_extremes, fit_window

SAMPLE_SLICES, SAMPLE_PIXELS = 64, 2_000_000  # the window is fitted on so many at most

Read = Callable[[int], np.ndarray]


def check_sizes(spec: str, slices: Slices, span: int) -> None:
    """Refuse slices smaller than a tile."""
    for name, (height, width) in zip(slices.names, slices.shapes):
        if min(height, width) < span:
            raise InputError(
                f"{spec}: {name} has {width} x {height} pixels, less than a tile "
                f"of {span} x {span}; take it out or use a smaller tile size"
            )


def worth_using(
    spec: str, slices: Slices, read: Read, masks: bool, affordable_bytes: int, notes: list[str]
) -> list[int]:
    """Slices that hold something: not all NaN, and in a stack not constant (the empty ends of a scan)."""
    use = list(range(len(slices)))
    if masks:
        use = [i for i in use if slices.masked and slices.masked[i]]
        if not use:
            why = f" ({'; '.join(notes)})" if notes else ""
            raise InputError(f"{spec}: no image has a label image; put them into masks/ under the same names{why}")
        if len(use) < len(slices):
            notes.append(f"{len(slices) - len(use)} of {len(slices)} images have no label image and are left out")
    affordable = slices.mapped or sum(slices.nbytes(i) for i in use) <= affordable_bytes
    if not affordable or (slices.dtype.kind != "f" and not slices.stack):
        return use
    kept = [i for i in use if not _is_empty(read(i), constant_too=slices.stack)]
    if not kept:
        raise InputError(f"{spec}: every slice is NaN or constant; check how the data were exported")
    if len(kept) < len(use):
        notes.append(f"{len(use) - len(kept)} slices that are all NaN or constant are left out")
    return kept


def _is_empty(image: np.ndarray, constant_too: bool) -> bool:
    """Whether an image holds no finite value (or one value only); a few rows answer for most images."""
    for part in (image[:: max(1, len(image) // 8)], image):
        values = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if values.size and not (constant_too and (values == values.flat[0]).all()):
            return False
    return True


def find_fields(
    slices: Slices, use: Sequence[int], read: Read, notes: list[str]
) -> dict[tuple[int, int], np.ndarray | None]:
    """Field of view of each image size: what a few slices of that size have in common."""
    members: dict[tuple[int, int], list[int]] = {}
    for i in use:
        members.setdefault(slices.shapes[i], []).append(i)
    fields: dict[tuple[int, int], np.ndarray | None] = {}
    for shape, of_shape in members.items():
        few = of_shape[:: -(-len(of_shape) // 8)]
        found = [f for f in (field_of_view(read(i)) for i in few) if f is not None]
        fields[shape] = None
        if 2 * len(found) > len(few):
            common, any_of = np.logical_and.reduce(found), np.logical_or.reduce(found)
            # black corners that differ from image to image are part of the picture
            if common.sum() > 0.8 * any_of.sum():
                fields[shape] = common
    if any(field is not None for field in fields.values()):
        notes.append("tiles lie inside the field of view of the reconstruction; outside it is constant or NaN")
    return fields


def window_of(spec: str, slices: Slices, layout: Layout, read: Read, seed: int, notes: list[str]) -> IntensityWindow:
    """The window of random training tiles of at most 64 slices and about two million pixels."""
    cuts = _few_cuts(layout) if layout.limit else None
    sample = [read(i)[ys, xs] for i, ys, xs in cuts] if cuts else []
    if cuts is None:
        regions = layout.regions["train"]
        rng = np.random.default_rng([seed, len(regions)])
        few = [regions[k] for k in rng.permutation(len(regions))[:SAMPLE_SLICES]]
        budget = SAMPLE_PIXELS / len(few)
        stride = max(1, round(layout.span / budget**0.5))
        for region in few:
            area = 2 * region.height * region.width  # enough to have seen a small image
            for u in rng.random(max(1, int(min(budget, area) * stride**2 / layout.span**2))):
                index, y, x = layout.place(region, u)
                tile = read(index)[y : y + layout.span : stride, x : x + layout.span : stride]
                sample.append(np.array(tile))
        cuts = [(r.index, slice(r.top, r.top + r.height), slice(r.left, r.left + r.width)) for r in few]
    if slices.channels == 3 and all((tile == tile[..., :1]).all() for tile in sample):
        notes.append("the colour images are grey: their three channels are equal")
    notes += describe_extremes(sample, slices.dtype, slices.missing)
    try:
        return fit_window(sample, slices.dtype, slices.missing)
    except InputError:
        pass
    try:  # detail may be rare: look at all of these slices
        return fit_window([read(i)[ys, xs] for i, ys, xs in cuts], slices.dtype, slices.missing)
    except InputError as error:
        raise InputError(f"{spec}: {error}") from None


def _few_cuts(layout: Layout) -> list[tuple[int, slice, slice]]:
    """The tiles of a limited training set: nothing else may be looked at."""
    places, _, _ = layout.grid("train", max(1, SAMPLE_PIXELS // layout.span**2))
    return [(i, slice(y, y + layout.span), slice(x, x + layout.span)) for i, y, x in places.tolist()]


def fingerprint(slices: Slices, read: Read, options: tuple[Any, ...]) -> str:
    """Hash of all pixels of a set up to 64 MB, otherwise of 16 rows of 16 slices; of names, sizes and `options`."""
    digest = hashlib.sha256(repr((slices.kind, slices.names, slices.shapes, slices.dtype.name, *options)).encode())
    small = sum(slices.nbytes(i) for i in range(len(slices))) <= 64 * 2**20
    for i in range(len(slices)) if small else np.linspace(0, len(slices) - 1, 16).astype(int).tolist():
        image = read(i)
        rows = image if small else image[np.linspace(0, len(image) - 1, 16).astype(int)]
        digest.update(hashlib.sha256(np.ascontiguousarray(rows, slices.dtype).data).digest())
    return digest.hexdigest()[:16]
