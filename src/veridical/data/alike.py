"""Sets of images of different sizes, cut to one: real and synthetic images beside each other."""

from __future__ import annotations

import numpy as np

from veridical.core.errors import InputError

MOST = 512  # tiles that large images are cut into; the comparison of all with all grows with the square
LARGER = 1.25  # synthetic images may be so many times as large as real ones, to be cut


def common_size(shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Side of the square that fits into real and synthetic images if they differ in size; otherwise None.

    `shapes` are (height, width) by name: ``"real"``, ``"synth"``, others; ``"train"`` does not matter.

    Synthetic images that are much larger than real ones hardly have their pixel size.
    """
    real, synth = shapes["real"], shapes["synth"]
    if len({shapes[name] for name in shapes if name != "train"}) == 1:
        return None
    if min(synth) > LARGER * min(real):
        raise InputError(
            f"the real images have {real[1]} x {real[0]} pixels, those of SYNTH {synth[1]} x {synth[0]}; bring them to one "
            f"pixel size, or if they have it, cut them to one size with --size {min(real)}"
        )
    return min(*real, *synth)


def cut_images(images: np.ndarray, names: list[str], size: int, called: str) -> tuple[np.ndarray, list[str]]:
    """Of images (N, C, H, W) tiles of `size` side by side, at most `MOST` spread evenly, named after their places.

    Of images that hold but one, the middle, under their own names.
    """
    height, width = images.shape[2:]
    if (height, width) == (size, size):
        return images, names
    if min(height, width) < size:
        raise InputError(f"{called} has images of {width} x {height} pixels, smaller than {size}; lower --size")
    places = [
        (y, x)
        for y in range(height % size // 2, height - size + 1, size)
        for x in range(width % size // 2, width - size + 1, size)
    ]
    if len(places) == 1:
        y, x = places[0]
        return images[:, :, y : y + size, x : x + size], names
    total = len(images) * len(places)
    chosen = np.unique(np.linspace(0, total - 1, min(MOST, total)).round().astype(int))
    corners = [(int(k) // len(places), *places[int(k) % len(places)]) for k in chosen]
    tiles = np.stack([images[k, :, y : y + size, x : x + size] for k, y, x in corners])
    return tiles, [f"{names[k]}_y{y}x{x}" for k, y, x in corners]
