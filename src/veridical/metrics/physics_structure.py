"""What a segmentation shows: fibres and grains one by one, and the skeleton of roots. Lengths are in pixels."""

import numpy as np

from veridical.core.arrays import check_array

SMALLEST = 9  # pixels of a particle whose shape means anything
FEW = 12  # particles whose shape is looked at closely; hulls are slow, and so many give the median
NAMES = (
    "particles",
    "diameter",
    "diameter_spread",
    "circularity",
    "elongation",
    "solidity",
    "neighbour",
    "neighbour_spread",
)


def split_particles(mask: np.ndarray, smooth: float = 1.0) -> np.ndarray:
    """Touching particles of a mask (H, W) apart, as labels (H, W), 0 outside.

    Watershed of the distance to the background, smoothed by a Gaussian of `smooth` pixels, from its maxima (Soille 2003).
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter, label
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    mask = check_array(mask, "mask", "(H, W)").astype(bool)
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    depth = gaussian_filter(distance_transform_edt(np.pad(mask, 1, constant_values=True))[1:-1, 1:-1], smooth)
    depth[~mask] = 0
    # a saddle less than half a pixel lower than the summit does not part a particle
    seeds, _ = label(h_maxima(depth, 0.5), np.ones((3, 3)))
    return watershed(-depth, seeds, mask=mask)


def particle_statistics(labels: np.ndarray) -> dict[str, float]:
    """Sizes, shapes and distances of particles labelled in (H, W); those at the border count for distances only.

    Returns
    -------
    dict
        ``particles``: number a thousand pixels; ``diameter``: median of the diameters of circles of equal area;
        ``diameter_spread``: their interquartile range over the median; ``circularity``: median of 4 pi A / P^2 with
        Crofton perimeters, 1 for a disc; ``elongation``: median of the longer over the shorter axis of the ellipse of equal
        moments; ``solidity``: median of the area over that of the convex hull, lower for torn and angular particles;
        ``neighbour``: median distance to the nearest other centre; ``neighbour_spread``: its standard deviation over
        the mean. NaN where fewer than three particles show it.
    """
    from scipy.spatial import cKDTree
    from skimage.measure import regionprops

    labels = check_array(labels, "labels", "(H, W)")
    found = dict.fromkeys(NAMES, np.nan)
    parts = [part for part in regionprops(labels) if part.area >= SMALLEST]
    found["particles"] = 1000 * len(parts) / labels.size
    if len(parts) >= 3:
        centres = np.array([part.centroid for part in parts])
        nearest = cKDTree(centres).query(centres, 2)[0][:, 1]
        found["neighbour"] = float(np.median(nearest))
        found["neighbour_spread"] = float(nearest.std() / nearest.mean())
    height, width = labels.shape
    whole = [p for p in parts if min(p.bbox[:2]) > 0 and p.bbox[2] < height and p.bbox[3] < width]
    if len(whole) < 3:
        return found
    diameter = np.sqrt(4 / np.pi * np.array([part.area for part in whole]))
    low, middle, high = np.quantile(diameter, (0.25, 0.5, 0.75))
    found["diameter"], found["diameter_spread"] = float(middle), float((high - low) / middle)
    few = whole[:: max(1, len(whole) // FEW)]
    area, perimeter = (np.array([getattr(part, name) for part in few]) for name in ("area", "perimeter_crofton"))
    axes = np.array([(part.axis_major_length, part.axis_minor_length) for part in few])
    found["circularity"] = float(np.median(4 * np.pi * area / perimeter**2))
    found["elongation"] = float(np.median(axes[:, 0] / np.maximum(axes[:, 1], 1)))
    found["solidity"] = float(np.median([part.solidity for part in few]))
    return found


def skeleton_statistics(mask: np.ndarray) -> dict[str, float]:
    """Length, tips, branch points and width of thin things in a mask (H, W), such as roots.

    Returns
    -------
    dict
        ``length``: of the skeleton, pixels (steps count 1, or sqrt 2 along a diagonal); ``tips``: ends, those at the
        border of the image left out; ``branch_points``: places where three or more branches meet; ``width``: twice the median
        distance of the skeleton to the background, minus one, pixels; 0 without a skeleton.
    """
    from scipy.ndimage import convolve, distance_transform_edt, label
    from skimage.morphology import skeletonize

    mask = check_array(mask, "mask", "(H, W)").astype(bool)
    bones = skeletonize(mask)
    if not bones.any():
        return {"length": 0.0, "tips": 0.0, "branch_points": 0.0, "width": 0.0}
    straight = (bones[1:] & bones[:-1]).sum() + (bones[:, 1:] & bones[:, :-1]).sum()
    # a diagonal step counts only where no corner pixel makes it a detour
    down = bones[1:, 1:] & bones[:-1, :-1] & ~bones[1:, :-1] & ~bones[:-1, 1:]
    up = bones[1:, :-1] & bones[:-1, 1:] & ~bones[1:, 1:] & ~bones[:-1, :-1]
    neighbours = convolve(bones.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - 1
    inside = np.zeros_like(bones)
    inside[2:-2, 2:-2] = True
    _, meetings = label(bones & (neighbours >= 3), np.ones((3, 3)))
    depth = distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    return {
        "length": float(straight + np.sqrt(2) * (down.sum() + up.sum())),
        "tips": float((bones & (neighbours == 1) & inside).sum()),
        "branch_points": float(meetings),
        "width": float(2 * np.median(depth[bones]) - 1),
    }
