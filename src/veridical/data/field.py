"""Where tiles may lie: the split into training and test regions, and the field of view of a reconstruction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Region:
    """The rectangle of slice `index` that tiles of one side of the split may use."""

    index: int
    top: int
    left: int
    height: int
    width: int

    def parted(self, held: int, gap: int) -> tuple["Region", "Region"]:
        """What is left of it, and so many pixels at its end along the longer side, with a gap between them."""
        if self.height >= self.width:
            rest, last = self.height - held - gap, self.top + self.height - held
            return replace(self, height=rest), replace(self, top=last, height=held)
        rest, last = self.width - held - gap, self.left + self.width - held
        return replace(self, width=rest), replace(self, left=last, width=held)


Regions = dict[str, list[Region]]
Fields = Mapping[tuple[int, int], np.ndarray | None]


# ---------------------------------------------------------------------------------------------------- positions


def corner_positions(region: Region, span: int, field: np.ndarray | None, inside: float) -> int | np.ndarray:
    """Where the upper left corner of a tile may lie.

    Returns
    -------
    int or array of int32
        How many positions there are if the whole region will do; otherwise the flat index of each, row-major in the
        (height - span + 1, width - span + 1) positions of the region.
    """
    rows, columns = region.height - span + 1, region.width - span + 1
    if rows < 1 or columns < 1:
        return 0
    if field is None:
        return rows * columns
    part = field[region.top : region.top + region.height, region.left : region.left + region.width]
    total = np.zeros((region.height + 1, region.width + 1), np.int32)
    np.cumsum(np.cumsum(part, 0, dtype=np.int32), 1, out=total[1:, 1:])
    covered = total[span:, span:] - total[:-span, span:] - total[span:, :-span] + total[:-span, :-span]
    return np.flatnonzero(covered >= _needed(span, inside)).astype(np.int32)


def grid_positions(region: Region, span: int, field: np.ndarray | None, inside: float) -> np.ndarray:
    """Upper left corners (n, 2) of the tiles of a centred grid without overlap, those in the field of view."""
    ys, xs = (
        start + length % span // 2 + span * np.arange(length // span)
        for start, length in ((region.top, region.height), (region.left, region.width))
    )
    places = np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2)
    if field is None:
        return places
    covered = np.array([np.count_nonzero(field[y : y + span, x : x + span]) for y, x in places])
    return places[covered >= _needed(span, inside)]


def _needed(span: int, inside: float) -> float:
    return max(1.0, inside * span * span - 1e-6)


def field_of_view(image: np.ndarray) -> np.ndarray | None:
    """The convex region outside which a reconstruction is constant or NaN.

    Parameters
    ----------
    image : array (H, W)
        Stored counts. Colour and boolean images have no field of view.

    Returns
    -------
    array (H, W) of bool, or None
        None if the image fills its frame. Otherwise the convex hull of what is not constant and connected to a corner,
        so that dark bays at the rim belong to it; at least 90 % of the hull must be filled, which a segmented image
        with a constant background does not do.
    """
    if image.ndim == 3 or image.dtype == np.bool_ or min(image.shape) < 32:
        return None
    from scipy.ndimage import binary_dilation, binary_erosion, label

    step = -(-max(image.shape) // 640)
    small = np.ascontiguousarray(image[::step, ::step])
    side = max(3, min(small.shape) // 64)
    corners = [(y, x) for y in (slice(side), slice(-side, None)) for x in (slice(side), slice(-side, None))]
    same = np.isnan(small) if small.dtype.kind == "f" else np.zeros(small.shape, bool)
    for corner in corners:
        patch = small[corner]
        if (patch == patch[0, 0]).all():
            same |= small == patch[0, 0]
    labels, _ = label(same)
    outside = np.isin(labels, [labels[corner][0, 0] for corner in corners if same[corner].all()])
    if not 0.01 < outside.mean() < 0.95:
        return None
    # Without stray pixels and printed labels; what reaches the border of the image goes on beyond it.
    body = binary_dilation(binary_erosion(~outside, iterations=2, border_value=1), iterations=2)
    if not body.any():
        return None
    hull = _convex_hull(body, small.shape, 1)
    if body[hull].mean() < 0.9 or (outside & ~hull).mean() < 0.01:
        return None
    return hull if step == 1 else _convex_hull(body, image.shape, step)


def _convex_hull(body: np.ndarray, shape: tuple[int, int], step: int) -> np.ndarray:
    """Convex hull, (H, W) bool of `shape`, of the true pixels of `body`, which shows every `step`-th pixel."""
    rows = np.flatnonzero(body.any(1))
    first = body[rows].argmax(1)
    last = body.shape[1] - 1 - body[rows, ::-1].argmax(1)
    left, right = _lower_chain(rows, first), _lower_chain(rows, -last)
    ys = np.arange(rows[0] * step, rows[-1] * step + 1)
    starts = np.ceil(np.interp(ys, rows[left] * step, first[left] * step) - 1e-9)
    ends = np.floor(np.interp(ys, rows[right] * step, last[right] * step) + 1e-9)
    hull = np.zeros(shape, bool)
    columns = np.arange(shape[1])
    hull[ys] = (columns >= starts[:, None]) & (columns <= ends[:, None])
    return hull


def _lower_chain(xs: np.ndarray, ys: np.ndarray) -> list[int]:
    """Indices of the points on the lower convex hull of (xs, ys), xs ascending (Andrew's monotone chain)."""
    chain: list[int] = []
    for k in range(len(xs)):
        while len(chain) > 1:
            i, j = chain[-2:]
            if (xs[j] - xs[i]) * (ys[k] - ys[i]) > (ys[j] - ys[i]) * (xs[k] - xs[i]):
                break
            chain.pop()
        chain.append(k)
    return chain
