"""Slices as they are stored, read through a cache."""

from functools import partial

import numpy as np

from veridical.data.slices import Cache, Slices, check_whole

CACHE_BYTES = 400 * 2**20  # decoded slices kept in memory


class Stored:
    """Images, label images and images before a change of some slices; what is decoded is kept while there is room.

    Attributes
    ----------
    slices : Slices
    cache : Cache
    """

    def __init__(self, slices: Slices):
        self.slices, self.cache = slices, Cache(CACHE_BYTES)

    def affordable(self, use: list[int]) -> bool:
        """Whether all of these slices fit into the cache."""
        return sum(self.slices.nbytes(i) for i in use) <= self.cache.budget

    def image(self, index: int) -> np.ndarray:
        """Slice `index`, in the stored type."""
        if self.slices.mapped:
            return self.slices[index]
        return check_whole(self.cache.get(("image", index), partial(self.slices.__getitem__, index)))

    def before(self, index: int) -> np.ndarray:
        """What slice `index` was made of, of pairs."""
        read = self.slices.read_before
        assert read is not None
        return read(index) if self.slices.mapped else self.cache.get(("before", index), partial(read, index))

    def mask(self, index: int) -> np.ndarray:
        """The label image of slice `index`, see `Slices.mask`."""
        return self.cache.get(("mask", index), partial(self.slices.mask, index))
